"""The filters that a proxy can be measured with: data files in `profiler/proxies/<proxy>_filters/`, or the user's own.

A data file holds pieces of configuration by the place they go to (`http_filters`, `network_filters`,
`connection_manager`, `virtual_host`, `clusters`, `bootstrap`) and what else the filter needs:

- `request_headers`: what the load must send for it, also without sidecars,
- `service`: the server in the same pod that it talks to (see profiler/workload/servers/filter_services.py),
- `outside`: it waits for others or writes files, so that more than user time is its cost,
- `number`: the default of its one number, as in `tracing-10`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any, Final

from profiler.errors import UsageError
from profiler.files.checked_yaml import read_yaml
from profiler.files.yaml_text import load_yaml
from profiler.proxies.base import Filter
from profiler.vocabulary.hop import is_file, label_of

_NUMBERED: Final = re.compile(r"(?P<name>[a-z_]+)-(?P<number>\d+(\.\d+)?)")
_PLACES: Final = ("http_filters", "network_filters", "connection_manager", "virtual_host", "clusters", "bootstrap")
_KEYS: Final = (*_PLACES, "request_headers", "service", "outside", "number")


@dataclass(frozen=True)
class FilterNeeds:
    """What a filter needs besides its configuration."""

    request_headers: tuple[str, ...] = ()
    service: str | None = None
    outside: bool = False
    network: bool = False
    """Whether it is a filter of connections, which a TCP proxy can have too."""


def filter_names(proxy: str) -> tuple[str, ...]:
    """The filters that there is data for."""
    folder = resources.files("profiler.proxies").joinpath(f"{proxy}_filters")
    if not folder.is_dir():
        return ()
    return tuple(sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml")))


def check_filter(proxy: str, name: str) -> None:
    """Raise UsageError unless `name` is a filter of the proxy, or the path of a filter file that can be read."""
    if is_file(name):
        _user_filter(Path(name))
        return
    known = filter_names(proxy)
    if not known:
        raise UsageError(f"--filter {name}: no filters are known for {proxy}; leave it out or use --proxy envoy")
    base, number = _split(name)
    if base not in known or (number is not None and "number" not in _data(proxy, base)):
        raise UsageError(
            f"--filter {name}: unknown filter of {proxy}; known: {', '.join(known)}, or give your own by --filter-file"
        )


def needs_of(proxy: str, name: str) -> FilterNeeds:
    """What the filter needs. Raises UsageError as `check_filter`."""
    check_filter(proxy, name)
    if is_file(name):
        settings = _user_filter(Path(name))
        # Nothing is known of a filter of the user's: all that changes with it is counted as its cost.
        return FilterNeeds(outside=True, network="network_filters" in settings)
    data = _data(proxy, _split(name)[0])
    headers = tuple(data.get("request_headers", ()))
    return FilterNeeds(headers, data.get("service"), bool(data.get("outside")), "network_filters" in data)


def load_filter(proxy: str, name: str, values: Mapping[str, str]) -> Filter:
    """The filter with its placeholders (`${directory}`, `${jwks}`, …) taken from `values`.

    Raises:
        UsageError: as `check_filter`.
    """
    check_filter(proxy, name)
    if is_file(name):
        return Filter(label_of(name), _user_filter(Path(name)))
    base, number = _split(name)
    data = _data(proxy, base)
    numbers = {"number": number or str(data.get("number", ""))}
    filled = _filled({place: data[place] for place in _PLACES if place in data}, {**values, **numbers})
    return Filter(name, filled)


def _split(name: str) -> tuple[str, str | None]:
    numbered = _NUMBERED.fullmatch(name)
    return (numbered["name"], numbered["number"]) if numbered else (name, None)


@cache
def _data(proxy: str, name: str) -> dict[str, Any]:
    text = resources.files("profiler.proxies").joinpath(f"{proxy}_filters", f"{name}.yaml").read_text(encoding="utf-8")
    data: dict[str, Any] = load_yaml(text, f"{name}.yaml")
    if unknown := set(data) - set(_KEYS):
        raise ValueError(f"{proxy}_filters/{name}.yaml: unknown keys {sorted(unknown)}")
    return data


@cache
def _user_filter(path: Path) -> dict[str, Any]:
    """A filter of the user's: one entry `{name, typed_config}` or a list of them."""
    entries = read_yaml(path, "--filter-file")
    entries = entries if isinstance(entries, list) else [entries]
    if not entries:
        raise UsageError(f"--filter-file {path}: the list is empty; give at least one filter")
    for number, entry in enumerate(entries, 1):
        known = isinstance(entry, dict) and isinstance(entry.get("name"), str)
        if not known or not isinstance(entry.get("typed_config"), dict):
            raise UsageError(
                f"--filter-file {path}: entry {number} has no `name` and `typed_config`; give a filter as it stands in "
                "http_filters (or in filters, for a network filter) of an Envoy configuration"
            )
    kinds = {".network." in str(entry["typed_config"].get("@type", "")) for entry in entries}
    if len(kinds) > 1:
        raise UsageError(f"--filter-file {path}: holds HTTP and network filters; put them into files of their own")
    return {"network_filters" if kinds.pop() else "http_filters": entries}


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(child, values) for key, child in value.items()}
    if isinstance(value, list):
        return [_filled(child, values) for child in value]
    if not isinstance(value, str) or "${" not in value:
        return value
    text = Template(value).substitute(values)
    return float(text) if value == "${number}" else text
