"""Neighbours: processes that use only CPU nobody else wants and set what a sidecar finds when it wakes up.

`awake` spins over a few cache lines, so that the CPU (a virtual one above all) does not go to sleep: what ran before is
still in the cache, the *hot* end. `cold` walks a buffer of about the size of the second-level cache, so that what ran
before is evicted: the *cold* end. Both run under SCHED_IDLE, one of each per CPU, and give way at once to anything else
in their session. They are started paused, and paused and resumed by signals.

`cold-25`, `cold-50` and `cold-75` walk a part of it.

Each neighbour times itself: it works in steps of less than a microsecond, reads the clock after each, and adds up the
steps in which it kept the CPU; after a long one it asks the kernel whether it did. So the time of the neighbours is
known without probes, and without the scheduler, which gives a woken thread all the time since its wake-up although a
neighbour still had the CPU for a part of it. What a tick or the host takes while a neighbour has the CPU is its own
time.

Run as a program: `python -m profiler.testbed.neighbour --mode awake|cold|cold-N --cpu N --clock FILE [--walk-bytes B]`.
"""

import argparse
import ctypes
import gc
import mmap
import os
import resource
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, MutableSequence, Sequence
from itertools import cycle, islice, pairwise, repeat, starmap
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from profiler.errors import ProcessError
from profiler.files.writing import PRIVATE, write_new
from profiler.host.accounting import cpus_of
from profiler.host.interpreter import module_command
from profiler.host.waiting import wait_until
from profiler.vocabulary.temperature import COLD_STEPS, MODES, Mode

if TYPE_CHECKING:  # the program itself stays small
    from profiler.host.process import Process
    from profiler.testbed.run import Run

    Words = MutableSequence[int] | memoryview[int]
_PERCENT: Final = {"cold-25": 25, "cold-50": 50, "cold-75": 75}
FALLBACK_L2_BYTES: Final = 1 << 20
"""Walked where the kernel does not tell the size of the second-level cache (some virtual machines)."""
_CHUNK_BYTES: Final = 2048
"""Walked in one step of a cold neighbour."""
LONG: Final = 8
"""A step that takes so many times the usual one may have lost the CPU.

Tried on an AMD EPYC guest next to a ping-pong at 500/s and at saturation: usual steps of 0.15 µs (awake) and 0.26 µs
(cold); those that lost the CPU take 16 to 64 µs.
"""
COARSEST_STEP_NS: Final = 3000
"""Where the usual step is longer, since reading the clock takes so long, steps do not tell what a wake-up takes."""
_TRIED_STEPS: Final = 4001
_OWN, _USUAL, _LAST, _BACK, _ADDRESS, _WORDS = range(6)
"""What a neighbour writes: `struct steps` of cputime.bpf.c in nanoseconds, and the address of it in its memory."""
_READY_WAIT_S: Final = 20.0
_CPU_DIR: Final = Path("/sys/devices/system/cpu")
_CLOCK_SOURCE: Final = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")


class Neighbours:
    """The neighbours of a run, one of each mode asked for per CPU; off at first.

    Attributes: `mode`, `walk_bytes` per CPU, `processes` (their run time is never part of a result), where each of them
    notes its steps in its memory, `steps` (process id → address), and why they cannot time themselves, `coarse` (empty
    where they can): then `used_ns` is the scheduler's account, and there are no `steps`.
    """

    def __init__(
        self, run: "Run", cpus: Sequence[int] | None = None, modes: Sequence[Mode] = ("awake", "cold")
    ) -> None:
        """Start all of them, paused. Raises ProcessError when one does not come up."""
        self.mode: Mode | None = None
        self.walk_bytes = {cpu: l2_bytes(cpu) or FALLBACK_L2_BYTES for cpu in cpus or sorted(os.sched_getaffinity(0))}
        folder = Path(tempfile.mkdtemp(prefix="neighbours-", dir=run.directory))
        clocks = {(mode, cpu): folder / f"{mode}-{cpu}" for mode in modes for cpu in self.walk_bytes}
        self._groups: dict[Mode, list[Process]] = {
            mode: [
                _spawn(run, mode, cpu, walk_bytes * _PERCENT.get(mode, 100) // 100, clocks[mode, cpu])
                for cpu, walk_bytes in self.walk_bytes.items()
            ]
            for mode in modes
        }
        deadline_s = time.monotonic() + _READY_WAIT_S
        for process in self.processes:
            _await_paused(process, deadline_s)
        self._clocks = [Clock(path) for path in clocks.values()]
        usual_ns = max((clock.usual_step_ns for clock in self._clocks), default=0)
        self.coarse = too_coarse(usual_ns) if usual_ns > COARSEST_STEP_NS else ""
        pids = [process.pid for process in self.processes]
        addresses = dict(zip(pids, (clock.address for clock in self._clocks), strict=True))
        self.steps = {} if self.coarse else addresses

    @property
    def processes(self) -> "list[Process]":
        """All of them, of all modes."""
        return [process for group in self._groups.values() for process in group]

    def awake(self) -> None:
        """Keep the CPUs awake with their caches left alone."""
        self._switch("awake")

    def cold(self, mode: Mode = "cold") -> None:
        """Keep the CPUs awake and evict what sidecars leave in the second-level cache, or a part of it."""
        self._switch(mode)

    def off(self) -> None:
        """Pause all: the CPUs idle as they would without us."""
        self._switch(None)

    def set_temperature(self, temperature: str) -> None:
        """Set what a sidecar finds when it wakes up: `hot`, `natural`, or one of the cold ones."""
        if temperature in (*COLD_STEPS, "cold"):
            self.cold(temperature)
        elif temperature == "natural":
            self.off()
        else:
            self.awake()

    def used_ns(self) -> int:
        """CPU time that all of them have used so far, in nanoseconds: by their own clocks where these are fast."""
        if self.coarse:
            return sum(process.run_time_ns() for process in self.processes)
        return sum(clock.used_ns for clock in self._clocks)

    def check(self) -> None:
        """Raise ProcessError if one of them has ended, or is no longer on its CPU alone."""
        for group in self._groups.values():
            for cpu, process in zip(self.walk_bytes, group, strict=True):
                _check(process, cpu)

    def _switch(self, mode: Mode | None) -> None:
        if mode == self.mode:
            return
        if self.mode is not None:
            for process in self._groups[self.mode]:
                process.signal(signal.SIGSTOP)
        self.mode = mode
        if mode is not None:
            for process in self._groups[mode]:
                process.signal(signal.SIGCONT)


def l2_bytes(cpu: int, cpu_dir: Path = _CPU_DIR) -> int | None:
    """Size of the CPU's second-level cache in bytes, None where the kernel does not tell."""
    for index in sorted((cpu_dir / f"cpu{cpu}" / "cache").glob("index*")):
        try:
            level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        if level == "2" and kind != "Instruction":
            return _size_bytes(size)
    return None


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Be one neighbour until killed."""
    parser = argparse.ArgumentParser(prog="python -m profiler.testbed.neighbour")
    parser.add_argument("--mode", choices=MODES, required=True)
    parser.add_argument("--cpu", type=int, required=True)
    parser.add_argument("--walk-bytes", type=int, help="buffer of `cold`; default: the second-level cache's size")
    parser.add_argument("--clock", type=Path, required=True, help="new file for the time that it has used")
    parser.add_argument("--start-paused", action="store_true", help="stop by SIGSTOP once ready, until SIGCONT")
    options = parser.parse_args(arguments)
    os.sched_setaffinity(0, {options.cpu})
    steps = repeat(None) if options.mode == "awake" else _walk(options.walk_bytes or FALLBACK_L2_BYTES)
    gc.disable()
    words = new_clock(options.clock)
    words[_ADDRESS] = ctypes.addressof(ctypes.c_char.from_buffer(words))
    words[_USUAL] = usual_ns = _usual_step_ns(steps)
    _give_way(options.start_paused)
    run_steps(steps, time.perf_counter_ns, _switches, words, usual_ns)
    raise AssertionError("a neighbour has no end")


def _give_way(pause: bool) -> None:
    # Last of all, so that getting ready does not take for ever on a busy CPU.
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    if pause:
        os.kill(os.getpid(), signal.SIGSTOP)


def _walk(walk_bytes: int) -> Iterable[object]:
    """Steps that each read the next part of a buffer."""
    # Filled with ones: memory never written is one page of zeros mapped everywhere, and walking it evicts nothing.
    buffer = bytearray(b"\1") * max(_CHUNK_BYTES, walk_bytes)
    starts = range(0, len(buffer) - _CHUNK_BYTES + 1, _CHUNK_BYTES)
    return starmap(buffer.find, cycle([(b"\0", start, start + _CHUNK_BYTES) for start in starts]))


def run_steps(
    steps: Iterable[object], now_ns: Callable[[], int], switches: Callable[[], int], words: "Words", usual_ns: int
) -> None:
    """Do `steps` and write after each the time used, and the clock in nanoseconds.

    A step that lost the CPU, so that `switches` has grown, has done its usual work as well, `usual_ns`.
    """
    long_ns, used_ns, last_ns, before = LONG * usual_ns, 0, now_ns(), switches()
    for _ in steps:
        at_ns = now_ns()
        taken_ns = at_ns - last_ns
        if taken_ns > long_ns and (now := switches()) != before:
            before, taken_ns = now, usual_ns
            words[_BACK] = at_ns
        used_ns += taken_ns
        words[_OWN] = used_ns
        words[_LAST] = last_ns = at_ns


def _switches() -> int:
    """How often this process lost the CPU, voluntarily or not."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_nvcsw + usage.ru_nivcsw


def _usual_step_ns(steps: Iterable[object]) -> int:
    stamps, words = [], [0] * _WORDS

    def now_ns() -> int:
        stamps.append(time.perf_counter_ns())
        return stamps[-1]

    run_steps(islice(steps, _TRIED_STEPS), now_ns, lambda: 0, words, 0)
    return sorted(after - before for before, after in pairwise(stamps))[len(stamps) // 2]


def too_coarse(usual_ns: int, clock_source: Path = _CLOCK_SOURCE) -> str:
    """The line to print where a step takes `usual_ns`, with the kernel's clock source."""
    try:
        source = clock_source.read_text().strip()
    except OSError:
        source = "unknown"
    return (
        f"neighbours cannot time themselves: a step takes {usual_ns / 1000:.1f} µs with clock source {source}; CPU "
        "time is held against the scheduler's account instead, which may miss it by a fifth; use clock source tsc"
    )


def new_clock(file: Path) -> "memoryview[int]":
    """The words of a neighbour's clock in a new file, which `Clock` reads."""
    write_new(file, bytes(8 * _WORDS), PRIVATE)
    return _mapped(file, mmap.ACCESS_WRITE)


def _mapped(file: Path, access: int) -> "memoryview[int]":
    with file.open("r+b" if access == mmap.ACCESS_WRITE else "rb") as opened:
        return memoryview(mmap.mmap(opened.fileno(), 8 * _WORDS, access=access)).cast("Q")


class Clock:
    """What a neighbour has written into its file."""

    def __init__(self, file: Path) -> None:
        self._words = _mapped(file, mmap.ACCESS_READ)
        self.usual_step_ns = self._words[_USUAL]
        self.address = self._words[_ADDRESS]

    @property
    def used_ns(self) -> int:
        """CPU time that the neighbour has used, in nanoseconds."""
        return self._words[_OWN]


def _spawn(run: "Run", mode: Mode, cpu: int, walk_bytes: int, clock: Path) -> "Process":
    options = [f"--mode={mode}", f"--cpu={cpu}", f"--walk-bytes={walk_bytes}", f"--clock={clock}", "--start-paused"]
    return run.spawn(f"neighbour-{mode}-{cpu}", module_command("profiler.testbed.neighbour", *options))


def _check(process: "Process", cpu: int) -> None:
    try:
        process.check()
    except ProcessError as error:
        raise ProcessError(
            f"{error}; without it CPU {cpu} was not kept awake, so this window is dropped; run again"
        ) from error
    if (found := cpus_of([process.pid])) != {cpu}:
        now = ", ".join(map(str, sorted(found))) or "none"
        raise ProcessError(
            f"{process.name} (pid {process.pid}) was moved from CPU {cpu} (it may use {now} now): the CPU went "
            "offline, or a cpuset was changed; this window is dropped; leave the CPUs as they are and run again"
        )


def _await_paused(process: "Process", deadline_s: float) -> None:
    if not wait_until(process.is_paused, deadline_s - time.monotonic(), every_s=0.002, check=process.check):
        raise ProcessError(f"{process.name} (pid {process.pid}) was not ready within {_READY_WAIT_S:g} s")


def _size_bytes(text: str) -> int:
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    return int(text[:-1]) * units[text[-1]] if text[-1] in units else int(text)


if __name__ == "__main__":
    main()
