"""Envoy configuration of the user's, checked for what would only fail once it runs. Pure but for reading the file."""

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

from profiler.errors import UsageError
from profiler.files.checked_yaml import read_yaml

_XDS_KEYS: Final = ("dynamic_resources", "api_config_source", "ads", "ads_config", "lds_config", "cds_config")
"""What makes Envoy take parts of its configuration from a management server, which is not there."""

_CAPITAL: Final = re.compile(r"(?<=[a-z0-9])([A-Z])")


def check_bootstrap(path: Path, option: str, ports: Collection[int]) -> None:
    """Raise UsageError unless a complete bootstrap listens on `ports` and needs no management server."""
    content = read_yaml(path, option)
    if not isinstance(content, dict):
        raise UsageError(f"{option} {path}: is no Envoy bootstrap (a YAML mapping)")
    refuse_xds(content, path, option)
    found = set(_ports(_snake(content)))
    if missing := [str(port) for port in ports if port not in found]:
        known = ", ".join(map(str, sorted(found))) or "none"
        raise UsageError(
            f"{option} {path}: no listener on port {' and '.join(missing)}, where the testbed sends requests "
            f"(15001 from the client, 15006 to the server); its listeners are on: {known}"
        )


def refuse_xds(content: Any, path: Path, option: str) -> None:
    """Raise UsageError if a configuration takes parts of itself from a management server."""
    for key, value in _entries(_snake(content)):
        if key in _XDS_KEYS and (value or key == "ads"):
            raise UsageError(
                f"{option} {path}: {key}: takes configuration from a management server (xDS), which is not there; "
                "give all of it in the file"
            )


def _ports(content: dict[str, Any]) -> Iterator[int]:
    static = content.get("static_resources")
    listeners = static.get("listeners") if isinstance(static, dict) else None
    for listener in listeners if isinstance(listeners, list) else ():
        addresses = [listener.get("address")] if isinstance(listener, dict) else []
        further = listener.get("additional_addresses") if isinstance(listener, dict) else None
        addresses += [entry.get("address") for entry in further or () if isinstance(entry, dict)]
        for address in addresses:
            port = (address or {}).get("socket_address") if isinstance(address, dict) else None
            if isinstance(port, dict) and isinstance(port.get("port_value"), int):
                yield port["port_value"]


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, child in value.items():
            yield key, child
            yield from _entries(child)
    elif isinstance(value, list):
        for child in value:
            yield from _entries(child)


def _snake(value: Any) -> Any:
    """With keys as in YAML: Envoy takes those of JSON, `staticResources`, too."""
    if isinstance(value, dict):
        return {_CAPITAL.sub(lambda found: f"_{found[1].lower()}", str(key)): _snake(one) for key, one in value.items()}
    return [_snake(child) for child in value] if isinstance(value, list) else value
