"""From perf to functions: the busy loop of a program whose function is known, wherever it is loaded."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from profiler.probes.perf_sampling import PerfSampling, SampledTimes
from profiler.symbols.histogram import by_function, user_histogram
from profiler.symbols.tables import FunctionTables
from profiler.vocabulary.components import CLIENT_APP, CLIENT_SIDECAR
from profiler.vocabulary.cpu_states import USER

pytestmark = [
    pytest.mark.timing,
    pytest.mark.kernel,
    pytest.mark.skipif(not shutil.which("gcc"), reason="gcc, which makes the program to sample, is not installed"),
]

PROGRAM = """
#include <unistd.h>
volatile unsigned long spins;
__attribute__((noinline)) static void busy_loop(void) { for (;;) spins++; }
int main(void) { char go; write(1, "x", 1); if (read(0, &go, 1) == 1) busy_loop(); return 0; }
"""


def compiled(folder: Path) -> Path:
    (folder / "busy.c").write_text(PROGRAM)
    program = folder / "busy"
    command = ["gcc", "-O1", "-fPIE", "-pie", "-w", "-o", str(program), str(folder / "busy.c")]
    subprocess.run(command, check=True)
    return program


@contextmanager
def spinning(command: list[str]) -> "Iterator[subprocess.Popen[bytes]]":
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    try:
        assert process.stdout
        assert process.stdin
        process.stdout.read(1)
        process.stdin.write(b"g")
        yield process
    finally:
        process.kill()
        process.communicate()


def sampled(process: int, role: str = CLIENT_SIDECAR) -> SampledTimes:
    with PerfSampling() as perf:
        perf.start()
        time.sleep(0.3)
        perf.stop()
        return perf.read({process: role})


@pytest.mark.parametrize("around", [[], ["unshare", "--mount", "--net"]])
def test_samples_of_a_busy_loop_are_in_its_function(tmp_path: Path, around: list[str]) -> None:
    program = compiled(tmp_path)
    with spinning([*around, str(program)]) as process:
        times = sampled(process.pid)
    found = user_histogram(by_function(times.user, FunctionTables()), times.user_samples, 1000.0)
    assert times.user_samples > 100
    by_name = {function.name: spent_ns for function, spent_ns in found.cpu_ns.items() if function.dso == str(program)}
    assert by_name["busy_loop"] > 980


def test_without_symbols_all_samples_are_in_one_range_of_the_same_start(tmp_path: Path) -> None:
    program = compiled(tmp_path)
    with spinning([str(program)]) as process:
        times = sampled(process.pid)
    (named, nameless) = (
        user_histogram(by_function(times.user, FunctionTables(hide_symbols=hide)), times.user_samples, 1000.0)
        for hide in (False, True)
    )
    assert {(entry.dso, entry.start) for entry in named.cpu_ns} == {
        (entry.dso, entry.start) for entry in nameless.cpu_ns
    }
    assert all(entry.name is None for entry in nameless.cpu_ns)


def test_places_and_classes_weigh_the_same(tmp_path: Path) -> None:
    with spinning([str(compiled(tmp_path))]) as process:
        times = sampled(process.pid)
    assert sum(times.user.values()) == times.weights[CLIENT_SIDECAR, USER]


def test_only_sidecars_keep_their_places(tmp_path: Path) -> None:
    with spinning([str(compiled(tmp_path))]) as process:
        times = sampled(process.pid, CLIENT_APP)
    assert (times.user, times.user_samples) == ({}, 0)
