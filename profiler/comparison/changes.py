"""What else differs between two documents: machine, kernel, versions, settings, dimensions that ids hide. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from profiler.errors import UsageError
from profiler.profile.machine import KIND, machine_differences
from profiler.profile.types import Cell, Profile, Proxy
from profiler.text import one_line, some_of

_LONGEST: Final = 60
_MEASURED: Final = (
    "id", "memory", "achieved_rps", "baseline_achieved_rps", "anchor_factor", "latency", "cpu", "perturbation", "noise",
    "warnings", "errors",
)  # fmt: skip
_CONFIGURED: Final = tuple(name for name in Cell.__struct_fields__ if name not in _MEASURED)
"""What is configured of a cell, its id aside."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something that differs. With `refused` figures are not comparable."""

    subject: str
    old: str
    new: str
    refused: bool = False

    def __str__(self) -> str:
        return f"{self.subject}: {self.old} → {self.new}"


def changes(old: Profile, new: Profile, cells: Sequence[tuple[Cell, Cell]]) -> list[Change]:
    """All that differs, what is refused first. `cells` are those that both profiles have."""
    found = [
        *environment_changes(old.environment, new.environment),
        *_proxies(old.proxies, new.proxies),
        *_workload(old, new),
        *_plain("meshinsight", old.meshinsight_version, new.meshinsight_version),
        *mapping_changes("setting", old.settings, new.settings),
        *_hidden(cells),
    ]
    return sorted(found, key=lambda change: not change.refused)


def require_alike(found: Sequence[Change], old: str, new: str) -> None:
    """Raise `UsageError` that names what makes figures of two profiles not comparable."""
    refused = [str(change) for change in found if change.refused]
    if refused:
        raise UsageError(
            f"{old} and {new} cannot be compared: {'; '.join(refused)}; measure both alike, or compare with --force"
        )


def environment_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """How environments differ; another kind of machine is refused."""
    for found in machine_differences(old, new):
        yield from _plain(found.field, found.old, found.new, refused=True)
    others = [{name: value for name, value in one.items() if name not in KIND} for one in (old, new)]
    yield from mapping_changes("", *others)


def _proxies(old: Mapping[str, Proxy], new: Mapping[str, Proxy]) -> Iterator[Change]:
    for name in sorted({*old, *new}):
        one, two = old.get(name), new.get(name)
        if one is None or two is None:
            yield from _plain(f"proxy {name}", one and one.version, two and two.version)
            continue
        for change in mapping_changes(name, msgspec.to_builtins(one), msgspec.to_builtins(two)):
            field = change.subject.removeprefix(f"{name} ")
            debug = field == "build" and _is_debug(one) != _is_debug(two)
            yield Change(change.subject, change.old, change.new, debug or field == "workers")


def _is_debug(proxy: Proxy) -> bool:
    return "debug" in (proxy.build or "").lower()


def _workload(old: Profile, new: Profile) -> Iterator[Change]:
    for name in sorted({*old.workload, *new.workload}):
        one, two = old.workload.get(name), new.workload.get(name)
        yield from _plain(
            name.replace("_", " "), one and f"{one.name} {one.version}", two and f"{two.name} {two.version}"
        )


def _hidden(cells: Sequence[tuple[Cell, Cell]]) -> Iterator[Change]:
    """Dimensions in which cells of one id differ."""
    for name in _CONFIGURED:
        pairs = [(getattr(one, name), getattr(two, name)) for one, two in cells]
        varied = [(one, two) for one, two in pairs if one != two]
        if varied:
            yield from _plain(f"{name} of {len(varied)} cells", *varied[0], refused=name == "workers")


def mapping_changes(prefix: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """Entries that differ, named with `prefix`."""
    for name in dict.fromkeys((*old, *new)):
        one, two = old.get(name), new.get(name)
        title = one_line(f"{prefix} {name}".strip(), _LONGEST)
        if isinstance(one, Mapping) and isinstance(two, Mapping):
            differing = [key for key in one if key in two and one[key] != two[key]]  # others are of other cells
            if differing:
                old_text, new_text = (_text({key: part[key] for key in differing[:2]}) for part in (one, two))
                yield Change(title, old_text, new_text)
        else:
            yield from _plain(title, one, two)


def _plain(subject: str, old: Any, new: Any, refused: bool = False) -> Iterator[Change]:
    if old != new:
        yield Change(subject, _text(old), _text(new), refused)


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        return one_line(some_of((f"{key} {_text(item)[:12]}" for key, item in value.items()), 2), _LONGEST)
    if isinstance(value, list):
        return one_line(", ".join(map(str, value)) or "none", _LONGEST)
    return one_line(str(value), _LONGEST)
