"""Uses the CPU time that nobody else wants: `neighbour.py CPU BYTES FILE`, until it is killed.

It reads BYTES of memory over and over, so that the CPU stays awake; where BYTES is the size of a cache, it evicts that
cache. It reads the clock after each step of 2 KiB. FILE holds three numbers of eight bytes: time in nanoseconds of the
steps below `LIMIT_NS`, number of those steps, number of all steps. In a longer step something else had the CPU.
"""

import gc
import itertools
import mmap
import os
import sys
import time
from pathlib import Path

STEP_BYTES = 2048
LINE_BYTES = 64
LIMIT_NS = 3000


def main() -> None:
    """Start, then step for ever."""
    cpu, size, file = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    with file.open("r+b") as opened:
        words = memoryview(mmap.mmap(opened.fileno(), 24)).cast("q")
    buffer = bytearray(b"\1") * size
    steps = [slice(start, start + STEP_BYTES, LINE_BYTES) for start in range(0, size, STEP_BYTES)]
    os.sched_setaffinity(0, {cpu})
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    gc.disable()
    own_ns = undisturbed = 0
    now_ns = time.perf_counter_ns
    last_ns = now_ns()
    for number, step in enumerate(itertools.cycle(steps), start=1):
        buffer[step]
        at_ns = now_ns()
        taken_ns = at_ns - last_ns
        last_ns = at_ns
        if taken_ns < LIMIT_NS:
            own_ns += taken_ns
            undisturbed += 1
        words[0], words[1], words[2] = own_ns, undisturbed, number


if __name__ == "__main__":
    main()
