"""Errors a user can act on.

    MeshInsightError            exit status 1: the run failed
    ├── UsageError              exit status 2: what was asked for cannot be
    ├── MissingError            something this machine lacks, with its remedy
    ├── ProcessError            a process the run started failed
    ├── ProbeError              a probe did not attach or saw nothing
    └── ProfileError            exit status 2: a profile that cannot be read

Every message names the thing, what was expected, and what to do. Only the entry point turns errors into text and exit
status.
"""


class MeshInsightError(Exception):
    """A failure with a one-line message for the user."""

    exit_code = 1


def with_note(first: BaseException | None, later: BaseException) -> BaseException:
    """The error that came first, with one that followed as a note; notes are lines of their own for the user."""
    if first is None:
        return later
    first.add_note(str(later))
    return first


class UsageError(MeshInsightError):
    """The request itself is wrong: unknown name, negative size, contradictory options."""

    exit_code = 2


class MissingError(MeshInsightError):
    """The machine lacks something that this command needs (root, tracefs, bcc, a program)."""


class ProcessError(MeshInsightError):
    """A process that the run started failed, ended early or never became ready."""


class ProbeError(MeshInsightError):
    """A probe could not be attached, or a needed one had no hits."""


class ProfileError(MeshInsightError):
    """A profile file is missing, truncated, foreign or of a newer format version."""

    exit_code = 2
