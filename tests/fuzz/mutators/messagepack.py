"""MessagePack changed as a tree."""

import random
from typing import Any

import msgspec

from tests.fuzz.mutators.binary import mutate_bytes
from tests.fuzz.mutators.json_tree import Pairs, mutate_tree
from tests.fuzz.mutators.values import Raw


def mutate_messagepack(data: bytes, rng: random.Random) -> bytes:
    """The value changed as a tree; seldom bytes."""
    if rng.random() < 0.3:
        return mutate_bytes(data, rng)
    try:
        tree = _tree(msgspec.msgpack.decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return mutate_bytes(data, rng)
    changed = mutate_tree(tree, rng)
    if isinstance(changed, Raw) and changed.startswith(("[", "{")):
        return b"\x91" * changed.count("[") + b"\x81\xa1a" * changed.count("{") + b"\x01"
    try:
        return msgspec.msgpack.encode(_plain(changed))
    except (OverflowError, UnicodeEncodeError, TypeError):
        return mutate_bytes(data, rng)


def _tree(value: Any) -> Any:
    if isinstance(value, dict):
        return Pairs((key, _tree(part)) for key, part in value.items())
    return [_tree(part) for part in value] if isinstance(value, list | tuple) else value


def _plain(tree: Any) -> Any:
    if isinstance(tree, Pairs):
        return {key if isinstance(key, str | int | bytes) else str(key): _plain(part) for key, part in tree}
    if isinstance(tree, list):
        return [_plain(part) for part in tree]
    if isinstance(tree, Raw):
        return {"NaN": float("nan"), "Infinity": float("inf"), "1e999": float("inf")}.get(tree, str(tree))
    return tree
