"""What every proxy's file needs to build and check its configuration."""

import hashlib
import os
import re
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from profiler.errors import UsageError
from profiler.proxies.base import PROXY_UID, SidecarConfig

_VALIDATE_S: Final = 60.0
_LONGEST_MESSAGE: Final = 400


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


def check_by_program(name: str, command: Sequence[str], complaint: re.Pattern[str], *, as_proxy: bool = True) -> None:
    """Run a proxy's own check of its configuration.

    Args:
        name: the proxy's name as people write it.
        command: what checks, and exits with another status than 0 if the configuration is bad.
        complaint: finds what it says, as the group `said`.
        as_proxy: as the user that it will run as, for one that makes files while it checks.

    Raises:
        UsageError: in the proxy's own words, on one line.
    """
    user = PROXY_UID if as_proxy and os.geteuid() == 0 else None
    run = subprocess.run(
        list(command), capture_output=True, text=True, timeout=_VALIDATE_S, check=False, user=user, group=user
    )
    if run.returncode != 0:
        raise UsageError(f"{name} refuses the configuration: {_said(run.stderr + run.stdout, complaint)}")


def _said(output: str, complaint: re.Pattern[str]) -> str:
    found = complaint.search(output)
    line = " ".join((found["said"] if found else output).split())
    return line if len(line) <= _LONGEST_MESSAGE else f"{line[: _LONGEST_MESSAGE - 1]}…"


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
