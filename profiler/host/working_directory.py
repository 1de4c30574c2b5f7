"""Imports and calls that must not see the working directory: some libraries read settings from it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def away_from_working_directory() -> Iterator[None]:
    """Be in the root directory meanwhile. For one thread: the working directory is the whole process's."""
    here = os.open(".", getattr(os, "O_PATH", os.O_RDONLY) | os.O_CLOEXEC)
    try:
        os.chdir("/")
        yield
    finally:
        try:
            os.fchdir(here)
        finally:
            os.close(here)
