"""Waiting until something is so, for a bounded time."""

import time
from collections.abc import Callable


def wait_until(
    ready: Callable[[], bool], within_s: float, *, every_s: float = 0.02, check: Callable[[], None] = lambda: None
) -> bool:
    """Ask `ready` every `every_s` seconds until it is true, for `within_s` seconds; whether it was in time.

    `check` is called after each answer of no: what it raises (that a process has ended, say) ends the wait.
    """
    deadline_s = time.monotonic() + within_s
    while not ready():
        check()
        if time.monotonic() > deadline_s:
            return False
        time.sleep(every_s)
    return True
