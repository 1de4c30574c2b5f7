"""ELF files: a small one made from its parts, and changes of its headers, sections, notes and tables."""

import random
import struct
from typing import Final

from tests.fuzz.mutators.binary import mutate_bytes

_HEADER: Final = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION: Final = struct.Struct("<IIQQQQIIQQ")
_SEGMENT: Final = struct.Struct("<IIQQQQQQ")
_SYMBOL: Final = struct.Struct("<IBBHQQ")
_BASE: Final = 0x1000
_EDGES: Final = (
    0,
    1,
    2,
    3,
    8,
    0x7F,
    0xFF,
    0x100,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    2**40,
    2**63 - 1,
    2**63,
    2**64 - 1,
)
_NOTE_TYPES: Final = (0, 1, 2, 3, 4, 5, 6, 0x100, 0x101, 0x46494C45, 0x53494749, 0xFFFFFFFF)
_NOTE_NAMES: Final = (b"GNU\0", b"CORE", b"stap", b"Go\0\0", b"XXXX", b"\0\0\0\0", b"Linu")


def make_elf() -> bytes:
    """A 64-bit little-endian file with two functions, a build id, symbols and the tables of `.eh_frame`."""
    cie = struct.pack("<IIB", 20, 0, 1) + b"zR\0" + b"\x01\x78\x10\x01\x1b" + b"\0" * 7
    frames = cie
    pairs = []
    for start, length in ((0x1400, 0x20), (0x1420, 0x30)):
        at = len(frames)
        entry = struct.pack("<iiIB", at + 4, start - (0x1200 + at + 8), length, 0) + b"\0" * 3
        frames += struct.pack("<I", len(entry)) + entry
        pairs.append((start - 0x1300, 0x1200 + at - 0x1300))
    head = bytes([1, 0x1B, 0x03, 0x3B]) + struct.pack("<iI", -0x104, len(pairs))
    head += b"".join(struct.pack("<ii", *pair) for pair in pairs)
    note = struct.pack("<III", 4, 20, 3) + b"GNU\0" + bytes(range(20))
    strings = b"\0main\0_ZN5Envoy4Http3fooEv\0"
    symbols = _SYMBOL.pack(0, 0, 0, 0, 0, 0) + _SYMBOL.pack(1, 0x12, 0, 1, 0x1400, 0x20)
    symbols += _SYMBOL.pack(6, 0x12, 0, 1, 0x1420, 0x30)
    names = (
        b"", b".note.gnu.build-id", b".eh_frame", b".eh_frame_hdr", b".symtab", b".strtab", b".dynsym", b".dynstr",
        b".shstrtab",
    )  # fmt: skip
    contents = (
        (0, b"", 0, 0, 0), (7, note, 0x1100, 0, 0), (1, frames + b"\0" * 4, 0x1200, 0, 0), (1, head, 0x1300, 0, 0),
        (2, symbols, 0, 5, 24), (3, strings, 0, 0, 0), (11, symbols, 0, 7, 24), (3, strings, 0, 0, 0),
        (3, b"\0".join(names) + b"\0", 0, 0, 0),
    )  # fmt: skip
    offset = _HEADER.size + _SEGMENT.size
    body = b""
    rows = []
    for name, (kind, content, address, link, size) in zip(names, contents, strict=True):
        place = b"\0".join(names).index(name) if name else 0
        rows.append(_SECTION.pack(place, kind, 2, address, offset + len(body), len(content), link, 0, 8, size))
        body += content + b"\0" * (-len(content) % 8)
    table = offset + len(body)
    ident = b"\x7fELF\x02\x01\x01" + b"\0" * 9
    header = _HEADER.pack(ident, 3, 62, 1, 0x1400, _HEADER.size, table, 0, 64, 56, 1, 64, len(rows), len(rows) - 1)
    whole = table + _SECTION.size * len(rows)
    segment = _SEGMENT.pack(1, 5, 0, _BASE, _BASE, whole, whole, 0x1000)
    return header + segment + body + b"".join(rows)


def mutate_elf(data: bytes, rng: random.Random) -> bytes:
    """One to three changes of fields, else of bytes."""
    if len(data) < _HEADER.size or rng.random() < 0.15:
        return mutate_bytes(data, rng)
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        rng.choice((_header, _section, _section, _section, _segment, _note, _content, _content))(changed, rng)
    return bytes(changed)


def _put(data: bytearray, at: int, width: int, rng: random.Random) -> None:
    old = int.from_bytes(data[at : at + width], "little")
    new = rng.choice((rng.choice(_EDGES), old + 1, old - 1, old ^ 1 << rng.randrange(8 * width))) % (1 << 8 * width)
    if 0 <= at <= len(data) - width:
        data[at : at + width] = new.to_bytes(width, "little")


def _header(data: bytearray, rng: random.Random) -> None:
    at, width = rng.choice(
        (
            (4, 1),
            (5, 1),
            (6, 1),
            (7, 1),
            (16, 2),
            (18, 2),
            (32, 8),
            (40, 8),
            (54, 2),
            (56, 2),
            (58, 2),
            (60, 2),
            (62, 2),
        )
    )
    _put(data, at, width, rng)


def _sections(data: bytearray) -> tuple[int, int]:
    return int.from_bytes(data[40:48], "little"), int.from_bytes(data[60:62], "little")


def _section(data: bytearray, rng: random.Random) -> None:
    table, count = _sections(data)
    at, width = rng.choice(((0, 4), (4, 4), (4, 4), (8, 8), (16, 8), (24, 8), (32, 8), (32, 8), (40, 4), (56, 8)))
    _put(data, table + rng.randrange(max(1, min(count, 64))) * _SECTION.size + at, width, rng)


def _segment(data: bytearray, rng: random.Random) -> None:
    at, width = rng.choice(((0, 4), (8, 8), (16, 8), (32, 8), (40, 8)))
    _put(data, _HEADER.size + at, width, rng)


def _note(data: bytearray, rng: random.Random) -> None:
    at = data.find(b"GNU\0")
    if at < 12:
        return
    kind = rng.randrange(4)
    if kind < 2:
        data[at - 4 : at] = rng.choice(_NOTE_TYPES).to_bytes(4, "little")
    if kind == 2:
        _put(data, at - rng.choice((12, 8)), 4, rng)
    if kind in (0, 3):
        data[at : at + 4] = rng.choice(_NOTE_NAMES)


def _content(data: bytearray, rng: random.Random) -> None:
    """A number inside a section's content."""
    table, count = _sections(data)
    at = table + rng.randrange(max(1, min(count, 64))) * _SECTION.size
    offset, size = struct.unpack_from("<QQ", data, at + 24) if 0 <= at <= len(data) - _SECTION.size else (0, len(data))
    if size and offset < len(data):
        _put(data, offset + rng.randrange(min(size, len(data))), rng.choice((1, 1, 4, 4, 8)), rng)
