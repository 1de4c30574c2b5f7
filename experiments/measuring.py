"""What the experiments that deploy hops of their own have in common."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from profiler.errors import MeshInsightError
from profiler.testbed.run import Run, measuring_lock


@contextmanager
def measuring_run() -> Iterator[Run]:
    """A run while no other run measures. An error in it ends the program with one line and its exit status."""
    try:
        with measuring_lock(), Run.start() as run:
            yield run
    except MeshInsightError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
