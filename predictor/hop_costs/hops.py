"""Which measured configurations stand for a hop of the graph. Pure.

The exact one is preferred, unless another was measured at more temperatures; else a hop is put together: each side's
sidecar from a hop with a sidecar on that side only, or from that side's share of a hop with both; a filter from what it
added to another hop of the same protocol.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, product
from typing import Final

from predictor.graph.types import PROTOCOLS
from predictor.hop_costs.needs import Kind, Need, filter_topology, measuring_command, needs_of
from predictor.models.types import POSITIONS, Configuration, FittedModel
from profiler.errors import UsageError
from profiler.vocabulary.hop import PLACEMENTS, Hop
from profiler.vocabulary.protocols import TCP
from profiler.vocabulary.usual import PROXY, usual_application

CLIENT: Final = 0
SERVER: Final = 1
SIDES: Final = ("client", "server")
_ALONE: Final = {"none", "shared", "waypoint"}
"""What is at a side of a hop that has no sidecar of a service there."""


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


class LackingError(UsageError):
    """A profile lacks something that a graph needs."""


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
        """The parts of each kind. Raises `LackingError`, one line with the command that measures what is missing."""
        found: dict[Kind, tuple[Part, ...]] = {}
        missing: list[Need] = []
        for kind in kinds:
            parts = self._hop(kind)
            if parts is None:
                missing += [need for need in needs_of(kind) if not self._points(need)]
            else:
                found[kind] = parts
        if missing:
            raise LackingError(self._lacking_text(list(dict.fromkeys(missing))))
        return found

    def _hop(self, kind: Kind) -> tuple[Part, ...] | None:
        if kind.client == kind.server == "none":
            return ()
        exact = self._sides(kind, kind.filters)
        noted = len(self.notes)
        plain = self._sides(kind, ()) if kind.filters else None
        if plain is not None and _temperatures(plain) > _temperatures(exact):
            added = [self._filter(kind, name) for name in kind.filters]
            known = [parts for parts in added if parts is not None]
            if len(known) == len(added):
                return (*plain, *chain.from_iterable(known))
        del self.notes[noted:]
        return exact

    def _sides(self, kind: Kind, filters: tuple[str, ...]) -> tuple[Part, ...] | None:
        protocols = kind.treated
        if not _ALONE & {*kind.modes} and protocols[0] == protocols[1]:
            points = self._points(Need(protocols[0], "both", kind.tls, filters))
            if points:
                return tuple(Part(side, points, side) for side in (CLIENT, SERVER))
            if filters:  # rather the plain hop and what the filter added elsewhere than two foreign hops
                return None
        parts: list[Part | None] = []
        if "shared" in kind.modes:
            parts += self._shared(kind, filters)
        if kind.server == "waypoint":
            parts.append(self._waypoint(kind, filters))
        for side in (CLIENT, SERVER):
            if kind.modes[side] not in _ALONE:
                parts.append(self._side(protocols[side], side, kind.tls, filters))
        return None if None in parts else tuple(part for part in parts if part is not None)

    def _shared(self, kind: Kind, filters: tuple[str, ...]) -> list[Part | None]:
        """A node's shared proxy. With mutual TLS it was never measured: then what TLS costs a sidecar is added."""
        side = SERVER if kind.server == "shared" else CLIENT
        if kind.client == kind.server:
            self.notes.append("a call between two services with a shared proxy passes one: both are on one node")
        if points := self._points(Need(kind.protocol, "shared", kind.tls, filters)):
            return [Part(side, points)]
        plain = self._points(Need(kind.protocol, "shared", "none", filters))
        with_tls = self._points(Need(kind.protocol, "both", kind.tls))
        if kind.tls == "none" or not plain or not with_tls:
            return [None]
        self.notes.append(
            f"{kind.tls} at a {kind.protocol} shared proxy: what tls costs one sidecar of a hop with both"
        )
        return [Part(side, plain), Part(side, with_tls, side, "tls")]

    def _waypoint(self, kind: Kind, filters: tuple[str, ...]) -> Part | None:
        """A waypoint with its tunnels, on the server's side."""
        points = self._points(Need(kind.protocol, "waypoint", "mtls", filters))
        if not points:
            return None
        self.notes.append("waypoint: one per replica of its service; tunnel is both ends of its tunnels on the nodes")
        if kind.client != "none":
            self.notes.append("a call from a sidecar to a waypoint: the costs of both are added up")
        return Part(SERVER, points)

    def _side(self, protocol: str, side: int, tls: str, filters: tuple[str, ...]) -> Part | None:
        own, other = SIDES[side], SIDES[1 - side]
        alone = self._points(Need(protocol, own, tls, filters))
        if filters and side == CLIENT:  # on a hop with both sidecars the server's has them
            return Part(side, alone) if alone else None
        both = self._points(Need(protocol, "both", tls, filters))
        if alone and len(alone) >= len(both):
            return Part(side, alone)
        if both:
            why = ", which was measured at more temperatures" if alone else ""
            self.notes.append(f"a {protocol} sidecar on the {own} side alone: its share of a hop with both{why}")
            return Part(side, both, side)
        if not filters and (points := self._points(Need(protocol, other, tls, filters))):
            self.notes.append(f"a {protocol} sidecar on the {own} side: taken as one on the {other} side")
            return Part(side, points)
        return None

    def _filter(self, kind: Kind, name: str) -> tuple[Part, ...] | None:
        """What a filter adds, from a hop of the same protocol that has it, else from one of another HTTP protocol.

        HTTP filters work on decoded headers and bodies, which are the same whatever the protocol on the wire. The cost
        is added at one side. None where no hop has it.
        """
        if not kind.filtered:
            self.notes.append(f"filter {name}: a TCP sidecar does not run it")
            return ()
        side = SERVER if filter_topology(kind) in ("server", "waypoint") or kind.server == "shared" else CLIENT
        others = (kind.protocol, *(protocol for protocol in PROTOCOLS if protocol not in (kind.protocol, TCP)))
        places = ("server", "client", "shared", "both", "waypoint")
        ways = product(others, places, dict.fromkeys((kind.tls, "none", "mtls")))
        for protocol, topology, tls in ways:
            if points := self._points(Need(protocol, topology, tls, (name,))):
                foreign = "" if protocol == kind.protocol else f", measured with {protocol}"
                self.notes.append(f"filter {name}: from {points[0][1].name}{foreign}, on the {SIDES[side]} side")
                return (Part(side, points, only=f"filter:{name}"),)
        return None

    def _points(self, need: Need) -> tuple[tuple[float, Configuration], ...]:
        found = self._index.get((need.protocol, need.topology, need.tls, tuple(sorted(need.filters))), [])
        chosen: dict[str, Configuration] = {}
        for item in sorted(found, key=_unusual):
            if item.latency is not None:
                chosen.setdefault(item.temperature, item)
        points = sorted(((POSITIONS[name], item) for name, item in chosen.items() if name in POSITIONS), key=_first)
        return tuple(points) or tuple((0.0, item) for item in list(chosen.values())[:1])

    def _lacking_text(self, missing: list[Need]) -> str:
        from profiler.planning.choice import hop_exists  # not read where nothing is missing

        lacks = f"the profile lacks {', '.join(map(str, missing))}"
        for need in missing:
            application = usual_application(need.protocol)
            if not hop_exists(
                Hop(need.protocol, need.topology, application, self._proxy, need.tls, transport=self._transport)
            ):
                return f"{lacks}; {need} cannot be measured with {self._proxy} over {self._transport}"
        command = measuring_command(missing, self._proxy, self._transport, self._placements)
        return f"{lacks}; measure with: {command}"


def _temperatures(parts: Sequence[Part] | None) -> int:
    """At how many temperatures the least known part was measured; 0 for nothing."""
    return min((len(part.points) for part in parts or ()), default=0)


def _unusual(item: Configuration) -> tuple[bool, int, int, int]:
    usual = usual_application(item.protocol)
    placement = PLACEMENTS.index(item.placement)  # free, as pods run, before pinned ones
    return item.application != usual, len(item.extra_headers), item.workers, placement


def _first(point: tuple[float, Configuration]) -> float:
    return point[0]
