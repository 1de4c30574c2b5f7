"""Text files that somebody else wrote, read within limits."""

from pathlib import Path
from typing import Final

from profiler.errors import MeshInsightError, UsageError

LARGEST_FILE_BYTES: Final = 64 * 2**20


def read_text(file: Path, remedy: str, error: type[MeshInsightError] = UsageError, origin: str | None = None) -> str:
    """A text file's content.

    Raises:
        MeshInsightError: of the kind `error`, naming `origin` (by default the file) and `remedy`, when it is missing,
            empty, larger than 64 MiB or no UTF-8 text.
    """
    name = origin or str(file)
    try:
        if file.is_dir():
            raise error(f"{name}: is a directory; {remedy}")
        with file.open("rb") as opened:
            data = opened.read(LARGEST_FILE_BYTES + 1)
        if len(data) > LARGEST_FILE_BYTES:
            raise error(f"{name}: larger than {LARGEST_FILE_BYTES >> 20} MiB; {remedy}")
        text = data.decode("utf-8-sig")
    except FileNotFoundError as missing:
        raise error(f"{name}: no such file; {remedy}") from missing
    except UnicodeDecodeError as foreign:
        raise error(f"{name}: not UTF-8 text (byte {foreign.start}); {remedy}") from foreign
    except (OSError, ValueError) as failed:  # ValueError: a name with a null byte
        raise error(f"{name}: cannot be read: {getattr(failed, 'strerror', None) or failed}; {remedy}") from failed
    if not text.strip():
        raise error(f"{name}: is empty; {remedy}")
    return text
