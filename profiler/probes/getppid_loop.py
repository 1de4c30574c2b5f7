"""A process that makes the cheapest system call over and over and prints what one takes; for calibrating probes.

Prints lines of `monotonic time of the batch's start in ns` and `ns per call`, until it is killed.
"""

import os
import sys
import time

CALLS_PER_BATCH = 5_000


def main() -> None:
    """Loop until killed."""
    calls = range(CALLS_PER_BATCH)
    getppid = os.getppid
    while True:
        start_ns = time.monotonic_ns()
        for _ in calls:
            getppid()
        per_call = (time.monotonic_ns() - start_ns) / CALLS_PER_BATCH
        sys.stdout.write(f"{start_ns} {per_call}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
