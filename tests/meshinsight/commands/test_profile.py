"""`meshinsight profile` as a user types it: what it refuses, and what it says when something fails under it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from msgspec.structs import replace

from meshinsight.commands import profile as profile_command
from profiler.measuring.journal import Journal
from profiler.planning.settings import ProfileSettings
from profiler.profile.document import load_profile
from profiler.profile.intervals import with_intervals
from profiler.profile.stacks import profile_stacks
from profiler.profile.types import Cell, Cpu, Latency, Profile
from tests.meshinsight.commands import own_runs

SMALL = ("--topology", "both", "--temperature", "hot", "--rounds", "2", "--duration", "300ms")
Command = "subprocess.Popen[str]"


def meshinsight(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    with started(*arguments, **environment) as process:
        out, err = process.communicate(timeout=170)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@contextmanager
def started(*arguments: str, **environment: str) -> "Iterator[subprocess.Popen[str]]":
    command, env = [sys.executable, "-m", "meshinsight", *arguments], {**os.environ, **environment}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    try:
        yield own_runs.noted(process)
    finally:
        process.kill()
        process.communicate()


def wait_for(what: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def traces() -> dict[str, object]:
    """What the runs of this test could leave behind: processes, namespaces, rules and BPF programs."""
    rules = subprocess.run(["iptables-save"], capture_output=True, text=True, check=False).stdout
    return {
        "processes": own_runs.processes(),
        "namespaces": own_runs.namespaces(),
        "rules": [line for line in rules.splitlines() if line.startswith("-A")],
        "bpf": own_runs.bpf_owners(),
        "autogroup": Path("/proc/sys/kernel/sched_autogroup_enabled").read_text(),
        "directories": own_runs.directories(),
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--protocol", "quic"), "--protocol: expected one of tcp, http1, http2, grpc; found 'quic'"),
        (("--request-bytes", "-5"), "--request-bytes: -5 is outside 0 to 1048576"),
        (
            ("--response-bytes", "many"),
            "--response-bytes: expected a size in bytes or with its unit, such as 4KiB; found 'many'",
        ),
        (("--rate", "fast"), "--rate: expected a rate in requests per second, or max; found 'fast'"),
        (("-o", "xml"), "--output: expected one of table, json, markdown, yaml; found 'xml'"),
        (("--connections", "1.5"), "--connections: expected a whole number; found '1.5'"),
        (("--headers", "abc"), "--headers: expected a number, or a number x bytes, as in 20x100; found 'abc'"),
        (("--headers", "20x"), "as in 20x100; found '20x'"),
        (("--filter", "rback"), "--filter rback: unknown filter of envoy; known: access_log"),
        (("--filter", "rbac+"), "--filter : unknown filter"),
        (("--filter-file", "/no/such.yaml"), "--filter-file /no/such.yaml: no such file"),
        (("--proxy", "squid"), "--proxy: expected one of envoy, haproxy, nginx; found 'squid'"),
        (("--proxy-config", "/no/such.yaml"), "--proxy-config /no/such.yaml: no such file"),
        (("--proxy-config", "/no/such.yaml,/other.yaml"), "--proxy-config /no/such.yaml: no such file"),
        (("--filter-file", "none,/no/such.yaml"), "--filter-file /no/such.yaml: no such file"),
        (("--proxy-version", "newest"), "--proxy-version: expected a version of Envoy, such as 1.38.2; found 'newest'"),
        (("--proxy-version", "1.38.2,"), "--proxy-version 1.38.2,: a part of the list is empty; leave it out"),
        (("--proxy-version", "1.38.2", "--proxy", "nginx"), "--proxy-version: is one of Envoy; leave --proxy out"),
        (("--tls", "mtls", "--topology", "client"), "--tls mtls: runs between two sidecars"),
        (("--budget", "soon"), "--budget: expected a time with its unit, such as 1.2ms; found 'soon'"),
        (("--budget", "10s"), "--budget 10s: the base load of all configurations takes"),
        (("--matrix", "no-such"), "--matrix no-such: no such file; give one, or a name that comes along: alternatives"),
        (("--resume", "/no/such"), "--resume /no/such: holds no unfinished run"),
        (("--resume", "/no/such", "--seed", "3"), "--resume: continues with the settings of the run; leave the other"),
        (("--resume", "/no/such", "--dry-run"), "--resume: continues with the settings of the run; leave the other"),
        (("--resume", "/no/such", "--quick"), "--resume: continues with the settings of the run; leave the other"),
        (("-o", "yaml"), "--output yaml: prints the objects of a run on a cluster; add --cluster --dry-run"),
        (("--cluster", "--resume", "/no/such"), "--resume /no/such: holds no unfinished run"),
        (("--cluster", "--resume", "/no/such", "--quick"), "--resume: continues with the settings of the run; leave"),
        (("--resume", "/no/such", "--out", "x"), "--resume: continues with the settings of the run; leave the other"),
    ],
)
def test_bad_requests_get_one_line_and_status_2(arguments: tuple[str, ...], message: str) -> None:
    done = meshinsight("profile", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("facts", "option", "message"),
    [
        ({"cluster": "0123"}, (), "was begun on a cluster; add --cluster"),
        ({"machine": "0123"}, ("--cluster",), "was begun on this machine; leave --cluster out"),
    ],
)
def test_a_run_is_continued_where_it_was_begun(
    tmp_path: Path, facts: dict[str, str], option: tuple[str, ...], message: str
) -> None:
    Journal(tmp_path).begin(ProfileSettings(), facts)
    done = meshinsight("profile", *option, "--resume", str(tmp_path))
    assert (done.returncode, done.stderr) == (2, f"meshinsight: error: --resume {tmp_path}: {message}\n")


def test_a_dry_run_of_a_cluster_is_yaml_where_that_is_asked_for() -> None:
    done = meshinsight("profile", "--cluster", "--dry-run", "--quick", "-o", "yaml")
    objects = list(yaml.safe_load_all(done.stdout))
    assert {"Namespace", "Pod", "NetworkPolicy"} < {made["kind"] for made in objects}
    assert done.stderr.startswith("no --image: the nodes must have meshinsight:")
    assert "podman build" in done.stderr
    assert done.stderr.count("\n") == 1
    named = meshinsight("profile", "--cluster", "--dry-run", "--quick", "--image", "registry/mi:1")
    assert named.stderr == ""
    assert "registry/mi:1" in named.stdout


def dry_run(*arguments: str) -> str:
    done = meshinsight("profile", "--dry-run", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def planned_s(text: str) -> int:
    """The seconds that a printed plan takes."""
    found = re.search(r"each: about (?:(\d+) min )?(\d+) s", text)
    assert found is not None
    return 60 * int(found[1] or 0) + int(found[2])


def test_cells_that_are_paced_are_planned_under_their_rate() -> None:
    text = dry_run("--protocol", "tcp", "--topology", "client", "--temperature", "hot,cold")
    assert "tcp-client-hot-q128-s1024-c1-max " in text
    assert "tcp-client-cold-q128-s1024-c1-500paced " in text
    assert "cold-q128-s1024-c1-max" not in text


def test_a_dry_run_prints_every_cell_with_its_reason_and_the_time() -> None:
    text = dry_run("--protocol", "http1", "--topology", "both", "--temperature", "hot", "--tls", "mtls")
    assert "http1-both-mtls-hot-q128-s1024-c1-max" in text
    assert text.count("asked for") == 2  # the cell, and the sum
    assert text.count("rung of the ladder") == 2
    assert "1 cell asked for, 6 rounds of 0.8 s each: about " in text


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="on one CPU there are no ends of placement")
@pytest.mark.parametrize(
    ("options", "ends"), [((), 4), (("--quick",), 0), (("--placement", "free"), 0), (("--protocol", "tcp"), 2)]
)
def test_the_default_has_the_ends_of_placement(options: tuple[str, ...], ends: int) -> None:
    assert dry_run(*options).count("end of placement") == ends


@pytest.mark.parametrize(("options", "longest_s"), [((), 600), (("--quick",), 120)])
def test_the_default_takes_ten_minutes_at_most_and_quick_two(options: tuple[str, ...], longest_s: int) -> None:
    assert planned_s(dry_run(*options)) <= longest_s


EXAMPLES = Path(__file__).parents[3] / "predictor" / "graph" / "examples"
BOOKINFO = str(EXAMPLES / "bookinfo.yaml")


def test_the_default_measures_mutual_tls_and_grpc() -> None:
    text = dry_run()
    for name in ("tcp-both-mtls", "http1-both-mtls", "grpc-both-mtls", "grpc-both"):
        assert f"{name}-hot-q128" in text
        assert f"{name}-cold-q128" in text


def test_options_that_choose_hops_replace_those_of_the_default() -> None:
    text = dry_run("--protocol", "tcp")
    assert "tcp-client-hot" in text
    assert "mtls" not in text


def test_variants_are_planned_side_by_side_within_two_minutes() -> None:
    text = dry_run("--quick", "--proxy-version", "1.38.2,1.40.0")
    assert planned_s(text) <= 120
    assert "http1-both-together@1.38.2-hot-q128-s1024-c1-max" in text
    assert "http1-both-together@1.40.0-hot-q128-s1024-c1-max" in text
    assert "Variant 1.40.0: Envoy 1.40.0" in text


def test_a_budget_is_spent_on_rounds_of_variants() -> None:
    text = dry_run("--budget", "10m", "--protocol", "http1", "--proxy-version", "1.38.2,1.40.0")
    assert planned_s(text) <= 600
    assert "50 rounds of 0.25 s each" in text


def test_one_program_changes_no_name() -> None:
    one, other = (
        re.findall(r"\S+-q128-s1024\S*", dry_run("--quick", *more)) for more in ((), ("--proxy-version", "1.40.0"))
    )
    assert one == other
    assert len(one) == 6


def test_a_graph_is_planned_with_what_it_needs_and_the_time() -> None:
    text = dry_run("--for", BOOKINFO)
    asked = [re.search(r"(\S+)-q128", row) for row in text.splitlines() if "asked for" in row]
    assert [found[1] for found in asked if found] == ["http1-both-mtls-hot", "http1-both-mtls-cold"]
    assert "6 rounds of 0.8 s each: about " in text


def test_other_options_add_to_what_a_graph_needs() -> None:
    text = dry_run("--for", BOOKINFO, "--temperature", "hot,cold,natural", "--rounds", "3", "--proxy", "haproxy")
    assert "http1-both-haproxy-mtls-natural-q128" in text
    assert "3 rounds" in text


def test_several_graphs_are_planned_together() -> None:
    text = dry_run("--for", BOOKINFO, "--for", str(EXAMPLES / "hotel-reservation.yaml"))
    assert "http1-both-mtls-hot" in text
    assert "grpc-both-hot" in text


def test_a_graph_within_a_budget_has_what_it_needs_first() -> None:
    text = dry_run("--for", BOOKINFO, "--budget", "10m")
    assert "http1-both-mtls-cold-q128" in text
    assert "Budget 10 min 00 s." in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--protocol", "tcp"), "--for: the call graph says what to measure; leave --protocol out"),
        (("--filter", "lua"), "--for: the call graph says what to measure; leave --filter out"),
        (("--response-bytes", "9"), "--for: the call graph says what to measure; leave --response-bytes out"),
        (("--matrix", "filters"), "--for: chooses what to measure, as a matrix does; leave --matrix out"),
        (("--filter-file", "none,/a.yaml"), "--for: the call graph says what to measure; leave lists of filters"),
        (("--for", "/no/such.yaml"), "/no/such.yaml: no such file"),
        (("--resume", "/no/such"), "--resume: continues with the settings of the run; leave the other"),
    ],
)
def test_what_does_not_go_with_a_graph_is_refused_in_one_line(options: tuple[str, ...], message: str) -> None:
    done = meshinsight("profile", "--dry-run", "--for", BOOKINFO, *options)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert message in done.stderr


def test_a_dry_run_with_a_budget_stays_within_it() -> None:
    text = dry_run("--budget", "30m")
    assert 15 * 60 < planned_s(text) <= 30 * 60
    assert "Budget 30 min 00 s." in text


def test_a_matrix_is_overruled_by_single_options() -> None:
    text = dry_run("--matrix", "alternatives", "--protocol", "tcp")
    assert "tcp-shared-" in text
    assert "http1-" not in text


def test_several_filters_are_measured_apart_and_against_none() -> None:
    text = dry_run("--protocol", "http1", "--topology", "server", "--filter", "rbac", "--filter", "lua+cors")
    for name in ("http1-server-hot", "http1-server-rbac-hot", "http1-server-lua+cors-hot"):
        assert f"{name}-q128" in text


def test_a_dry_run_leaves_nothing(tmp_path: Path) -> None:
    dry_run("--out", str(tmp_path / "run"))
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_profile_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "profile.json").write_text("{}")
    done = meshinsight("profile", "--out", str(tmp_path))
    assert done.returncode == 2
    assert "already holds a profile" in done.stderr
    assert (tmp_path / "profile.json").read_text() == "{}"


def test_the_programs_are_printed_without_root_or_bcc() -> None:
    done = meshinsight("profile", "--print-bpf")
    assert done.returncode == 0
    assert "int on_sched_switch(" in done.stdout
    assert "#define CAPACITY" in done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, which needs root")
def test_without_root_it_says_so() -> None:
    become = (
        "import os, sys; os.setgid(65534); os.setuid(65534); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    command = [sys.executable, "-c", become, "-m", "meshinsight", "profile", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd="/")
    assert done.returncode in (1, 126)
    assert "root" in done.stderr or "Permission denied" in done.stderr


def measured(cell: Cell) -> tuple[Latency, Cpu]:
    assert cell.latency is not None
    assert cell.cpu is not None
    return cell.latency, cell.cpu


@pytest.mark.kernel
@pytest.mark.timing
def test_a_whole_run_is_saved_shown_and_leaves_nothing(tmp_path: Path) -> None:
    before = traces()
    done = meshinsight("profile", *SMALL, "--out", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    profile = load_profile(tmp_path / "run")
    assert profile.status == "complete"
    assert not {"coefficients", "model_error"} & json.loads((tmp_path / "run" / "profile.json").read_text()).keys()
    assert {cell.protocol for cell in profile.cells} == {"tcp", "http1"}
    assert all(measured(cell)[0].components["ipc"].samples > 100 for cell in profile.cells)
    assert all((tmp_path / "run" / name).stat().st_size > 0 for name in profile.files.values())
    stacks = {one.name: one.stacks for one in profile_stacks(profile, tmp_path / "run")}
    for cell in profile.cells:
        assert {stack.process for stack in stacks[cell.id]} >= {"client_sidecar", "client_app", "server_app"}
        files = {stack.file for stack in stacks[cell.id] if (stack.process, stack.kind) == ("client_sidecar", "user")}
        assert any(Path(file).name == "envoy" for file in files)
    assert traces() == before


@pytest.mark.kernel
@pytest.mark.timing
def test_a_waypoint_is_measured_apart_from_the_ends_of_its_tunnels(tmp_path: Path) -> None:
    options = ("--protocol", "http1", "--topology", "waypoint", *SMALL[2:])
    done = meshinsight("profile", *options, "--out", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    profile = load_profile(tmp_path / "run")
    (cell,) = (cell for cell in profile.cells if not cell.reference)
    assert cell.id.startswith("http1-waypoint-mtls-hot-")
    latency, cpu = measured(cell)
    places = {one.place: one.components for one in latency.by_place if one.direction == "request"}
    assert {name for name, parts in places.items() if parts["tunnel"]} == {"client_tunnel", "server_tunnel"}
    assert places["waypoint"]["parsing"] > 0.0
    assert {"tls", "tunnel", "parsing"} <= latency.components.keys() & cpu.components.keys()
    assert cpu.components["tunnel"].cpu_ns_per_request > 0.0
    assert abs(latency.closure_residual or 0.0) < 0.25
    assert cell.memory is not None
    assert "waypoint with its two tunnels" in meshinsight("show", str(tmp_path / "run")).stdout


@pytest.mark.kernel
@pytest.mark.timing
def test_an_envoy_that_dies_ends_the_run_with_its_name(tmp_path: Path) -> None:
    before = traces()
    with started("profile", *SMALL, "--out", str(tmp_path / "run")) as process:
        wait_for(lambda: bool(own_runs.processes("h2load")))
        os.kill(own_runs.processes("envoy")[0], signal.SIGSEGV)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "sidecar" in stderr.splitlines()[-1]
    assert "Traceback" not in stderr
    assert traces() == before


@pytest.mark.kernel
@pytest.mark.timing
def test_a_load_generator_that_dies_ends_the_run_with_its_name(tmp_path: Path) -> None:
    before = traces()
    with started("profile", *SMALL, "--out", str(tmp_path / "run")) as process:
        wait_for(lambda: bool(own_runs.processes("h2load")))
        os.kill(own_runs.processes("h2load")[0], signal.SIGKILL)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "load" in stderr.splitlines()[-1]
    assert traces() == before


@pytest.mark.kernel
@pytest.mark.timing
def test_a_second_run_is_told_who_is_measuring(tmp_path: Path) -> None:
    with started("profile", *SMALL, "--out", str(tmp_path / "one")) as first:
        wait_for(lambda: bool(own_runs.processes("envoy")))
        second = meshinsight("profile", *SMALL, "--out", str(tmp_path / "two"))
        assert second.returncode == 1
        assert f"pid {first.pid}" in second.stderr
        assert first.wait(timeout=90) == 0


PHASES = {
    "setting up": lambda: bool(own_runs.namespaces()),
    "sidecars up": lambda: bool(own_runs.processes("envoy")),
    "measuring latency": lambda: bool(own_runs.processes("h2load")),
    "measuring CPU": lambda: bool(own_runs.processes("perf")),
}


@pytest.mark.kernel
@pytest.mark.timing
@pytest.mark.parametrize("phase", PHASES)
def test_ctrl_c_leaves_nothing_running(phase: str, tmp_path: Path) -> None:
    before = traces()
    with started("profile", *SMALL, "--out", str(tmp_path / "run")) as process:
        wait_for(PHASES[phase])
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert re.search("nothing is kept|stopped early: .* kept; continue with", stderr)
    assert traces() == before


@pytest.mark.kernel
@pytest.mark.timing
@pytest.mark.parametrize("phase", PHASES)
def test_after_kill_9_cleanup_removes_what_is_left(phase: str, tmp_path: Path) -> None:
    before = traces()
    with started("profile", *SMALL, "--out", str(tmp_path / "run")) as process:
        wait_for(PHASES[phase])
        process.kill()
        process.wait()
    time.sleep(0.2)
    assert meshinsight("cleanup").returncode == 0
    assert traces() == before


def wait_for_round(number: int, process: "subprocess.Popen[str]") -> None:
    """Wait until the command says that it is in this round or a later one."""
    assert process.stderr is not None
    for line in process.stderr:
        if (said := re.search(r"round (\d+) of", line)) and int(said[1]) >= number:
            return
    raise AssertionError(f"it ended with {process.wait()}")


@pytest.mark.kernel
@pytest.mark.timing
def test_ctrl_c_after_some_rounds_keeps_them_as_a_partial_profile(tmp_path: Path) -> None:
    arguments = ("--topology", "both", "--temperature", "hot", "--rounds", "60", "--duration", "200ms")
    with started("profile", *arguments, "--out", str(tmp_path / "run")) as process:
        wait_for_round(3, process)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    profile = load_profile(tmp_path / "run")
    assert profile.status == "partial"
    assert profile.cells
    assert "saved:" in stderr
    assert re.search(r"stopped early: \d cells? kept; continue with: meshinsight profile --resume ", stderr)
    assert not (tmp_path / "run" / "model.json").exists()


@pytest.mark.kernel
@pytest.mark.timing
def test_a_full_disk_is_one_clear_line(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", str(small)], check=True)
    try:
        done = meshinsight("profile", *SMALL, "--out", str(small / "run"))
        left = [path.name for path in small.rglob("*") if path.is_file()]
    finally:
        subprocess.run(["umount", str(small)], check=True)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1  # before anything is measured
    assert "can be written there (No space left on device); free some space" in done.stderr
    assert left == []


@pytest.mark.kernel
@pytest.mark.timing
def test_a_grpc_run_tells_tls_and_memory_by_two_sources(tmp_path: Path) -> None:
    options = ("--protocol", "grpc", "--tls", "none,mtls", "--topology", "both", "--temperature", "hot")
    done = meshinsight("profile", *options, "--rounds", "2", "--duration", "300ms", "--out", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    cells = {cell.id: cell for cell in load_profile(tmp_path / "run").cells}  # against the types
    plain, secure = (cells[f"grpc-both{tls}-hot-q128-s1024-c1-max"] for tls in ("", "-mtls"))
    assert [cell.reference for cell in (plain, secure)] == [False, False]
    (without, _), (latency, cpu) = map(measured, (plain, secure))
    assert "tls" not in without.components
    for part in (latency.components["tls"], cpu.components["tls"]):
        assert part.ci95_ns is not None
        low, high = part.ci95_ns
        assert low <= high
        assert part.source
    assert cpu.components["tls"].cpu_ns_per_request > 0
    # perf is shown where it adds up to what was measured without it, else the cell says why not
    untold = any(text.startswith("cpu: perf's samples are not shown") for text in secure.warnings)
    assert untold != (set(cpu.perf_components) >= {"tls", "parsing", "proxy_core"})
    assert secure.memory is not None
    assert secure.memory.rss_bytes > 20 << 20
    residuals = [side.closure_residual for side in (without, latency)]
    assert all(residual is not None and abs(residual) < 1 for residual in residuals)


SMALL_BLOCKS = """
import sys
import profiler.planning.blocks as blocks
blocks._MOST_HOPS = 3
from meshinsight.cli import main
sys.argv[0] = "meshinsight"
main()
"""


@contextmanager
def in_small_blocks(*arguments: str) -> "Iterator[subprocess.Popen[str]]":
    """`meshinsight` with one cell in each block, so that two blocks are soon measured."""
    command = [sys.executable, "-c", SMALL_BLOCKS, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def as_measured(profile: Profile, topology: str) -> Cell:
    """A cell without what the anchor of the whole run adds to it: its scale, and the drift in its intervals."""
    found = next(cell for cell in profile.cells if cell.topology == topology)
    return with_intervals(replace(found, anchor_factor=None), None)


@pytest.mark.kernel
@pytest.mark.timing
def test_an_interrupted_run_is_resumed_without_measuring_anything_twice(tmp_path: Path) -> None:
    run = tmp_path / "run"
    options = ("--protocol", "tcp", "--topology", "client,server", "--temperature", "hot")
    with in_small_blocks("profile", *options, "--rounds", "2", "--duration", "200ms", "--out", str(run)) as process:
        wait_for(lambda: any((run / "unfinished").glob("000-*.json")) or process.poll() is not None, seconds=100)
        assert process.poll() is None, process.communicate()[1]
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"continue with: meshinsight profile --resume {run}" in stderr
    first = load_profile(run)
    assert first.status == "partial"
    with in_small_blocks("profile", "--resume", str(run)) as process:
        _, stderr = process.communicate(timeout=100)
    assert process.returncode == 0, stderr
    whole = load_profile(run)
    assert whole.status == "complete"
    assert sorted(cell.topology for cell in whole.cells) == ["client", "server"]
    assert as_measured(whole, "client") == as_measured(first, "client")
    assert not (run / "unfinished").exists()
    assert all((run / name).stat().st_size > 0 for name in whole.files.values())


def test_a_stopped_run_without_profile_says_what_it_keeps_and_how_to_continue(tmp_path: Path) -> None:
    assert profile_command._kept(tmp_path, "continue with: X").endswith("nothing is kept")
    Journal(tmp_path).begin(ProfileSettings(), {})
    assert profile_command._kept(tmp_path, "continue with: X") == (
        "stopped early: 0 finished blocks kept; continue with: X"
    )
