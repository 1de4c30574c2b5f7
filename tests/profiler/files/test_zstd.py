"""Packed data is unpacked up to a bound, and what is damaged is refused."""

import pytest

from profiler.files.zstd import MAGIC, unpacked, zstd


def test_what_is_packed_is_unpacked() -> None:
    data = zstd().compress(b"abc" * 100)
    assert data.startswith(MAGIC)
    assert unpacked(data, 300) == b"abc" * 100


def test_more_than_the_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="holds more than 1 MiB"):
        unpacked(zstd().compress(bytes((1 << 20) + 1)), 1 << 20)


@pytest.mark.parametrize("data", [b"", b"x" * 40, zstd().compress(b"abc" * 100)[:-3]])
def test_damaged_data_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="damaged zstd data"):
        unpacked(data, 300)
