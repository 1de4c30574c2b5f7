"""`begin TASK`: hand the run's task, as JSON, to the `measure` that waits in the same container."""

from collections.abc import Sequence

from profiler.cluster.pod.measure import TASK
from profiler.files.writing import write_whole


def main(arguments: Sequence[str]) -> None:
    """Raises MeshInsightError when it cannot be written."""
    (text,) = arguments
    write_whole(TASK, text)
