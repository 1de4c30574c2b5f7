"""YAML changed as a tree and written in some style, or as text by what only YAML has: anchors, tags, documents."""

import json
import random
import re
from typing import Any, Final

import yaml

from tests.fuzz.mutators.binary import mutate_bytes
from tests.fuzz.mutators.json_tree import Pairs, json_text, mutate_tree
from tests.fuzz.mutators.values import Raw, value

_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_TAGS: Final = (
    "!!int ''", "!!float abc", "!!bool maybe", "!!null x", "!!str", "!!binary '=a'", "!!timestamp x", "!!set {a: b}",
    "!!omap [a]", "!!pairs [1]", "!!python/object/apply:os.system ['true']", "!!python/name:os.system", "!x y", "! z",
    "!<tag:yaml.org,2002:int> x", "!!merge <<", "!!map []", "!!seq {}", "!!int 0b2", "!!float .", "!!int 1:99:1",
)  # fmt: skip
_SCALARS: Final = (
    "1:30", "190:20:30", "0o17", "017", "0b11", "0x1f", "1_000", ".inf", "-.Inf", ".nan", ".NaN", "~", "Null", "y",
    "on",
    "No", "2001-12-14t21:59:43.10-05:00", "2001-13-45", "1e5", "1e999", "=", "<<", "? a", "- - - a", "|\n  text",
    ">-\n x",
    "\"\\x1b[31m\"", "\"\\U0001F600\"", "\"\\uD800\"", "'it''s'", "\"\\e[2J\"", "\"\\N\\L\\P\"", "@x", "`x", "%x", "*a",
    "&a [*a]", "&a x", "*missing", "{a: 1, a: 2}", "[1, 2", "{a", "{? [a] : b}", "{[a]: b}", "{1: a, 1.0: b}", "!!x",
)  # fmt: skip
_LINES: Final = (
    "---", "...", "--- x", "%YAML 1.1", "%YAML 9.9", "%TAG ! tag:x,2024:", "<<: *a", "<<: {a: 1}", "? a", ": b", "- x",
    "a: &a [x]", "b: *a", "\tkey: tab", "#comment", "key: |", "'", '"', "{{ .Values.x }}", "{{- if x }}", "}", "]",
    "- -",
    "<<: [*a, *b]", "1: one", "null: x", "true: x", "? {a: b}\n: c", "a: b: c",
)  # fmt: skip
_BOMB: Final = "\n".join(
    [
        "bomb0: &b0 [x]",
        *(f"bomb{n}: &b{n} [{', '.join([f'*b{n - 1}'] * 10)}]" for n in range(1, 10)),
    ]
)


def mutate_yaml(data: bytes, rng: random.Random) -> bytes:
    """Half of the time as a tree, else as text, seldom as bytes."""
    kind = rng.random()
    if kind < 0.55:
        documents = _documents(data)
        if documents:
            at = rng.randrange(len(documents))
            documents[at] = mutate_tree(documents[at], rng)
            texts = [_text(document, rng) for document in documents]
            return "\n---\n".join(texts).encode("utf-8", "surrogatepass")
    if kind < 0.9:
        return _as_text(data.decode(errors="replace"), rng).encode("utf-8", "surrogatepass")
    return mutate_bytes(data, rng)


def _documents(data: bytes) -> list[Any]:
    if b"*" in data and b"&" in data:  # bombs are changed as text
        return []
    try:
        return [
            _tree(document) for document in yaml.load_all(data, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        ]
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError):
        return []


def _tree(document: Any) -> Any:
    if isinstance(document, dict):
        return Pairs((key, _tree(part)) for key, part in document.items())
    if isinstance(document, list):
        return [_tree(part) for part in document]
    return document if isinstance(document, str | int | float | bool | None) else str(document)


def _text(tree: Any, rng: random.Random) -> str:
    if rng.random() < 0.3:
        return json_text(tree, indented=rng.random() < 0.5)
    return _block(tree, 0).lstrip("\n")


def _block(tree: Any, level: int) -> str:
    """The tree in block style; scalars plain where they are plain words, else as JSON has them."""
    gap = "\n" + "  " * level
    if isinstance(tree, Pairs) and tree:
        return "".join(f"{gap}{_scalar(key)}: {_block(part, level + 1)}" for key, part in tree)
    if isinstance(tree, list) and tree and not isinstance(tree, Pairs):
        return "".join(f"{gap}- {_block(part, level + 1)}" for part in tree)
    return _scalar(tree)


def _scalar(part: Any) -> str:
    if isinstance(part, Raw):
        return str(part)
    if isinstance(part, list):
        return "{}" if isinstance(part, Pairs) else "[]"
    return part if isinstance(part, str) and _PLAIN.fullmatch(part) else json.dumps(part, ensure_ascii=False)


def _as_text(text: str, rng: random.Random) -> str:
    lines = text.split("\n")
    for _ in range(rng.choice((1, 1, 2, 3))):
        _change(lines, rng)
    return "\n".join(lines)


def _change(lines: list[str], rng: random.Random) -> None:
    at = rng.randrange(len(lines) + 1)
    line = lines[at] if at < len(lines) else ""
    indent = line[: len(line) - len(line.lstrip())]
    key, colon, old = line.partition(": ")
    kind = rng.randrange(9)
    if kind < 3 and colon and at < len(lines):
        new = rng.choice(
            (rng.choice(_SCALARS), rng.choice(_TAGS), f"&a {old}", "*a", json_text(value(rng)), f"!!int {old}")
        )
        lines[at] = f"{key}: {new}"
    elif kind == 3:
        lines.insert(at, indent + rng.choice(_LINES))
    elif kind == 4:
        lines[at:at] = [line] * rng.choice((1, 2, 100))
    elif kind == 5:
        del lines[at : at + rng.choice((1, 1, 3))]
    elif kind == 6 and at < len(lines):
        lines[at] = rng.choice(
            (" " + line, line.lstrip(), "\t" + line, line.replace(":", "", 1), line[: len(line) // 2])
        )
    elif kind == 7 and rng.random() < 0.3:
        lines[at:at] = [indent + part for part in _BOMB.split("\n")]
        lines.insert(rng.randrange(len(lines) + 1), f"{indent}{key.strip() or 'x'}: *b9")
    elif lines:
        other = rng.randrange(len(lines))
        lines[at:at] = [lines[other]]
