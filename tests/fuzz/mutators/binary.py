"""Changes of bytes that know nothing of a format."""

import random
from typing import Final

_BYTES: Final = (0, 1, 9, 10, 13, 27, 32, 34, 39, 44, 58, 91, 93, 123, 125, 127, 128, 155, 192, 224, 254, 255)
_EDGES: Final = (
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x100,
    0x7FFF,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    2**63 - 1,
    2**64 - 1,
)
_PIECES: Final = (
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc3", b"\xf4\x90\x80\x80", b"\x1b[31m", b"\xc2\x9b",
    b"\xe2\x80\xae", b"\xe2\x80\xa8", b"\r\n", b"\n\n\n", b"\x1f\x8b\x08\x00", b"{", b"}", b"[", b"]", b'"', b"'",
    b"\\",
)  # fmt: skip


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    """One to four changes: flipped bits, other bytes, inserted, repeated, removed, cut and overwritten parts."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        _change(changed, rng)
    return bytes(changed)


def _change(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data) + 1)
    end = min(len(data), at + rng.choice((1, 1, 2, 4, 8, 16, 64, 256)))
    kind = rng.randrange(9)
    if kind == 0 and at < len(data):
        data[at] ^= 1 << rng.randrange(8)
    elif kind == 1 and at < len(data):
        data[at] = rng.choice(_BYTES)
    elif kind == 2:
        data[at:at] = rng.choice(_PIECES)
    elif kind == 3:
        data[at:at] = data[at:end] * rng.choice((1, 2, 10, 100))
    elif kind == 4:
        del data[at:end]
    elif kind == 5:
        del data[at:]
    elif kind == 6:
        width = rng.choice((1, 2, 4, 8))
        number = rng.choice(_EDGES) % (1 << (8 * width))
        data[at : at + width] = number.to_bytes(width, rng.choice(("little", "big")))
    elif kind == 7:
        data[at:at] = rng.randbytes(rng.choice((1, 3, 16, 100)))
    else:
        start = rng.randrange(len(data) + 1)
        data[at:end] = data[start : start + end - at]
