"""`meshinsight profile` as a user types it: what it refuses, and what it says when something fails under it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from profiler.profile.document import load_profile

SMALL = ("--topology", "both", "--temperature", "hot", "--repeats", "2", "--duration", "0.3")
Command = "subprocess.Popen[str]"


def meshinsight(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "meshinsight", *arguments]
    env = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=170, check=False, env=env)


@contextmanager
def started(*arguments: str) -> "Iterator[subprocess.Popen[str]]":
    command = [sys.executable, "-m", "meshinsight", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def run_processes(name: str) -> list[int]:
    """Processes named `name` that belong to some run."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            ours = b"MESHINSIGHT_RUN_ID=" in (path / "environ").read_bytes()
            if ours and (path / "comm").read_text().strip() == name:
                found.append(int(path.name))
        except OSError:
            continue
    return found


def wait_for(what: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def traces() -> dict[str, list[str]]:
    """What a run could leave behind: processes, namespaces, rules and BPF programs."""
    processes = [str(pid) for name in ("envoy", "haproxy", "h2load", "python") for pid in run_processes(name)]
    rules = subprocess.run(["iptables-save"], capture_output=True, text=True, check=False).stdout
    return {
        "processes": processes,
        "namespaces": sorted(path.name for path in Path("/run/netns").glob("mi-*")),
        "rules": [line for line in rules.splitlines() if line.startswith("-A")],
        "bpf": sorted(_bpf_owners()),
        "autogroup": [Path("/proc/sys/kernel/sched_autogroup_enabled").read_text().strip()],
        "directories": sorted(path.name for path in Path("/run/meshinsight").glob("[0-9a-f]*")),
    }


def _bpf_owners() -> set[str]:
    owners = set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if "bpf-prog" in str(link.readlink()) and int(link.parts[2]) != os.getpid():
                owners.add(link.parts[2])
        except OSError:
            continue
    return owners


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--protocol", "quic"), "--protocol: unknown protocol 'quic'; known: tcp, http1"),
        (("--request-bytes", "-5"), "--request-bytes: -5 is outside 0 to 1048576"),
        (("--response-bytes", "many"), "--response-bytes: 'many' is not a whole number"),
        (("--rate", "fast"), "--rate: 'fast' is not a number or max"),
        (("-o", "xml"), "-o xml: unknown output format"),
    ],
)
def test_bad_requests_get_one_line_and_status_2(arguments: tuple[str, ...], message: str) -> None:
    done = meshinsight("profile", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


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


@pytest.mark.kernel
def test_a_whole_run_is_saved_shown_and_leaves_nothing(tmp_path: Path) -> None:
    before = traces()
    done = meshinsight("profile", *SMALL, "--out", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    profile = load_profile(tmp_path / "run")
    assert profile["status"] == "complete"
    assert {cell["protocol"] for cell in profile["cells"]} == {"tcp", "http1"}
    assert all(cell["latency"]["components"]["ipc"]["samples"] > 100 for cell in profile["cells"])
    assert all((tmp_path / "run" / name).stat().st_size > 0 for name in profile["files"].values())
    assert traces() == before


@pytest.mark.kernel
def test_an_envoy_that_dies_ends_the_run_with_its_name(tmp_path: Path) -> None:
    before = traces()
    with started("profile", *SMALL, "--out", str(tmp_path / "run")) as process:
        wait_for(lambda: bool(run_processes("h2load")))
        os.kill(run_processes("envoy")[0], signal.SIGSEGV)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "sidecar" in stderr.splitlines()[-1]
    assert "Traceback" not in stderr
    assert traces() == before


@pytest.mark.kernel
def test_a_load_generator_that_dies_ends_the_run_with_its_name(tmp_path: Path) -> None:
    before = traces()
    with started("profile", *SMALL, "--out", str(tmp_path / "run")) as process:
        wait_for(lambda: bool(run_processes("h2load")))
        os.kill(run_processes("h2load")[0], signal.SIGKILL)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "load" in stderr.splitlines()[-1]
    assert traces() == before


@pytest.mark.kernel
def test_a_second_run_is_told_who_is_measuring(tmp_path: Path) -> None:
    with started("profile", *SMALL, "--out", str(tmp_path / "one")) as first:
        wait_for(lambda: bool(run_processes("envoy")))
        second = meshinsight("profile", *SMALL, "--out", str(tmp_path / "two"))
        assert second.returncode == 1
        assert f"pid {first.pid}" in second.stderr
        assert first.wait(timeout=90) == 0


PHASES = {
    "setting up": lambda: any(Path("/run/netns").glob("mi-*")),
    "sidecars up": lambda: bool(run_processes("envoy")),
    "measuring latency": lambda: bool(run_processes("h2load")),
    "measuring CPU": lambda: bool(run_processes("perf")),
}


@pytest.mark.kernel
@pytest.mark.parametrize("phase", PHASES)
def test_ctrl_c_leaves_nothing_running(phase: str, tmp_path: Path) -> None:
    before = traces()
    with started("profile", *SMALL, "--out", str(tmp_path / "run")) as process:
        wait_for(PHASES[phase])
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert traces() == before


@pytest.mark.kernel
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


@pytest.mark.kernel
def test_ctrl_c_after_some_rounds_keeps_them_as_a_partial_profile(tmp_path: Path) -> None:
    arguments = ("--topology", "both", "--temperature", "hot", "--repeats", "60", "--duration", "0.2")
    with started("profile", *arguments, "--out", str(tmp_path / "run")) as process:
        time.sleep(45)  # two rounds take about 20 s on a quiet machine
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    profile = load_profile(tmp_path / "run")
    assert profile["status"] == "partial"
    assert profile["cells"]
    assert "saved:" in stderr


@pytest.mark.kernel
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
    assert "cannot write" in done.stderr.splitlines()[-1]
    assert not any(name == "profile.json" or name.endswith(".tmp") for name in left)
