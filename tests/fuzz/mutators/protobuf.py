"""Protobuf changed by its wire format: fields of other kinds and lengths, doubled, removed, nested."""

import random
from typing import Final, NamedTuple

from tests.fuzz.mutators.binary import mutate_bytes

_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
_NUMBERS: Final = (0, 1, 127, 128, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 2**70)
_TEXTS: Final = (
    b"", b"\x1b[31m", b"\xe2\x80\xae", b"\xff\xfe", b"x" * 5000, b"\x00", b"a\nb", b"\xed\xa0\x80", b"inbound|80||",
    b"1",
)  # fmt: skip
_NESTED: Final = 60


class Field(NamedTuple):
    """A field: its number, wire type, and a number or bytes."""

    number: int
    kind: int
    value: "int | bytes"


def mutate_protobuf(data: bytes, rng: random.Random) -> bytes:
    """A field somewhere in the message changed; seldom bytes."""
    if rng.random() < 0.25:
        return mutate_bytes(data, rng)
    for _ in range(rng.choice((1, 1, 2))):
        data = _changed(data, rng, 0)
    return data


def mutate_delimited(data: bytes, rng: random.Random) -> bytes:
    """Messages with their lengths in front: one changed, or its length."""
    messages = []
    at = 0
    while at < len(data):
        length, at = _read_varint(data, at)
        messages.append(data[at : at + length])
        at += length
    if not messages or rng.random() < 0.15:
        return mutate_bytes(data, rng)
    chosen = rng.randrange(len(messages))
    if rng.random() < 0.2:
        messages[chosen:chosen] = [messages[chosen]] * rng.choice((1, 50))
    messages[chosen] = mutate_protobuf(messages[chosen], rng)
    lengths = [len(message) for message in messages]
    if rng.random() < 0.15:
        lengths[chosen] = rng.choice((0, lengths[chosen] + 1, lengths[chosen] - 1, 2**31, 2**63)) % 2**64
    return b"".join(varint(length) + message for length, message in zip(lengths, messages, strict=True))


def _changed(data: bytes, rng: random.Random, level: int) -> bytes:
    fields = _fields(data)
    if not fields:
        return mutate_bytes(data, rng)
    at = rng.randrange(len(fields))
    field = fields[at]
    inner = field.value if isinstance(field.value, bytes) else b""
    if inner and _fields(inner) and rng.random() < 0.8 and level < _NESTED:
        fields[at] = field._replace(value=_changed(inner, rng, level + 1))
        return b"".join(map(_encoded, fields))
    kind = rng.randrange(7)
    if kind == 0:
        del fields[at]
    elif kind == 1:
        fields[at:at] = [field] * rng.choice((1, 2, 100))
    elif kind == 2:
        fields[at] = field._replace(number=rng.choice((1, 2, 3, 5, 15, 16, 100, 2**29 - 1)))
    elif kind == 3:
        other = rng.choice(fields)
        fields[at] = Field(field.number, other.kind, other.value)
    elif kind == 4:
        nested = data
        for _ in range(rng.choice((1, 10, 150))):
            nested = _encoded(Field(field.number, _BYTES, nested))
        fields[at] = Field(field.number, _BYTES, nested)
    elif isinstance(field.value, bytes):
        fields[at] = field._replace(value=rng.choice((*_TEXTS, field.value + rng.choice(_TEXTS))))
    else:
        fields[at] = field._replace(value=rng.choice(_NUMBERS))
    return b"".join(map(_encoded, fields))


def _fields(data: bytes) -> list[Field]:
    """The fields of a message; none where it cannot be one."""
    found = []
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        kind = tag & 7
        if kind == _VARINT:
            number, at = _read_varint(data, at)
            found.append(Field(tag >> 3, kind, number))
            continue
        if kind == _BYTES:
            size, at = _read_varint(data, at)
        elif kind in (_EIGHT, _FOUR):
            size = 8 if kind == _EIGHT else 4
        else:
            return []
        if at + size > len(data) or not tag >> 3:
            return []
        part = data[at : at + size]
        found.append(Field(tag >> 3, kind, part if kind == _BYTES else int.from_bytes(part, "little")))
        at += size
    return found if at == len(data) else []


def _encoded(field: Field) -> bytes:
    tag = varint(field.number << 3 | field.kind)
    if isinstance(field.value, bytes):
        return tag + varint(len(field.value)) + field.value
    if field.kind in (_EIGHT, _FOUR):
        size = 8 if field.kind == _EIGHT else 4
        return tag + (field.value % (1 << 8 * size)).to_bytes(size, "little")
    return tag + varint(field.value)


def varint(number: int) -> bytes:
    """A number as protobuf writes it."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while at < len(data):
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return number, at
