import errno

import pytest

from profiler.host.memory import is_shortage


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        OSError("libLLVM-14.so.1: failed to map segment from shared object"),
        ImportError("x.so: cannot allocate memory in static TLS block"),
        RuntimeError("can't start new thread"),
    ],
)
def test_what_is_for_want_of_memory_is_known(error: Exception) -> None:
    assert is_shortage(error)


def test_what_follows_from_it_is_too() -> None:
    error = ValueError("half read")
    error.__cause__ = MemoryError()
    assert is_shortage(error)


@pytest.mark.parametrize("error", [ValueError("memory"), OSError(errno.ENOENT, "No such file"), RuntimeError("x")])
def test_other_errors_are_not(error: Exception) -> None:
    assert not is_shortage(error)
