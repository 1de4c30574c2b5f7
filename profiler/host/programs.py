"""Finding the programs a testbed is made of."""

import shutil
import subprocess
from collections.abc import Sequence

from profiler.errors import MissingError, ProcessError
from profiler.host.search_path import SYSTEM, absolute_entries


def program_path(name: str, search_path: str | None = None) -> str | None:
    """Full path of a program, looked for in the absolute entries of `search_path` (PATH) only; None: not there."""
    return shutil.which(name, path=absolute_entries(search_path))


def find_program(
    name: str, search_path: str | None = None, remedy: str = "`meshinsight doctor` says which package has it"
) -> str:
    """As `program_path`. Raises MissingError with the remedy where the program is not there."""
    path = program_path(name, search_path)
    if path is None:
        raise MissingError(f"{name} is not installed; {remedy}")
    return path


def require_program(name: str, package: str) -> str:
    """Full path of a program of a Debian package, never one of the user's. Raises MissingError naming the package."""
    return find_program(name, SYSTEM, f"run `make setup` or `apt-get install {package}`")


def first_line(*argv: str) -> str:
    """First line that a program prints, such as its version."""
    run = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=True)
    return (run.stdout or run.stderr).strip().splitlines()[0]


def run_tool(argv: Sequence[str], *, input_text: str = "", timeout_s: float = 10.0) -> str:
    """Run a short system command and return its standard output.

    Raises MissingError when the program is not there, ProcessError with its standard error when it fails or takes
    longer than `timeout_s` seconds.
    """
    command = " ".join(argv)
    program = find_program(argv[0])
    try:
        # Its own process group, so that Ctrl-C at the terminal does not cut it in the middle of its work.
        done = subprocess.run(
            [program, *argv[1:]],
            input=input_text,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            process_group=0,
            cwd="/",
        )
    except subprocess.TimeoutExpired as error:
        raise ProcessError(f"`{command}` did not end within {timeout_s:g} s") from error
    if done.returncode != 0:
        reason = " | ".join(done.stderr.split("\n")).strip(" |") or "no message"
        raise ProcessError(f"`{command}` failed with exit status {done.returncode}: {reason}")
    return done.stdout
