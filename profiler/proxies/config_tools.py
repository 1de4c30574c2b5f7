"""What every proxy's file needs: its program, and the means to build and check its configuration."""

import hashlib
import os
import re
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, Self

from profiler.errors import ProcessError, UsageError
from profiler.files.folders import can_hand_over, hand_over
from profiler.host.inherited import by_descriptor, descriptors_in
from profiler.host.process import Placement
from profiler.host.programs import find_program
from profiler.proxies.base import PROXY_UID, SidecarConfig
from profiler.text import one_line

_VALIDATE_S: Final = 60.0
_LONGEST_MESSAGE: Final = 400
_MOST_OUTPUT: Final = 1 << 20


class ChosenProgram(ABC):
    """A proxy that runs the installed program, or another one that it is given."""

    def __init__(self, program: Path | None = None) -> None:
        """Without a `program` it is the installed one."""
        self._program = program

    def with_program(self, program: Path) -> Self:
        return type(self)(program)

    @abstractmethod
    def installed(self) -> Path:
        """The installed program."""

    def executable(self) -> Path:
        return self._program or self.installed()

    def runnable(self) -> str:
        """The program as the user that the proxy runs as can run it."""
        return by_descriptor(self._program) if self._program else str(self.installed())


def render_template(template: str, **values: Any) -> str:
    """The text of a template of this folder. A value that it asks for and is not given is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("profiler", "proxies"),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - no HTML
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(values)


def check_by_program(name: str, command: Sequence[str], complaint: re.Pattern[str], directory: Path) -> None:
    """Run a proxy's own check of its configuration, as the user that the proxy runs as.

    Args:
        name: the proxy's name as people write it.
        command: what checks, and exits with another status than 0 if the configuration is bad.
        complaint: finds what it says, as the group `said`.
        directory: where its files are. Root hands it over to the proxy's user first.

    Raises:
        UsageError: in the proxy's own words, on one line.
        ProcessError: the check does not end.
    """
    argv, user = list(command), PROXY_UID if can_hand_over() else None
    if user is not None:
        hand_over(directory, user)
        argv = [*Placement(uid=user).launcher_argv(), *argv]  # as the run starts it
    with tempfile.TemporaryFile() as output:
        if user is not None:
            os.fchown(output.fileno(), user, user)  # a configuration may log to /dev/stdout, which is opened by name
        try:
            status = subprocess.run(
                [find_program(argv[0]), *argv[1:]],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=_VALIDATE_S,
                check=False,
                pass_fds=descriptors_in(argv),
            ).returncode
        except OSError as error:
            raise ProcessError(f"{name} could not be started to check the configuration: {error}") from error
        except subprocess.TimeoutExpired as error:
            raise ProcessError(f"{name} did not end its check of the configuration within {_VALIDATE_S:g} s") from error
        output.seek(0)
        text = output.read(_MOST_OUTPUT).decode(errors="replace")
    if status != 0:
        raise UsageError(f"{name} refuses the configuration: {_said(text, complaint)}")


def _said(output: str, complaint: re.Pattern[str]) -> str:
    found = complaint.search(output)
    return one_line(found["said"] if found else output, _LONGEST_MESSAGE)


def refuse_filters(name: str, config: SidecarConfig) -> None:
    """Raise ValueError for filters given to a proxy that has none here."""
    names = [entry.name for listener in config.listeners for entry in listener.filters]
    if names:
        raise ValueError(f"{name} has no filters here, asked for: {', '.join(names)}")


@cache
def digest(binary: Path) -> str:
    """SHA-256 of a program's file."""
    with binary.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
