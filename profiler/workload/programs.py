"""Finding the programs a testbed is made of."""

import shutil
import subprocess

from profiler.errors import MissingError
from profiler.host.search_path import SYSTEM


def require_program(name: str, package: str) -> str:
    """Path of program `name`.

    Raises:
        MissingError: it is not installed; the message names the Debian package.
    """
    path = shutil.which(name, path=SYSTEM)
    if path is None:
        raise MissingError(f"{name} is not installed; run `make setup` or `apt-get install {package}`")
    return path


def first_line(*argv: str) -> str:
    """First line that a program prints, such as its version."""
    run = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=True)
    return (run.stdout or run.stderr).strip().splitlines()[0]
