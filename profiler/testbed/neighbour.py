"""Neighbours: processes that use only CPU nobody else wants and set what a sidecar finds when it wakes up.

`awake` spins over a few cache lines, so that the CPU (a virtual one above all) does not go to sleep: what ran before is
still in the cache, the *hot* end. `cold` walks a buffer of about the size of the second-level cache, one read per cache
line, so that what ran before is evicted: the *cold* end. Both run under SCHED_IDLE, one of each per CPU, and give way
at once to anything else in their session. They are started paused, and paused and resumed by signals.

`cold-25`, `cold-50` and `cold-75` walk a part of it.

Run as a program: `python -m profiler.testbed.neighbour --mode awake|cold|cold-N --cpu N [--walk-bytes B]`.
"""

import argparse
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from profiler.errors import ProcessError
from profiler.host.interpreter import module_command
from profiler.vocabulary.temperature import COLD_STEPS, MODES, Mode

if TYPE_CHECKING:  # the program itself stays small
    from profiler.host.process import Process
    from profiler.testbed.run import Run

_PERCENT: Final = {"cold-25": 25, "cold-50": 50, "cold-75": 75}
CACHE_LINE_BYTES: Final = 64
FALLBACK_L2_BYTES: Final = 1 << 20
"""Walked where the kernel does not tell the size of the second-level cache (some virtual machines)."""
_READY_WAIT_S: Final = 20.0
_CPU_DIR: Final = Path("/sys/devices/system/cpu")


class Neighbours:
    """The neighbours of a run, one of each mode asked for per CPU; off at first.

    Attributes: `mode`, `walk_bytes` per CPU, and `processes` (their run time is never part of a result).
    """

    def __init__(
        self, run: "Run", cpus: Sequence[int] | None = None, modes: Sequence[Mode] = ("awake", "cold")
    ) -> None:
        """Start all of them, paused. Raises ProcessError when one does not come up."""
        self.mode: Mode | None = None
        self.walk_bytes = {cpu: l2_bytes(cpu) or FALLBACK_L2_BYTES for cpu in cpus or sorted(os.sched_getaffinity(0))}
        self._groups: dict[Mode, list[Process]] = {
            mode: [
                _spawn(run, mode, cpu, walk_bytes * _PERCENT.get(mode, 100) // 100)
                for cpu, walk_bytes in self.walk_bytes.items()
            ]
            for mode in modes
        }
        deadline_s = time.monotonic() + _READY_WAIT_S
        for process in self.processes:
            _await_paused(process, deadline_s)

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

    def check(self) -> None:
        """Raise ProcessError if one of them has ended."""
        for process in self.processes:
            process.check()

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
    parser.add_argument("--start-paused", action="store_true", help="stop by SIGSTOP once ready, until SIGCONT")
    options = parser.parse_args(arguments)
    os.sched_setaffinity(0, {options.cpu})
    if options.mode == "awake":
        _give_way(options.start_paused)
        _spin()
    _walk(options.walk_bytes or l2_bytes(options.cpu) or FALLBACK_L2_BYTES, options.start_paused)


def _give_way(pause: bool) -> None:
    # Last of all, so that getting ready does not take for ever on a busy CPU.
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    if pause:
        os.kill(os.getpid(), signal.SIGSTOP)


def _spin() -> NoReturn:
    while True:
        pass


def _walk(walk_bytes: int, pause: bool) -> NoReturn:
    import numpy  # here, since `awake` does without

    # Filled with ones: memory never written is one page of zeros mapped everywhere, and walking it evicts nothing.
    buffer = numpy.ones(max(1, walk_bytes // 8), dtype=numpy.uint64)
    lines = buffer[:: CACHE_LINE_BYTES // 8]
    walk = lines.sum
    _give_way(pause)
    while True:
        walk()


def _spawn(run: "Run", mode: Mode, cpu: int, walk_bytes: int) -> "Process":
    options = (f"--mode={mode}", f"--cpu={cpu}", f"--walk-bytes={walk_bytes}", "--start-paused")
    argv = module_command("profiler.testbed.neighbour", *options)
    # numpy would start a thread per CPU for linear algebra that is never done.
    return run.spawn(f"neighbour-{mode}-{cpu}", argv, env={"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"})


def _await_paused(process: "Process", deadline_s: float) -> None:
    while not process.is_paused():
        process.check()
        if time.monotonic() > deadline_s:
            raise ProcessError(f"{process.name} (pid {process.pid}) was not ready within {_READY_WAIT_S:g} s")
        time.sleep(0.002)


def _size_bytes(text: str) -> int:
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    return int(text[:-1]) * units[text[-1]] if text[-1] in units else int(text)


if __name__ == "__main__":
    main()
