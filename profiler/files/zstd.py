"""Zstandard: Python's own from 3.14 on, before that its backport."""

import sys
from importlib import import_module
from io import BytesIO
from types import ModuleType
from typing import Final

from profiler.text import error_line

MAGIC: Final = b"\x28\xb5\x2f\xfd"
"""The first bytes of packed data."""


def zstd() -> ModuleType:
    """The module that packs and unpacks."""
    return import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")


def unpacked(data: bytes, most_bytes: int) -> bytes:
    """What packed data holds. Raises ValueError where it is damaged or holds more than `most_bytes`."""
    try:
        with zstd().open(BytesIO(data)) as file:
            found: bytes = file.read(most_bytes + 1)
    except (zstd().ZstdError, EOFError) as error:
        raise ValueError(f"damaged zstd data: {error_line(error)}") from error
    if len(found) > most_bytes:
        raise ValueError(f"holds more than {most_bytes >> 20} MiB")
    return found
