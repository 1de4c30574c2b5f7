"""`meshinsight attach`: its options, what it prints, and how it ends."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from meshinsight.cli import app
from meshinsight.commands import attach as command
from meshinsight.reports.formats import FORMATS
from meshinsight.reports.subjects.attached import report
from profiler.attach.results import (
    COMPLETE,
    PARTIAL,
    Attached,
    WakeUps,
)
from profiler.errors import ProcessError, UsageError
from profiler.profile.stacks import read_stacks
from profiler.symbols.stacks import SampledStacks, Stack
from tests.meshinsight.commands.attached import FOUND
from tests.profiler.testbed.conftest import eventually


@pytest.mark.parametrize("text", ["", "0s", "-3s", "2h", "soon", "nan"])
def test_wrong_durations(text: str) -> None:
    app = typer.Typer()
    command.register(app)
    error = CliRunner().invoke(app, ["--pid", "1", "--duration", text]).exception
    assert isinstance(error, UsageError)
    assert str(error).startswith("--duration: expected a time from 500ms to 1h, such as 30s; found ")


@pytest.mark.parametrize(("text", "ratio"), [("1%", 0.01), ("0.5 %", 0.005), ("0.02", 0.02), ("50%", 0.5)])
def test_bounds(text: str, ratio: float) -> None:
    assert command.parse_ratio(text) == pytest.approx(ratio)


@pytest.mark.parametrize("text", ["0%", "1", "80%", "little"])
def test_wrong_bounds(text: str) -> None:
    with pytest.raises(UsageError, match="expected a share from"):
        command.parse_ratio(text)


def test_without_a_process_it_says_what_it_needs() -> None:
    with pytest.raises(UsageError, match="--pid PID"):
        command.attach(pid=None)


def test_a_namespace_for_the_profiler_means_nothing_here() -> None:
    with pytest.raises(UsageError, match="--profiler-namespace: is for sidecars on a cluster"):
        command.attach(pid=[1], profiler_namespace="meshinsight")


def test_unknown_format_is_a_usage_error() -> None:
    app = typer.Typer()
    command.register(app)
    error = CliRunner().invoke(app, ["--pid", "1", "-o", "xml"]).exception
    assert isinstance(error, UsageError)
    assert str(error) == "--output: expected one of table, json, markdown, html; found 'xml'"


def printed(found: Attached) -> str:
    stream = io.StringIO()
    FORMATS["table"](report(found), stream)
    return stream.getvalue()


def test_the_table_has_components_messages_and_the_bound() -> None:
    text = printed(FOUND)
    assert "pid 7 (envoy): 0.5000 vCPU, 50.0 µs per message" in text
    assert text.index("socket_read") < text.index("other")
    assert "10,000 messages/s" in text
    assert "0.84 % of the CPU time (bound 1.00 %: kept)" in text
    assert "! user time is not split" in text


def test_the_table_has_the_share_of_wake_ups_that_predict_takes() -> None:
    line = "wake-ups with data: 12,300/s, 61 % of 3,690 raised on another CPU (predict --crossing-share 0.61)"
    assert line in printed(FOUND)


@pytest.mark.parametrize("wake_ups", [None, WakeUps(0.0, 0, 0, None)])
def test_without_wake_ups_there_is_no_share(wake_ups: WakeUps | None) -> None:
    assert "--crossing-share" not in printed(replace(FOUND, targets=(replace(FOUND.targets[0], wake_ups=wake_ups),)))


def test_a_result_that_was_cut_short_says_so() -> None:
    assert "Looked for 4.0 s of the 30 s asked for" in printed(replace(FOUND, status=PARTIAL, duration_s=4.0))


def test_a_result_that_came_as_json_from_a_pod_is_the_same() -> None:
    assert Attached.from_json(json.loads(json.dumps(FOUND.as_json()))) == FOUND


def test_json_is_versioned() -> None:
    stream = io.StringIO()
    FORMATS["json"](report(FOUND), stream)
    document = json.loads(stream.getvalue())
    assert (document["format"], document["version"]) == ("meshinsight-attach", 1)
    assert document["targets"][0]["messages"]["directions"]["request"]["p50_ns"] == 20_000.0


STACKS = (SampledStacks("pid 7 (envoy)", "cpu-clock", (Stack("pid 7 (envoy)", "ipc", "[kernel]", ("send",), 2.0),)),)


def invoked(found: Attached, monkeypatch: pytest.MonkeyPatch, *options: str) -> Result:
    monkeypatch.setattr("profiler.attach.attach.attach", lambda *_: (found, None))
    monkeypatch.setattr("profiler.attach.targets.local_targets", lambda _: ())
    return CliRunner().invoke(app, ["attach", "--pid", "7", *options])


def test_stacks_are_written_next_to_what_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "envoy.stacks"
    result = invoked(replace(FOUND, stacks=STACKS), monkeypatch, "--stacks", str(file), "-o", "json")
    assert result.exit_code == 0
    assert "stacks" not in json.loads(result.stdout)
    assert read_stacks(file) == list(STACKS)


def test_stacks_that_were_not_sampled_are_an_error_after_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = invoked(FOUND, monkeypatch, "--stacks", str(tmp_path / "x"))
    assert "pid 7 (envoy)" in result.stdout
    assert isinstance(result.exception, ProcessError)
    assert "not written: CPU time was not sampled" in str(result.exception)
    assert not (tmp_path / "x").exists()


def test_a_place_that_cannot_be_is_refused_before_anything_is_observed(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["attach", "--pid", "1", "--stacks", str(tmp_path / "none" / "x")])
    assert str(result.exception) == f"--stacks: directory {tmp_path / 'none'} does not exist; create it"


BUSY = """
import socket
ours, theirs = socket.socketpair()
more, last = socket.socketpair()
while True:
    ours.send(b"x")
    theirs.recv(9)
    more.send(b"x")
    last.recv(9)
"""


@pytest.fixture
def busy() -> "Iterator[subprocess.Popen[bytes]]":
    with subprocess.Popen([sys.executable, "-c", BUSY]) as process:
        yield process
        process.kill()


def started(busy: "subprocess.Popen[bytes]", folder: Path, duration: str = "60s") -> "subprocess.Popen[str]":
    options = ["--pid", str(busy.pid), "--duration", duration, "--cpu-budget", "20%", "-o", "json"]
    return subprocess.Popen(
        [sys.executable, "-m", "meshinsight", "attach", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
    )


def children(process: int) -> list[int]:
    paths = Path("/proc").glob(f"{process}/task/*/children")
    return [int(word) for path in paths for word in path.read_text().split()]


def catches(process: int, signum: signal.Signals) -> bool:
    """Whether a process handles a signal itself, as attach does while it measures."""
    field = re.search(r"^SigCgt:\s*(\w+)$", Path(f"/proc/{process}/status").read_text(), re.MULTILINE)
    return bool(field and int(field[1], 16) >> (signum - 1) & 1)


def measuring(process: "subprocess.Popen[str]") -> None:
    """Wait until it measures."""
    assert eventually(lambda: catches(process.pid, signal.SIGTERM), 60)
    time.sleep(1.5)


@pytest.mark.kernel
@pytest.mark.timing
def test_a_program_that_is_no_proxy_is_looked_at_with_a_warning(
    busy: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    out, err = started(busy, tmp_path, "3s").communicate(timeout=60)
    document = json.loads(out)
    target = document["targets"][0]
    assert err == ""
    assert document["status"] == COMPLETE
    assert target["components"]["user"]["share"] > 0.02
    assert target["messages"]["count"] > 100
    assert any("is no proxy that MeshInsight knows" in warning for warning in target["warnings"])


@pytest.mark.kernel
@pytest.mark.timing
def test_a_process_that_ends_gives_a_partial_result_and_one_line(
    busy: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    process = started(busy, tmp_path)
    measuring(process)
    busy.kill()
    busy.wait()
    out, err = process.communicate(timeout=60)
    assert json.loads(out)["status"] == PARTIAL
    assert json.loads(out)["targets"][0]["ended"]
    assert err.startswith(f"meshinsight: error: pid {busy.pid} (python")
    assert "ended within 60 s" in err
    assert (err.count("\n"), process.returncode) == (1, 1)


@pytest.mark.kernel
@pytest.mark.timing
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_what_there_is(
    busy: "subprocess.Popen[bytes]", tmp_path: Path, signum: signal.Signals
) -> None:
    process = started(busy, tmp_path)
    measuring(process)
    process.send_signal(signum)
    out, err = process.communicate(timeout=60)
    assert json.loads(out)["status"] == PARTIAL
    assert json.loads(out)["targets"][0]["components"]
    assert (err, process.returncode) == ("", 128 + signum)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.kernel
@pytest.mark.timing
def test_a_kill_leaves_nothing(busy: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
    process = started(busy, tmp_path)
    measuring(process)
    started_by_it = children(process.pid)
    assert started_by_it
    assert list(tmp_path.iterdir())
    process.kill()
    process.communicate(timeout=60)
    assert eventually(lambda: not any(Path(f"/proc/{child}/exe").exists() for child in started_by_it))
    assert eventually(lambda: list(tmp_path.iterdir()) == [])
    assert busy.poll() is None
