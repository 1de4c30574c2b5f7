"""Ctrl-C, SIGTERM and SIGHUP as an exception, so that what was begun is ended in good order."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, Self

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, SIGTERM or SIGHUP arrived (`signum`): end in good order. Exit status by custom: 128 + signum."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum


class Interrupts:
    """The first of Ctrl-C, SIGTERM and SIGHUP as an exception, held back during steps that must not be cut in two.

    Between `install` and `uninstall`, or as a context manager; further signals change nothing. On the main thread.
    """

    def __init__(self) -> None:
        self._previous: dict[signal.Signals, Any] = {}
        self._depth = 0
        self._pending: int | None = None
        self._raised = False

    def __enter__(self) -> Self:
        self.install()
        return self

    def __exit__(self, *_: object) -> None:
        self.uninstall()

    def install(self) -> None:
        """Take the signals, but those that are ignored."""
        for signum in STOP_SIGNALS:
            previous = signal.getsignal(signum)
            if previous is not signal.SIG_IGN:  # ignored on purpose, by nohup for example
                self._previous[signum] = previous
                signal.signal(signum, self._on_signal)

    def uninstall(self) -> None:
        """Give them back."""
        for signum, previous in self._previous.items():
            if signal.getsignal(signum) == self._on_signal:
                signal.signal(signum, previous)

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """A signal that comes meanwhile is raised at the end."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._depth == 0 and self._pending is not None:
                self._raise_once(self._pending)

    def raise_pending(self) -> None:
        """Raise a signal that is held back now: for waits, where nothing is cut in two yet."""
        if self._pending is not None:
            self._raise_once(self._pending)

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        if self._depth > 0:
            self._pending = self._pending or signum
        else:
            self._raise_once(signum)

    def _raise_once(self, signum: int) -> None:
        self._pending = None
        if not self._raised:
            self._raised = True
            raise Interrupted(signum)
