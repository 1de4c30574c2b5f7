"""YAML text into plain values that still know their lines. One way in for every YAML file a person writes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from profiler.errors import UsageError

LARGEST_FILE_BYTES: Final = 64 * 2**20
_DEEPEST: Final = 40
_DEEPEST_YAML: Final = 500
_SCALARS: Final = ("str", "int", "float", "bool", "null")
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Path_ = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML document: its value, its name for messages, and the line of each value by its path of keys and indices."""

    value: Any
    origin: str
    lines: dict[Path_, int]

    def at(self, path: Path_) -> str:
        """`FILE:LINE: a.b[2]` of the value at `path`, or of the nearest one around it."""
        known = path
        while known and known not in self.lines:
            known = known[:-1]
        return f"{self.origin}:{self.lines.get(known, 1)}{': ' if path else ''}{dotted(path)}"


def dotted(path: Path_) -> str:
    """A path as text, `calls[2].caller`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def read_text(file: Path, remedy: str) -> str:
    """A text file's content. Raises `UsageError`, with `remedy`, when it is missing, empty, huge or not text."""
    try:
        if file.is_dir():
            raise UsageError(f"{file}: is a directory; {remedy}")
        with file.open("rb") as opened:
            data = opened.read(LARGEST_FILE_BYTES + 1)
        if len(data) > LARGEST_FILE_BYTES:
            raise UsageError(f"{file}: larger than {LARGEST_FILE_BYTES >> 20} MiB; {remedy}")
        text = data.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise UsageError(f"{file}: no such file; {remedy}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file}: not UTF-8 text (byte {error.start}); {remedy}") from error
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror or error}; {remedy}") from error
    if not text.strip():
        raise UsageError(f"{file}: empty file; {remedy}")
    return text


def parse_document(text: str, origin: str) -> Document:
    """The one document in `text`. Raises `UsageError` with the line for bad YAML, double keys and aliases."""
    loader = None
    try:
        refuse_deep(text, origin)
        loader = _LOADER(text)
        node = loader.get_single_node()
        lines: dict[Path_, int] = {}
        return Document(_value(loader, node, (), lines, origin), origin, lines)
    except yaml.YAMLError as error:
        raise UsageError(f"{origin}{_line_of(error)}: not YAML: {_reason(error)}; correct this line") from error
    except (RecursionError, ValueError, OverflowError) as error:
        raise UsageError(f"{origin}: not a call graph: {_short(str(error))}; correct the file") from error
    finally:
        if loader is not None:
            loader.dispose()


def refuse_deep(text: str, origin: str) -> None:
    """Raise `UsageError` for YAML nested so deep that libyaml would overflow its stack."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST_YAML:
                line = event.start_mark.line + 1 if event.start_mark else 1
                raise UsageError(f"{origin}:{line}: nested more than {_DEEPEST_YAML} deep; nothing here is")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _value(loader: Any, node: Any, path: Path_, lines: dict[Path_, int], origin: str) -> Any:
    if node is None:
        return None
    if len(path) > _DEEPEST:
        raise UsageError(f"{origin}:{node.start_mark.line + 1}: nested more than {_DEEPEST} deep; nothing here is")
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        return _mapping(loader, node, path, lines, origin)
    if isinstance(node, yaml.SequenceNode):
        return [_value(loader, item, (*path, index), lines, origin) for index, item in enumerate(node.value)]
    return _scalar(loader, node)


def _mapping(loader: Any, node: Any, path: Path_, lines: dict[Path_, int], origin: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = _scalar(loader, key_node) if isinstance(key_node, yaml.ScalarNode) else None
        where = f"{origin}:{key_node.start_mark.line + 1}"
        if not isinstance(key, str):
            raise UsageError(f"{where}: expected a name before the colon; put it in quotes if it is meant as one")
        if key in values:
            raise UsageError(f"{where}: {dotted((*path, key))} is there twice; remove one of them")
        values[key] = _value(loader, value_node, (*path, key), lines, origin)
        lines[(*path, key)] = key_node.start_mark.line + 1
    return values


def _scalar(loader: Any, node: Any) -> Any:
    """A scalar as YAML 1.1 has it, except that dates and other exotic kinds stay the text they are."""
    kind = node.tag.rpartition(":")[2]
    if kind == "str":
        return node.value
    if kind == "int" and node.value.isdecimal() and not node.value.startswith("0"):
        return int(node.value)
    return loader.construct_object(node) if kind in _SCALARS else node.value


def _line_of(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    return f":{mark.line + 1}" if mark is not None else ""


def _reason(error: yaml.YAMLError) -> str:
    return _short(str(getattr(error, "problem", None) or getattr(error, "reason", None) or error))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 120 else f"{line[:119]}…"
