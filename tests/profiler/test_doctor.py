"""What doctor concludes from made-up machines, and that it leaves the real one as it was."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from profiler import doctor
from profiler.doctor import Check, diagnose, ebpf, kernel, machine, network, perf, privileges, software
from profiler.doctor.binaries import function_sources
from profiler.doctor.check import ADVISE, ATTACH, CLUSTER, FEATURES, PREDICT, PROFILE, REPORT, VALIDATE
from profiler.doctor.host import Answer, LocalHost
from profiler.errors import MissingError, UsageError
from profiler.host.extras import EXTRAS
from profiler.host.interpreter import module_command
from profiler.proxies.envoy import Envoy


@dataclass
class FakeHost:
    """A machine of files and of answers by the first words of a command."""

    system: str = "linux"
    release: str = "6.1.0-18-amd64"
    machine: str = "x86_64"
    user_id: int = 0
    cpus: Sequence[int] = range(4)
    files: dict[str, str] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    root: Path = Path("/no-such-machine")
    later: dict[str, str] = field(default_factory=dict)
    python: str = "/v/bin/python"
    virtual: bool = True
    checkout: bool = False
    kubeconfigs: Sequence[str] = ("/home/ann/.kube/config",)

    def read(self, path: str) -> str | None:
        return self.files.get(path)

    def exists(self, path: str) -> bool:
        return any(known == path or known.startswith(f"{path}/") for known in self.files)

    def program(self, name: str) -> Path | None:
        return Path("/usr/bin", name) if any(call.split()[0] == name for call in self.answers) else None

    def run(self, *argv: str, input_text: str = "", timeout_s: float = 10) -> Answer:
        call = " ".join(argv)
        self.calls.append(call)
        known = [answer for start, answer in self.answers.items() if call.removeprefix("/usr/bin/").startswith(start)]
        return known[0] if known else Answer(127, f"{argv[0]}: not found")

    def module_file(self, name: str) -> str | None:
        return self.modules.get(name)

    def sleep(self, seconds: float) -> None:
        for path, text in self.later.items():
            (self.root / path).write_text(text)


def features(diagnosis: doctor.Diagnosis) -> dict[str, bool]:
    return {feature.name: feature.works for feature in diagnosis.features}


def test_another_system_shows_profiles_but_measures_nothing() -> None:
    modules = dict.fromkeys(EXTRAS["report"], "there")
    works = features(diagnose(FakeHost(system="darwin", modules=modules)))
    assert [name for name, work in works.items() if work] == [PREDICT, ADVISE, REPORT]


@pytest.mark.parametrize("user_id", [0, 1000])
def test_every_missing_thing_on_a_bare_machine_has_a_remedy(user_id: int) -> None:
    missing = [check for check in diagnose(FakeHost(user_id=user_id)).checks if check.status == "missing"]
    assert len(missing) > 5
    assert [check.name for check in missing if not check.remedy or not check.affects] == []


def test_a_check_that_breaks_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_host: doctor.Host) -> Check:
        raise RuntimeError("odd machine")

    monkeypatch.setattr(doctor, "_EVERYWHERE", (("machine", broken),))
    found = diagnose(FakeHost(system="darwin")).checks
    assert found == (Check("broken", "warn", "could not be checked: RuntimeError: odd machine", area="machine"),)


def test_a_feature_works_with_warnings_and_names_them() -> None:
    checks = (
        Check("PSI", "warn", "", (PROFILE,)),
        Check("perf", "missing", "", (VALIDATE,), "install it", weakens=(ATTACH,)),
    )
    found = {feature.name: feature for feature in doctor.Diagnosis(checks).features}
    assert (found[PROFILE].works, found[PROFILE].limits) == (True, ("PSI",))
    assert (found[VALIDATE].works, found[VALIDATE].lacks) == (False, ("perf",))
    assert (found[ATTACH].works, found[ATTACH].lacks, found[ATTACH].limits) == (True, (), ("perf",))


@pytest.mark.parametrize(("release", "status"), [("5.9.16", "missing"), ("5.10.0", "ok"), ("6.18.44-x", "ok")])
def test_kernels_before_5_10_are_too_old(release: str, status: str) -> None:
    assert kernel.kernel(FakeHost(release=release)).status == status


def test_tracefs_that_only_root_may_read_counts_as_mounted() -> None:
    mounts = {"/proc/mounts": "nodev /sys/kernel/tracing tracefs rw 0 0\n"}
    assert kernel.tracefs(FakeHost(files=mounts)).status == "ok"
    assert kernel.tracefs(FakeHost(files={"/proc/mounts": "proc /proc proc rw 0 0\n"})).status == "missing"


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("[none] integrity confidentiality", "ok"),
        ("none [integrity] confidentiality", "ok"),
        ("none integrity [confidentiality]", "missing"),
        (None, "ok"),
    ],
)
def test_only_confidentiality_lockdown_stops_tracing(text: str | None, status: str) -> None:
    files = {} if text is None else {"/sys/kernel/security/lockdown": text}
    assert kernel.lockdown(FakeHost(files=files)).status == status


def capability(name: str, effective: int, **host: object) -> Check:
    files = {"/proc/self/status": f"Name:\tx\nCapEff:\t{effective:016x}\n"}
    checks = privileges.capabilities(FakeHost(files=files, **host))  # type: ignore[arg-type]  # test data
    return next(check for check in checks if check.name == name)


def test_cap_sys_admin_includes_cap_bpf() -> None:
    assert capability("CAP_BPF", 1 << 21).status == "ok"
    assert capability("CAP_BPF", 0).status == "missing"


def test_cap_sys_resource_is_needed_only_before_5_11() -> None:
    assert capability("CAP_SYS_RESOURCE", 0, release="5.11.0").status == "ok"
    assert capability("CAP_SYS_RESOURCE", 0, release="5.10.0").status == "missing"


def test_remedy_for_a_weak_root_is_another_than_for_a_user() -> None:
    assert "container" in (capability("CAP_NET_ADMIN", 0, user_id=0).remedy or "")
    assert "sudo" in (capability("CAP_NET_ADMIN", 0, user_id=1000).remedy or "")


def test_pypi_package_named_bcc_is_told_from_the_real_one() -> None:
    lattice = FakeHost(modules={"bcc": "/v/bcc/__init__.py"}, files={"/v/bcc/__init__.py": "from .build import hcp\n"})
    real = {"/v/bcc/__init__.py": "import os\nclass BPF(object):\n", "/v/bcc/version.py": "__version__ = '0.26.0'\n"}
    assert "PyPI" in ebpf.bcc(lattice).detail
    assert ebpf.bcc(lattice).status == "missing"
    assert ebpf.bcc(FakeHost(modules=lattice.modules, files=real)).detail == "0.26.0"


def test_headers_of_another_kernel_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ebpf, "kernel_headers", lambda: Path("/h"))
    files = {"/h/include/generated/utsrelease.h": '#define UTS_RELEASE "6.1.0-56-amd64"\n'}
    found = ebpf.headers(FakeHost(release="6.18.0", files=files))
    assert found.status == "ok"
    assert "6.1.0-56-amd64 in /h (another kernel's" in found.detail


def trial(text: str, status: int = 0) -> dict[str, Check]:
    host = FakeHost(answers={" ".join(module_command("profiler.doctor.bpf_trial")): Answer(status, text)})
    return {check.name: check for check in ebpf.programs(host)}


def test_a_program_that_does_not_load_blocks_the_tracepoints() -> None:
    found = trial('{"load": "bcc is not importable"}\nwarning: 1 macro redefined\n')
    assert "bcc is not importable" in found["BPF programs"].detail
    assert found["raw tracepoints"].status == "missing"


def test_a_tracepoint_that_does_not_attach_is_named() -> None:
    found = trial('{"load": null, "sys_enter": null, "sched_waking": "no such event"}\n')
    assert found["BPF programs"].status == "ok"
    assert found["raw tracepoints"].detail == "do not attach: sched_waking (no such event)"


@pytest.mark.parametrize("text", ["", "Segmentation fault", "[1, 2]"])
def test_a_trial_that_crashes_counts_as_not_loading(text: str) -> None:
    assert trial(text, status=139)["BPF programs"].status == "missing"


def perf_host(counted: str) -> FakeHost:
    return FakeHost(answers={"perf --version": Answer(0, "perf version 6.1\n"), "perf stat": Answer(0, counted)})


def test_machine_without_pmu_samples_by_cpu_clock() -> None:
    found = perf.perf(perf_host("0.41,msec,cpu-clock,410000,100.00,,\n<not supported>,,cycles,0,100.00,,\n"))
    assert [check.status for check in found] == ["ok", "ok"]
    assert "cpu-clock instead" in found[1].detail


def test_pmu_that_counts_is_seen() -> None:
    found = perf.perf(perf_host("0.41,msec,cpu-clock,410000,100.00,,\n81234,,cycles:u,400000,100.00,,\n"))
    assert found[1].detail == "counts cycles"


def test_perf_that_may_not_count_is_missing() -> None:
    found = perf.perf(perf_host("Error:\nAccess to performance monitoring operations is limited.\n"))
    assert (found[0].status, found[0].affects, found[0].weakens) == ("missing", (PROFILE,), (ATTACH,))


def network_host(**answers: Answer) -> FakeHost:
    known = {"ip": Answer(0, ""), "iptables": Answer(0, "iptables v1.8.9"), "nsenter": Answer(0, "")}
    host = FakeHost(answers={**{name: answers.get(name, answer) for name, answer in known.items()}})
    host.answers["iptables-restore"] = Answer(0, "")
    return host


def test_namespace_of_the_trial_is_removed_when_capture_fails() -> None:
    host = network_host(nsenter=Answer(1, "iptables-restore: unable to initialize table 'nat'\n"))
    found = {check.name: check for check in network.pods(host)}
    assert "unable to initialize" in found["iptables"].detail
    assert host.calls[-1].startswith("ip netns delete mi-doctor-")


def test_namespace_that_cannot_be_made_stops_measuring() -> None:
    found = network.pods(network_host(ip=Answer(1, "mount --make-shared /run/netns failed: Operation not permitted")))
    assert [(check.name, check.status) for check in found] == [("network namespaces", "missing")]


def test_without_root_the_network_is_not_tried() -> None:
    host = network_host()
    host.user_id = 1000
    assert {check.status for check in network.pods(host)} == {"warn"}
    assert host.calls == []


def machine_checks(root: Path, files: dict[str, str], later: str = "") -> dict[str, Check]:
    for path, text in {"proc/stat": "cpu  1 0 1 8 0 0 0 10\ncpu0 1 0 1 8 0 0 0 10\n", **files}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    host = FakeHost(root=root, later={"proc/stat": later} if later else {})
    return {check.name: check for check in (*machine.surroundings(host), *machine.noise(host))}


def test_time_stolen_meanwhile_is_pointed_out(tmp_path: Path) -> None:
    stolen = "cpu  1 0 1 8 0 0 0 99\ncpu0 1 0 1 8 0 0 0 99\n"
    assert machine_checks(tmp_path, {})["steal time"].detail == "0.0% over 0.3 s"
    assert machine_checks(tmp_path, {}, later=stolen)["steal time"].status == "warn"


def test_kernel_without_psi_judges_noise_by_steal_alone(tmp_path: Path) -> None:
    assert machine_checks(tmp_path, {})["PSI"].status == "warn"
    assert machine_checks(tmp_path, {"proc/pressure/cpu": "some avg10=0.00 total=17\n"})["PSI"].status == "ok"


def cpu_check(root: Path, cpus: Sequence[int], *, online: int, threads: int = 1) -> Check:
    for cpu in range(online):
        first = cpu // threads * threads
        folder = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{first}-{first + threads - 1}\n")
    files = {"/sys/devices/system/cpu/online": f"0-{online - 1}\n"}
    return machine.cores(FakeHost(root=root, cpus=cpus, files=files))


def test_one_cpu_is_pointed_out(tmp_path: Path) -> None:
    check = cpu_check(tmp_path, [1], online=2)
    assert (check.status, check.detail.split(":")[0]) == ("warn", "1 of 2 (a cpuset or taskset excludes the others)")


@pytest.mark.parametrize(
    ("count", "threads", "status", "detail"),
    [
        (4, 1, "ok", "4"),
        (8, 2, "ok", "8, threads of 4 cores: hops run on one of each core"),
        (4, 2, "warn", "4, threads of 2 cores: threads of one core slow each other"),
        (2, 2, "warn", "2, threads of 1 core: threads of one core slow each other"),
    ],
)
def test_cpus_that_share_a_core_are_pointed_out(
    tmp_path: Path, count: int, threads: int, status: str, detail: str
) -> None:
    check = cpu_check(tmp_path, range(count), online=count, threads=threads)
    assert (check.status, check.detail) == (status, detail)


@pytest.mark.parametrize(("clock", "status"), [("tsc", "ok"), ("kvm-clock", "ok"), ("hpet", "warn")])
def test_slow_clocks_are_pointed_out(tmp_path: Path, clock: str, status: str) -> None:
    files = {"sys/devices/system/clocksource/clocksource0/current_clocksource": f"{clock}\n"}
    assert machine_checks(tmp_path, files)["clocksource"].status == status


def test_lacking_packages_stop_only_what_uses_them() -> None:
    there = dict.fromkeys((*EXTRAS["report"], *EXTRAS["cluster"]), "there")
    check = machine.python_packages(FakeHost(modules=there))
    assert check.affects == (PROFILE, VALIDATE)
    assert "'meshinsight[measure]'" in str(check.remedy)


def test_missing_envoy_stops_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    def identify(_envoy: object) -> None:
        raise MissingError("Envoy is not installed")

    monkeypatch.setattr(Envoy, "identify", identify)
    assert [check.status for check in software.envoy(FakeHost())] == ["missing"]


def test_debug_build_of_envoy_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def identify(_envoy: object) -> None:
        raise UsageError("/usr/bin/envoy is a DEBUG build of Envoy")

    monkeypatch.setattr(Envoy, "identify", identify)
    assert "DEBUG" in software.envoy(FakeHost())[0].detail


@pytest.mark.parametrize(
    ("about", "kind"),
    [
        ("HAProxy version 2.6.12-1+deb12u4 2023/12/16\n  CFLAGS  = -O2 -g -Wall", "2.6.12-1+deb12u4, release build"),
        ("HAProxy version 3.0-dev\n  CFLAGS  = -O2 -g -O0", "3.0-dev, debug build"),
        ("HAProxy version 2.8.1 2023", "2.8.1, build unknown"),
    ],
)
def test_optimisation_tells_the_kind_of_build(about: str, kind: str) -> None:
    found = software.haproxy(FakeHost(answers={"haproxy": Answer(0, about)}))
    assert found[0].detail.startswith(kind)


@pytest.mark.skipif(sys.platform != "linux", reason="ELF files and readelf are Linux's")
def test_function_counts_agree_with_readelf() -> None:
    binary = Path("/usr/bin/readelf").resolve()
    listed = subprocess.run(["readelf", "--dyn-syms", "-W", binary], capture_output=True, text=True, check=True).stdout
    frames = subprocess.run(["readelf", "--debug-dump=frames", binary], capture_output=True, text=True, check=True)
    rows = [line.split() for line in listed.splitlines() if " FUNC " in line]
    found = function_sources(binary)
    assert found.dynsym == sum(row[6] != "UND" for row in rows)
    assert found.ranges == frames.stdout.count(" FDE ")


def test_a_script_is_no_elf_file(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    with pytest.raises(ValueError, match="script is no ELF file"):
        function_sources(script)


def test_a_program_that_hangs_is_cut_off() -> None:
    answer = LocalHost().run(sys.executable, "-c", "import time; time.sleep(60)", timeout_s=0.2)
    assert answer.status == 124


def test_a_program_that_is_not_there_is_an_answer() -> None:
    assert LocalHost().run("no-such-program-at-all") == Answer(127, "no-such-program-at-all: No such file or directory")


@pytest.mark.kernel
def test_this_machine_can_load_and_attach_programs() -> None:
    found = {check.name: check.status for check in ebpf.programs(LocalHost())}
    assert found == {"BPF programs": "ok", "raw tracepoints": "ok"}


@pytest.mark.kernel
def test_doctor_leaves_no_namespace_behind() -> None:
    before = LocalHost().run("ip", "netns", "list").text
    checks = {check.name: check.status for check in network.pods(LocalHost())}
    assert checks == {"network namespaces": "ok", "iptables": "ok"}
    assert LocalHost().run("ip", "netns", "list").text == before


def test_the_summary_is_one_line_with_all_features() -> None:
    for checks in (
        (),
        (Check("perf", "missing", "", (PROFILE,), "x"),),
        (Check("all", "missing", "", tuple(FEATURES)),),
    ):
        summary = doctor.Diagnosis(checks).summary
        assert [name for name in FEATURES if name not in summary] == []
        assert "\n" not in summary
    assert doctor.Diagnosis((Check("perf", "missing", "", (PROFILE,), "x"),)).summary.endswith(
        "Does not work: profile."
    )


def test_one_feature_has_only_its_gaps() -> None:
    checks = (Check("perf", "missing", "", (PROFILE,), "x"), Check("kubeconfig", "missing", "", (CLUSTER,), "x"))
    found = doctor.Diagnosis((*checks, Check("kernel", "ok", "", (PROFILE,)))).of_feature(PROFILE)
    assert [check.name for check in found.checks] == ["perf"]
    assert [feature.name for feature in found.features] == [PROFILE]


def test_a_kubeconfig_is_what_a_cluster_needs() -> None:
    assert machine.cluster(FakeHost()).affects == (CLUSTER,)
    assert machine.cluster(FakeHost(files={"/home/ann/.kube/config": "x"})).status == "ok"


def remedies(**host: object) -> str:
    found = diagnose(FakeHost(answers={"apt-get": Answer(0, "")}, **host))  # type: ignore[arg-type]  # test data
    return "\n".join(check.remedy or "" for check in found.checks)


def test_a_checkout_is_set_up_by_make_and_nothing_else_is() -> None:
    assert "make setup" in remedies(checkout=True)
    assert "make setup" not in remedies(virtual=True)
    assert "make setup" not in remedies(virtual=False)


def test_python_packages_are_installed_for_the_interpreter_that_runs() -> None:
    assert "/v/bin/python -m pip install 'meshinsight[report,measure,cluster]'" in remedies(virtual=True)
    assert "/v/bin/python -m pip" not in remedies(virtual=False)


def test_only_what_lacks_is_recommended() -> None:
    modules = dict.fromkeys(EXTRAS["measure"], "there")
    found = machine.python_packages(FakeHost(modules=modules)).remedy or ""
    assert found.endswith("pip install 'meshinsight[report,cluster]'")
    host = FakeHost(answers={"apt-get": Answer(0, ""), "ip": Answer(0, ""), "nsenter": Answer(0, "")})
    assert network.pods(host)[0].remedy == "apt-get install iptables"


@pytest.mark.parametrize(
    ("manager", "remedy"),
    [("apt-get", "apt-get install linux-perf"), ("dnf", "dnf install perf"), ("apk", "linux-perf")],
)
def test_packages_have_the_names_of_the_distribution(manager: str, remedy: str) -> None:
    assert (perf.perf(FakeHost(answers={manager: Answer(0, "")}))[0].remedy or "").endswith(remedy)


def test_no_feature_is_to_come() -> None:
    assert "to come" not in " ".join(FEATURES.values())


def test_diagnosis_is_json() -> None:
    document = json.loads(json.dumps(diagnose(FakeHost()).as_json()))
    assert document["checks"][0]["name"] == "kernel"
    assert {"name", "does", "works", "lacks", "limits"} == set(document["features"][0])
