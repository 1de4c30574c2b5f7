"""Work counted rather than timed: how often a machine shared with others is taken away says nothing about the code."""

import sys
from collections.abc import Callable
from types import FrameType


def function_calls(work: Callable[[], object]) -> int:
    """Calls of functions, of Python and of C, that `work` makes in this thread."""
    counted = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal counted
        counted += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return counted
