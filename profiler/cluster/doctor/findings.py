"""Errors as findings: their cause, and the remedy that follows it."""

from profiler.doctor.check import CLUSTER
from profiler.errors import MeshInsightError

Finding = tuple[str, tuple[str, ...], str | None]
"""Detail, features and remedy of a check."""


def parted(error: MeshInsightError) -> Finding:
    """A message of the form `cause; remedy`."""
    cause, _, remedy = str(error).rpartition("; ")
    return (cause, (CLUSTER,), remedy) if cause else (remedy, (CLUSTER,), None)
