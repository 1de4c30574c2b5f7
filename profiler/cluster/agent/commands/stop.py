"""`stop`: tell the `measure` of the same container to end early."""

import os
import signal
from collections.abc import Sequence
from contextlib import suppress

from profiler.cluster.agent.task_file import PID


def main(arguments: Sequence[str]) -> None:
    """No effect where it has ended already."""
    with suppress(OSError, ValueError):
        os.kill(int(PID.read_text()), signal.SIGINT)
