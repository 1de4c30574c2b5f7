"""Which measured configurations stand for a hop of the graph. Pure.

The exact one is preferred; else a hop is put together: each side's sidecar from a hop with a sidecar on that side only,
or from that side's share of a hop with both; a filter from what it added to another hop of the same protocol.
"""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from predictor.graph.types import PROTOCOLS, SidecarMode
from predictor.models.types import POSITIONS, Configuration, FittedModel
from profiler.errors import UsageError
from profiler.vocabulary.hop import PLACEMENTS
from profiler.vocabulary.protocols import TCP
from profiler.vocabulary.usual import PROXY, usual_application

CLIENT: Final = 0
SERVER: Final = 1
SIDES: Final = ("client", "server")


@dataclass(frozen=True, slots=True)
class Kind:
    """What the cost of a hop depends on, apart from sizes: the sidecars as they treat the call, and the call's ways."""

    client: SidecarMode
    server: SidecarMode
    protocol: str
    tls: str
    filters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A cost of a hop at one side: the configuration at its measured temperatures, in ascending order.

    `share` says which side's share of the configuration is meant (None: all of it), `only` which components (by
    their beginning; empty: all).
    """

    side: int
    points: tuple[tuple[float, Configuration], ...]
    share: int | None = None
    only: str = ""


@dataclass(frozen=True, slots=True)
class Missing:
    """A configuration that the profile lacks."""

    protocol: str
    topology: str
    tls: str
    filters: tuple[str, ...]

    def __str__(self) -> str:
        further = [*(() if self.tls == "none" else (self.tls,)), *self.filters]
        return "-".join((self.protocol, self.topology, *further))


class Resolver:
    """Finds the parts of hops in a model. `notes` collects what had to be assumed.

    `placements` are those that a missing configuration is to be measured with; empty: the usual one.
    """

    def __init__(self, model: FittedModel, proxy: str | None, transport: str, placements: tuple[str, ...] = ()) -> None:
        known = list(dict.fromkeys(item.proxy for item in model.configurations))
        self._proxy = proxy or (PROXY if PROXY in known or not known else known[0])
        if known and self._proxy not in known:
            raise UsageError(f"--proxy {self._proxy}: the profile has {', '.join(known)}")
        self._transport = transport
        self._placements = placements
        self._index: dict[tuple[str, str, str, tuple[str, ...]], list[Configuration]] = {}
        for item in model.configurations:
            if item.proxy == self._proxy and item.transport == transport:
                key = (item.protocol, item.topology, item.tls, tuple(sorted(item.filters)))
                self._index.setdefault(key, []).append(item)
        self.notes: list[str] = []

    def resolve(self, kinds: Iterable[Kind]) -> dict[Kind, tuple[Part, ...]]:
        """The parts of each kind. Raises `UsageError`, one line with the command that measures what is missing."""
        found: dict[Kind, tuple[Part, ...]] = {}
        missing: list[Missing] = []
        for kind in kinds:
            try:
                found[kind] = self._hop(kind)
            except _LackingError as lack:
                missing.append(lack.what)
        if missing:
            raise UsageError(self._lacking_text(list(dict.fromkeys(missing))))
        return found

    def _hop(self, kind: Kind) -> tuple[Part, ...]:
        if kind.client == kind.server == "none":
            return ()
        exact = self._sides(kind, kind.filters)
        if exact is not None:
            return exact
        plain = self._sides(kind, ()) if kind.filters else None
        if plain is None:
            topology = "shared" if "shared" in (kind.client, kind.server) else _topology(kind)
            raise _LackingError(Missing(_treated(kind, kind.server, kind.client), topology, kind.tls, kind.filters))
        return (*plain, *(part for name in kind.filters for part in self._filter(kind, name)))

    def _sides(self, kind: Kind, filters: tuple[str, ...]) -> tuple[Part, ...] | None:
        modes = (kind.client, kind.server)
        protocols = [_treated(kind, mode, mode) for mode in modes]
        if "shared" not in modes and "none" not in modes and protocols[0] == protocols[1]:
            points = self._points(protocols[0], "both", kind.tls, filters)
            if points:
                return tuple(Part(side, points, side) for side in (CLIENT, SERVER))
            if filters:  # rather the plain hop and what the filter added elsewhere than two foreign hops
                return None
        parts: list[Part | None] = []
        if "shared" in modes:
            side = SERVER if kind.server == "shared" else CLIENT
            points = self._points(kind.protocol, "shared", kind.tls, filters)
            parts.append(Part(side, points) if points else None)
            if kind.client == kind.server:
                self.notes.append("a call between two services with a shared proxy passes one: both are on one node")
        for side in (CLIENT, SERVER):
            if modes[side] not in ("none", "shared"):
                parts.append(self._side(protocols[side], side, kind.tls, filters))
        return None if None in parts else tuple(part for part in parts if part is not None)

    def _side(self, protocol: str, side: int, tls: str, filters: tuple[str, ...]) -> Part | None:
        own, other = SIDES[side], SIDES[1 - side]
        if points := self._points(protocol, own, tls, filters):
            return Part(side, points)
        if points := self._points(protocol, "both", tls, filters):
            self.notes.append(f"a {protocol} sidecar on the {own} side alone: its share of a hop with both")
            return Part(side, points, side)
        if not filters and (points := self._points(protocol, other, tls, filters)):
            self.notes.append(f"a {protocol} sidecar on the {own} side: taken as one on the {other} side")
            return Part(side, points)
        return None

    def _filter(self, kind: Kind, name: str) -> tuple[Part, ...]:
        """What a filter adds, from a hop of the same protocol that has it, else from one of another HTTP protocol.

        HTTP filters work on decoded headers and bodies, which are the same whatever the protocol on the wire. The cost
        is added at one side, or at both as it was measured.
        """
        side = SERVER if kind.server != "none" else CLIENT
        if kind.protocol == TCP or {kind.client, kind.server} <= {"tcp", "none"}:
            self.notes.append(f"filter {name}: a TCP sidecar does not run it")
            return ()
        others = (kind.protocol, *(protocol for protocol in PROTOCOLS if protocol not in (kind.protocol, TCP)))
        ways = product(others, ("server", "client", "shared", "both"), dict.fromkeys((kind.tls, "none", "mtls")))
        for protocol, topology, tls in ways:
            if points := self._points(protocol, topology, tls, (name,)):
                foreign = "" if protocol == kind.protocol else f", measured with {protocol}"
                self.notes.append(f"filter {name}: from {points[0][1].name}{foreign}, on the {SIDES[side]} side")
                return (Part(side, points, side if topology == "both" else None, f"filter:{name}"),)
        raise _LackingError(Missing(kind.protocol, _topology(kind), kind.tls, (name,)))

    def _points(
        self, protocol: str, topology: str, tls: str, filters: tuple[str, ...]
    ) -> tuple[tuple[float, Configuration], ...]:
        found = self._index.get((protocol, topology, tls, tuple(sorted(filters))), [])
        chosen: dict[str, Configuration] = {}
        for item in sorted(found, key=_unusual):
            if item.latency is not None:
                chosen.setdefault(item.temperature, item)
        points = sorted(((POSITIONS[name], item) for name, item in chosen.items() if name in POSITIONS), key=_first)
        return tuple(points) or tuple((0.0, item) for item in list(chosen.values())[:1])

    def _lacking_text(self, missing: list[Missing]) -> str:
        names = ", ".join(str(item) for item in missing)
        given = {"protocol": [_joined(item.protocol for item in missing)]}
        given["topology"] = [_joined(item.topology for item in missing)]
        if any(item.tls != "none" for item in missing):
            given["tls"] = [_joined(item.tls for item in missing)]
        given["filter"] = [name for name in dict.fromkeys("+".join(item.filters) for item in missing) if name]
        given["proxy"] = [self._proxy] if self._proxy != PROXY else []
        given["placement"] = [",".join(self._placements)] if self._placements else []
        given["transport"] = [self._transport] if self._transport != "ip" else []
        return f"the profile lacks {names}; measure with: {profile_command(given)}"


def profile_command(given: Mapping[str, Sequence[str]]) -> str:
    """The command that measures what is given by option, fit for a shell whatever the values hold."""
    words = ["meshinsight", "profile"]
    for option, values in given.items():
        for value in values:
            words += [f"--{option}={value}"] if value.startswith("-") else [f"--{option}", value]
    return shlex.join(words)


class _LackingError(Exception):
    def __init__(self, what: Missing) -> None:
        super().__init__(str(what))
        self.what = what


def _treated(kind: Kind, mode: SidecarMode, otherwise: SidecarMode) -> str:
    mode = otherwise if mode == "none" else mode
    return "tcp" if mode == "tcp" else kind.protocol


def _topology(kind: Kind) -> str:
    return "both" if "none" not in (kind.client, kind.server) else "client" if kind.server == "none" else "server"


def _unusual(item: Configuration) -> tuple[bool, int, int, int]:
    usual = usual_application(item.protocol)
    placement = PLACEMENTS.index(item.placement)  # free, as pods run, before pinned ones
    return item.application != usual, len(item.extra_headers), item.workers, placement


def _first(point: tuple[float, Configuration]) -> float:
    return point[0]


def _joined(names: Iterable[str]) -> str:
    return ",".join(dict.fromkeys(names))
