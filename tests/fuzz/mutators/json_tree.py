"""JSON changed as a tree: values of other types, missing, doubled and renamed keys, moved and repeated parts."""

import copy
import json
import random
from collections.abc import Iterator
from typing import Any, Final

from tests.fuzz.mutators.binary import mutate_bytes
from tests.fuzz.mutators.values import TEXTS, Raw, deep, near, near_text, scalar, value


class Pairs(list[tuple[Any, Any]]):
    """A mapping as pairs of key and value, in order, so that a key can be there twice."""


_DEEPEST: Final = 100

Place = tuple[list[Any], int]
"""A list or mapping, and the index of one of its entries."""


def mutate_json(data: bytes, rng: random.Random) -> bytes:
    """The document changed as a tree, seldom as bytes; one that is no JSON always as bytes."""
    tree = None if rng.random() < 0.12 else as_tree(data)
    if tree is None:
        return mutate_bytes(data, rng)
    tree = mutate_tree(tree, rng)
    return json_text(tree, indented=rng.random() < 0.2).encode("utf-8", "surrogatepass")


def mutate_json_texts(data: bytes, rng: random.Random) -> bytes:
    """One to three texts replaced by others, for documents whose shape is beyond doubt."""
    root = [as_tree(data)]
    places = [place for place in _places(root) if isinstance(_get(*place), str)]
    for _ in range(rng.choice((1, 1, 2, 3)) if places else 0):
        place = rng.choice(places)
        others = [text for text in TEXTS if not isinstance(text, Raw)]
        _set(*place, rng.choice((rng.choice(others), near_text(_get(*place), rng), _get(*rng.choice(places)))))
    return json_text(root[0]).encode("utf-8", "surrogatepass")


def mutate_json_lines(data: bytes, rng: random.Random) -> bytes:
    """One line changed as JSON, or lines removed, doubled, joined, cut."""
    lines = data.splitlines() or [b""]
    at = rng.randrange(len(lines))
    kind = rng.randrange(10)
    if kind < 6:
        lines[at] = mutate_json(lines[at], rng)
    elif kind == 6:
        lines[at:at] = [lines[at]] * rng.choice((1, 2, 30))
    elif kind == 7:
        del lines[at]
    elif kind == 8:
        lines[at] = rng.choice((b"", b"null", b"[]", b"{}", b"x", lines[at][: len(lines[at]) // 2], lines[at] * 2))
    else:
        return mutate_bytes(data, rng)
    return rng.choice((b"\n", b"\n", b"\n", b"\r\n", b"\n\n", b"")).join(lines) + rng.choice((b"\n", b"\n", b""))


def as_tree(data: bytes) -> Any:
    """The document with mappings as `Pairs`; None if it is no JSON, or too deep to be changed as a tree."""
    try:
        tree = json.loads(data, object_pairs_hook=Pairs)
    except (ValueError, RecursionError):
        return None
    level = [tree]
    for _ in range(_DEEPEST):
        level = [_get(part, index) for part in level if isinstance(part, list) for index in range(len(part))]
        if not level:
            return tree
    return None


def mutate_tree(tree: Any, rng: random.Random) -> Any:
    """One to three changes."""
    root = [tree]
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = list(_places(root))
        if places:
            _change(rng.choice(places), root, places, rng)
    return root[0] if root else None


def _places(root: list[Any]) -> Iterator[Place]:
    waiting = [root]
    while waiting:
        holder = waiting.pop()
        for index in range(len(holder)):
            yield holder, index
            part = _get(holder, index)
            if isinstance(part, list):
                waiting.append(part)


def _get(holder: list[Any], index: int) -> Any:
    return holder[index][1] if isinstance(holder, Pairs) else holder[index]


def _set(holder: list[Any], index: int, new: Any) -> None:
    holder[index] = (holder[index][0], new) if isinstance(holder, Pairs) else new


def _change(place: Place, root: list[Any], places: list[Place], rng: random.Random) -> None:
    holder, index = place
    old = _get(holder, index)
    kind = rng.randrange(14)
    if kind < 3:
        _set(holder, index, value(rng))
    elif kind < 7:
        _set(holder, index, near(old, rng) if not isinstance(old, list) else value(rng))
    elif kind == 7:
        del holder[index]
    elif kind == 8:
        _set(holder, index, copy.deepcopy(_get(*rng.choice(places))))
    elif kind == 9:
        _set(holder, index, rng.choice(([old], [old, old], Pairs([("a", old)]), Pairs([(str(scalar(rng))[:60], old)]))))
    elif kind == 10:
        holder[index:index] = [holder[index]] * rng.choice((1, 1, 2, 200))
    elif kind == 11 and isinstance(holder, Pairs):
        key = rng.choice((near(str(holder[index][0]), rng), scalar(rng), _some_key(places, rng)))
        holder[index] = (key, old)
    elif kind == 12 and isinstance(old, Pairs):
        old.insert(rng.randrange(len(old) + 1), (_some_key(places, rng), value(rng)))
    elif kind == 13 and rng.random() < 0.3:
        _set(holder, index, deep(rng))
    else:
        _set(holder, index, scalar(rng))


def _some_key(places: list[Place], rng: random.Random) -> Any:
    holder, index = rng.choice(places)
    return holder[index][0] if isinstance(holder, Pairs) else rng.choice(("a", "name", "kind", "", "x" * 300))


def json_text(tree: Any, *, indented: bool = False, level: int = 0) -> str:
    """The tree as JSON, with what is `Raw` as it is."""
    if isinstance(tree, Raw):
        return str(tree)
    if not isinstance(tree, list):
        return json.dumps(tree, ensure_ascii=not indented)
    gap = "\n" + " " * (level + 1) if indented and level < 50 else ""
    parts = [
        f"{gap}{_key_text(part[0])}: {json_text(part[1], indented=indented, level=level + 1)}"
        if isinstance(tree, Pairs)
        else gap + json_text(part, indented=indented, level=level + 1)
        for part in tree
    ]
    opening, closing = "{}" if isinstance(tree, Pairs) else "[]"
    return f"{opening}{','.join(parts)}{closing}"


def _key_text(key: Any) -> str:
    if isinstance(key, Raw):
        return str(key) if key.startswith('"') else json.dumps(str(key))
    return json.dumps(key if isinstance(key, str) else str(key))
