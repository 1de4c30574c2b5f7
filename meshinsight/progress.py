"""Progress of a run on standard error: what is being measured and how long it still takes."""

import sys
import time
from types import TracebackType
from typing import Self

from meshinsight import numbers
from meshinsight.console import is_quiet, is_verbose, make_console, print_note
from profiler.text import printable


class Progress:
    """A line that is written over on a terminal; elsewhere one line every ten seconds, or one per step (--verbose)."""

    _QUIET_S = 10.0

    def __init__(self) -> None:
        from rich.status import Status
        from rich.text import Text

        self._text = Text
        self._console = make_console(sys.stderr)
        self._status = Status("", console=self._console) if sys.stderr.isatty() and not is_quiet() else None
        self._told_s = -self._QUIET_S

    def __enter__(self) -> Self:
        if self._status:
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status:
            self._status.stop()

    def update(self, label: str, left_s: float) -> None:
        """Report what is being done now and that the whole still needs `left_s` seconds."""
        text = f"{label} ({numbers.duration(left_s)} left)" if left_s else label
        if self._status:
            self._status.update(self._text(printable(text)))
        elif is_verbose() or time.monotonic() - self._told_s >= self._QUIET_S:
            self._told_s = time.monotonic()
            print_note(text)
