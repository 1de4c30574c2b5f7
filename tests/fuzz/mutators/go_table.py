"""Tables of Go functions made from their parts, in ELF files that have little else."""

import struct
from collections.abc import Sequence

MAGIC = {116: 0xFFFFFFFA, 118: 0xFFFFFFF0, 120: 0xFFFFFFF1}
CODE = 0x401000
TABLE = 0x500000
FUNCTIONS = (("runtime.main", 0x20), ("net/http.(*conn).serve", 0x40), ("main.main", 0x10))


def make_table(version: int = 120, functions: Sequence[tuple[str, int]] = FUNCTIONS, code: int = CODE) -> bytes:
    """A table of 64-bit little-endian functions as (name, size), one behind the other from `code` on."""
    relative = version >= 118
    names = b"".join(name.encode() + b"\0" for name, _ in functions)
    width = 4 if relative else 8
    records_at = (2 * len(functions) + 1) * width
    rows, records, entry, name_at = b"", b"", 0 if relative else code, 0
    for name, size in functions:
        rows += struct.pack("<II" if relative else "<QQ", entry, records_at + len(records))
        records += struct.pack("<Ii" if relative else "<Qi", entry, name_at) + b"\0" * 24
        entry, name_at = entry + size, name_at + len(name) + 1
    rows += struct.pack("<I" if relative else "<Q", entry)
    count = 8 if relative else 7
    first = 8 + 8 * count
    after = first + len(names)
    numbers = [len(functions), 1, *([code] if relative else []), first, after, after, after, after]
    return (
        struct.pack("<IBBBB", MAGIC[version], 0, 0, 1, 8) + struct.pack(f"<{count}Q", *numbers) + names + rows + records
    )


def make_go_elf(table: bytes | None = None, section: str = ".gopclntab", module: bytes = b"") -> bytes:
    """An ELF file with `.text`, a table and, if given, the runtime's description of the program."""
    table = make_table() if table is None else table
    names = ["", ".text", section, ".go.module", ".go.buildinfo", ".shstrtab"]
    strings = b"".join(name.encode() + b"\0" for name in names)
    parts = [
        (1, b"\xc3" * 0x200, CODE),
        (1, table, TABLE),
        (1, module, 0x600000),
        (1, b"go", 0x700000),
        (3, strings, 0),
    ]
    places, body, rows = 64 + 3 * 56, b"", [struct.pack("<IIQQQQIIQQ", *[0] * 10)]
    offsets = []
    for number, (kind, content, address) in enumerate(parts, 1):
        name_at = len(b"".join(name.encode() + b"\0" for name in names[:number]))
        offsets.append(places + len(body))
        row = (name_at, kind, 2, address, places + len(body), len(content), 0, 0, 8, 0)
        rows.append(struct.pack("<IIQQQQIIQQ", *row))
        body += content + b"\0" * (-len(content) % 8)
    segments = b"".join(
        struct.pack("<IIQQQQQQ", 1, 5, offsets[number], address, address, len(content), len(content), 0x1000)
        for number, (_, content, address) in enumerate(parts[:3])
    )
    ident = b"\x7fELF\x02\x01\x01" + b"\0" * 9
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", ident, 2, 62, 1, CODE, 64, places + len(body), 0, 64, 56, 3, 64, len(rows), len(rows) - 1
    )
    return header + segments + body + b"".join(rows)


def module(code: int) -> bytes:
    """The beginning of `runtime.moduledata` of the table."""
    words = [TABLE, TABLE + 8 + 8 * 8, *[0] * 18, code, code + 0x70, code, code + 0x70]
    return struct.pack(f"<{len(words)}Q", *words)
