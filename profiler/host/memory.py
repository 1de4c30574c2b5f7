"""Whether an error means that this process may not have more memory, or more threads, which need memory. Pure."""

import errno
from typing import Final

_SAID: Final = (
    "can't start new thread",
    "cannot allocate memory",
    "failed to map segment",  # the dynamic loader's
    "cannot create shared object descriptor",
)


def is_shortage(error: BaseException) -> bool:
    """Whether the error, or one that it followed from, is for want of memory (`ulimit -v`) or threads (`ulimit -u`)."""
    seen: BaseException | None = error
    for _ in range(10):
        if seen is None:
            return False
        if isinstance(seen, MemoryError) or (isinstance(seen, OSError) and seen.errno == errno.ENOMEM):
            return True
        if isinstance(seen, (OSError, ImportError, RuntimeError)) and any(said in str(seen).lower() for said in _SAID):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
