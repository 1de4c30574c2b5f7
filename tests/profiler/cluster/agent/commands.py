"""Commands of the run's containers, run on this machine."""

import sys

from profiler.cluster.names import IN_POD


def here(argv: list[str]) -> list[str]:
    """A command of a container as this checkout runs it, which the isolated interpreter of a pod would not find."""
    assert tuple(argv[: len(IN_POD)]) == IN_POD
    return [sys.executable, "-m", IN_POD[-1], *argv[len(IN_POD) :]]
