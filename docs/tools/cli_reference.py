"""The reference of the command line as Markdown: the help text of every command, as the program prints it.

Usage: python -m docs.tools.cli_reference
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Final

import typer

from meshinsight.cli import app

WIDTH: Final = 100
"""Columns of the help texts: a code block of a page holds so many."""


def main() -> None:
    """Print the reference."""
    sys.stdout.write(reference())


def reference() -> str:
    """One section per command, in the order of `meshinsight --help`."""
    sections = (f"## {' '.join(['meshinsight', *path])}\n\n```text\n{help_of(path)}\n```\n" for path in commands())
    return "\n".join(sections)


def commands() -> list[tuple[str, ...]]:
    """Every command that help lists: as the words that follow `meshinsight`."""
    return list(_within(typer.main.get_command(app), ()))


def _within(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name, child in getattr(command, "commands", {}).items():
        if not child.hidden:
            yield (*path, name)
            yield from _within(child, (*path, name))


def help_of(path: tuple[str, ...]) -> str:
    """What `meshinsight PATH --help` prints, without colour."""
    environment = {**os.environ, "COLUMNS": str(WIDTH), "NO_COLOR": "1", "TERM": "dumb", "PYTHONIOENCODING": "utf-8"}
    argv = [sys.executable, "-m", "meshinsight", *path, "--help"]
    done = subprocess.run(argv, env=environment, capture_output=True, encoding="utf-8", timeout=60, check=True)
    return done.stdout.strip("\n")


if __name__ == "__main__":
    main()
