"""YAML for mappings of lists of small mappings, laid out as PyYAML does. Pure.

PyYAML takes 150 µs for a call: minutes for a graph with a million of them.
"""

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import yaml

WIDTH: Final = 118
_LONGEST_KEY: Final = 500
"""Longer names need a question mark before them; the rules of YAML allow 1024 characters without."""

_PLAIN: Final = re.compile(
    r"(?:[A-Za-z_](?:[A-Za-z0-9_ .;/()%>*+-]*[A-Za-z0-9_)%*])?|[0-9]+(?:\.[0-9]+)?(?:ns|us|ms|s|m))\Z"
)
_NESTED: Final = frozenset((dict, list))
_TEXT: Final = "tag:yaml.org,2002:str"
_RESOLVER: Final[Any] = yaml.SafeLoader("")


def yaml_text(document: Mapping[str, Any]) -> str:
    """The document as YAML: an element of a list in braces where its values are plain, else a field a line.

    Values are mappings with names, lists, texts, finite numbers, `None`, `True` and `False`.
    """
    return "".join(_field(key, value) for key, value in document.items()) or "{}\n"


def _field(key: str, value: Any) -> str:
    if isinstance(value, list) and value:
        return f"{_scalar(key)}:\n" + "".join(map(_element, value))
    return f"{_scalar(key)}: {_flow(value)}\n"


def _element(value: Any) -> str:
    if not isinstance(value, dict) or not value:
        return f"- {_flow(value)}\n"
    if _NESTED.isdisjoint(map(type, value.values())):
        return _wrapped([f"{_key(key)}: {_scalar(inner)}" for key, inner in value.items()])
    if any(len(key) > _LONGEST_KEY for key in value):
        return f"- {_flow(value)}\n"
    return "- " + "  ".join(f"{_scalar(key)}: {_flow(inner)}\n" for key, inner in value.items())


def _wrapped(fields: list[str]) -> str:
    """A mapping in braces, as many fields on a line as fit."""
    line = f"- {{{', '.join(fields)}}}\n"
    if len(line) <= WIDTH + 1:
        return line
    lines = ["- {"]
    for number, field in enumerate(fields):
        end = "}" if number == len(fields) - 1 else ","
        if len(lines[-1]) + len(field) + 2 > WIDTH and len(lines[-1]) > len("- {"):
            lines.append(" ")
        lines[-1] += ("" if lines[-1] == "- {" else " ") + field + end
    return "\n".join(lines) + "\n"


def _flow(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, dict):
        return f"{{{', '.join([f'{_key(key)}: {_flow(item)}' for key, item in value.items()])}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    return _scalar(value)


def _key(key: str) -> str:
    return _scalar(key) if len(key) <= _LONGEST_KEY else f"? {_scalar(key)} "


def _scalar(value: Any) -> str:
    kind = type(value)
    if kind is str:
        return _text(value)
    if kind is int:
        return str(value)
    if kind is float:
        return _number(value)
    if value is None:
        return "null"
    return "true" if value else "false"


@lru_cache(maxsize=100_000)
def _text(text: str) -> str:
    if _PLAIN.match(text) and _RESOLVER.resolve(yaml.ScalarNode, text, (True, False)) == _TEXT:
        return text
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    code = ord(character)
    if 0xD800 <= code < 0xE000:  # half a character, which no file can hold
        return "\ufffd"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _number(value: float) -> str:
    if not math.isfinite(value):
        return ".nan" if value != value else ".inf" if value > 0 else "-.inf"
    text = repr(value)
    return text if "." in text or "e" not in text else text.replace("e", ".0e")
