"""`done`: the result has been fetched; the `measure` of the same container may end."""

from collections.abc import Sequence

from profiler.cluster.agent.task_file import FETCHED


def main(arguments: Sequence[str]) -> None:
    """Leave the mark that `measure` waits for."""
    FETCHED.touch()
