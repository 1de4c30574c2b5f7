"""Programs that another user runs through a descriptor, since that user may not look into the folders above them."""

import os
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

_DESCRIPTOR: Final = re.compile(r"/proc/self/fd/(\d{1,9})")


@cache
def by_descriptor(program: Path) -> str:
    """A path that a child process can run the program by, whatever its user: the file stays open in this process.

    The child must be given `descriptors_in` of its arguments. Raises OSError.
    """
    return f"/proc/self/fd/{os.open(program, os.O_PATH | os.O_CLOEXEC)}"


def descriptors_in(argv: Sequence[str]) -> tuple[int, ...]:
    """The descriptors that the arguments name as `by_descriptor` does, for `subprocess` to pass on."""
    return tuple(int(found[1]) for found in map(_DESCRIPTOR.fullmatch, argv) if found)
