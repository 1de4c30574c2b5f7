"""Names of services as spans have them: cleaned, taken from hosts and URLs, distinguished by namespace. Pure."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from profiler.text import printable

NAMESPACE: Final = "\0"
"""Between a name and its Kubernetes namespace until `display_names` knows whether the namespace is needed.

No cleaned name has this character.
"""

_LONGEST: Final = 200
_URL: Final = re.compile(r"(?:jdbc:)?[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?(\[[0-9A-Fa-f:.%]+\]|[^/:?#,;]+)")
_IN_CLUSTER: Final = re.compile(r"([^.]+)\.([^.]+)\.svc(?:\.[^:/]*)?\Z")
_PORT: Final = re.compile(r"\A(\[[0-9A-Fa-f:.%]+\]|[^:\[\]]+):\d+\Z")
_ADDRESS: Final = re.compile(
    r"\A(?:\d{1,3}(?:\.\d{1,3}){3}|\[?[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f.]*(?:%\w+)?\]?)\Z"
)
_OWN: Final = ("localhost", "127.0.0.1", "::1", "[::1]", "0.0.0.0")  # noqa: S104 (an address to recognise)


def clean(name: str) -> str:
    """A name that a call graph and a terminal can hold: one printable line, no arrow, not endless."""
    name = printable(name)
    while "->" in name:
        name = name.replace("->", "-")
    return " ".join(name.split())[:_LONGEST].rstrip()


@lru_cache(maxsize=4096)
def host_of_url(url: str) -> str:
    """The host of a URL, or of what stands where a URL should; without user, port and path."""
    found = _URL.match(url)
    return found[1] if found else url.split("/")[0].split("?")[0]


@lru_cache(maxsize=4096)
def service_of_host(host: str) -> str:
    """The service behind a host: without port, and in a cluster without what follows its namespace.

    `reviews.default.svc.cluster.local` is `reviews` of namespace `default`; where that is the only one of its name, the
    graph calls it `reviews`.
    """
    found = _PORT.match(host)
    host = (found[1] if found else host).rstrip(".")
    inside = _IN_CLUSTER.match(host)
    if inside:
        return f"{clean(inside[1])}{NAMESPACE}{clean(inside[2])}"
    return clean(host)


def is_address(name: str) -> bool:
    """Whether a name is an address of IP."""
    return bool(_ADDRESS.match(name))


def is_own_address(name: str) -> bool:
    """Whether a name only says that the other side is on the same host."""
    return name in _OWN or name.startswith("127.")


def display_names(values: Iterable[str]) -> list[str]:
    """The name in the graph of each value: with the namespace only where two namespaces have the name.

    A host in a cluster is the service that reports under its first part, or else under `name.namespace`.
    """
    values = list(values)
    reporting = set(values)
    namespaces: dict[str, set[str]] = {}
    for value in values:
        name, separator, namespace = value.partition(NAMESPACE)
        if separator:
            namespaces.setdefault(name, set()).add(namespace)
    return [_display(value, namespaces, reporting) for value in values]


def _display(value: str, namespaces: dict[str, set[str]], reporting: set[str]) -> str:
    name, separator, namespace = value.partition(NAMESPACE)
    if not separator or (len(namespaces[name]) == 1 and (name in reporting or f"{name}.{namespace}" not in reporting)):
        return name
    return f"{name}.{namespace}"
