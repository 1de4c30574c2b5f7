"""One hop: which sidecars, and all that is configured of them. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from profiler.vocabulary import usual
from profiler.vocabulary.components import (
    CLIENT_APP,
    CLIENT_SIDECAR,
    CLIENT_TUNNEL,
    FILTER_SERVICE,
    SERVER_APP,
    SERVER_SIDECAR,
    SERVER_TUNNEL,
    SHARED_PROXY,
    WAYPOINT_PROXY,
)
from profiler.vocabulary.protocols import HTTP1, TCP
from profiler.vocabulary.variant import USUAL, Variant

NONE, CLIENT, SERVER, BOTH, SHARED, WAYPOINT = "none", "client", "server", "both", "shared", "waypoint"
TOPOLOGIES: Final = (NONE, CLIENT, SERVER, BOTH, SHARED, WAYPOINT)
"""On which side of the hop there is a sidecar; instead, `shared` is one proxy for the whole node, and `waypoint` a
proxy in a separate pod, which requests reach and leave by tunnels."""
PLAIN, MTLS = "none", "mtls"
TLS_MODES: Final = (PLAIN, MTLS)
IP, UDS = "ip", "uds"
TRANSPORTS: Final = (IP, UDS)
"""How an application and its own sidecar reach each other."""
APART, TOGETHER, FREE = "apart", "together", "free"
ENDS: Final = (APART, TOGETHER)
PLACEMENTS: Final = (FREE, *ENDS)
"""On which CPUs the processes of a hop run: where the scheduler puts them; each pinned to the CPU after that of the one
before it, so that every hand-over goes to another CPU; or all pinned to one CPU, so that none does. The last two are
the ends between which the scheduler's choice lies."""
_PLACES_OF: Final = {
    CLIENT: (CLIENT_SIDECAR,),
    SERVER: (SERVER_SIDECAR,),
    BOTH: (CLIENT_SIDECAR, SERVER_SIDECAR),
    SHARED: (SHARED_PROXY,),
    WAYPOINT: (WAYPOINT_PROXY,),
}
LONGEST_CHAIN: Final = 2 + max(map(len, _PLACES_OF.values()))
"""The most processes that a request meets on a hop, with client and server, but without the ends of tunnels."""


@dataclass(frozen=True)
class Hop:
    """What is deployed: the applications' protocol, the sidecars and all that is configured of them.

    `application` is what client and server speak, `protocol` what the sidecars take it for. `filters` are names, or
    paths of the user's own. `bootstrap` is the path of a complete configuration of the user's, taken as it is. The
    filter and the bootstrap of the `variant` are among them.
    """

    protocol: str
    topology: str
    application: str = HTTP1
    proxy: str = usual.PROXY
    tls: str = PLAIN
    filters: tuple[str, ...] = ()
    transport: str = IP
    workers: int = usual.WORKERS
    bootstrap: str = ""
    placement: str = usual.PLACEMENT
    variant: Variant = USUAL

    @property
    def name(self) -> str:
        """A name for people and for cell ids: what is not as usual is in it."""
        if self.variant.name:
            return f"{self.family.name}@{self.variant.name}"
        placement = "" if self.placement == usual.PLACEMENT else self.placement
        if self.topology == NONE:
            parts = ["direct", "" if self.application == HTTP1 else self.application, placement]
            return "-".join(part for part in parts if part)
        parts = [
            f"{self.protocol}-{self.topology}",
            "" if self.application == usual.usual_application(self.protocol) else f"for-{self.application}",
            "" if self.proxy == usual.PROXY else self.proxy,
            "" if self.tls == PLAIN else self.tls,
            "+".join(label_of(name) for name in self.filters),
            "" if self.transport == IP else self.transport,
            "" if self.workers == usual.WORKERS else f"w{self.workers}",
            f"own.{label_of(self.bootstrap)}" if self.bootstrap else "",
            placement,
        ]
        return "-".join(part for part in parts if part)

    @property
    def baseline(self) -> "Hop":
        """The same applications without any sidecar, placed alike."""
        return Hop(NONE, NONE, self.application, placement=self.placement)

    @property
    def family(self) -> "Hop":
        """The hop without what its variant has instead: equal for all variants that are compared with each other."""
        kept = self.filters[:-1] if self.variant.filter_file else self.filters
        bootstrap = "" if self.variant.bootstrap else self.bootstrap
        return replace(self, filters=kept, bootstrap=bootstrap, variant=USUAL)

    @property
    def parses(self) -> bool:
        """Whether its proxies take requests apart, instead of passing bytes on."""
        return self.topology != NONE and self.protocol != TCP

    @property
    def sidecar_places(self) -> tuple[str, ...]:
        """The places of its proxies, in the order a request meets them."""
        return _PLACES_OF.get(self.topology, ())

    @property
    def proxy_places(self) -> tuple[str, ...]:
        """The same with the ends of a waypoint's tunnels, which are no cost of the waypoint."""
        return (CLIENT_TUNNEL, WAYPOINT_PROXY, SERVER_TUNNEL) if self.topology == WAYPOINT else self.sidecar_places

    @property
    def filter_place(self) -> str | None:
        """Where the filters run: on the server's side as in a mesh, if there is a sidecar; each filter runs once."""
        return self.sidecar_places[-1] if self.filters else None

    def cpu_of(self, place: str, cpus: Sequence[int]) -> int | None:
        """The CPU that the process at `place` is pinned to; None where the scheduler places it.

        Apart, each process of the chain runs on the CPU after its predecessor's. Several workers are never pinned
        apart, since they would all share one CPU.
        """
        if self.placement == TOGETHER:
            return cpus[0]
        if self.placement == FREE or (self.workers > 1 and place in self.sidecar_places):
            return None
        chain = (CLIENT_APP, *self.proxy_places, SERVER_APP)
        if place == FILTER_SERVICE:
            return cpus[(chain.index(self.filter_place or SERVER_APP) + 1) % len(cpus)]
        return cpus[chain.index(place) % len(cpus)]


def cpus_used(cpus: Sequence[int], workers: int = usual.WORKERS) -> list[int]:
    """Those of `cpus` that a hop's processes may be on: on a large machine not all, since each needs its neighbour.

    There are enough for each process of the longest hop, and each of the proxies' `workers`, to have its own.
    """
    most_proxies = max(len(places) for places in _PLACES_OF.values())
    return list(cpus[: 3 + most_proxies * workers])  # with client, server and the filters' service


def label_of(name: str) -> str:
    """How a filter is called in a profile: its name, or that of the user's file."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", Path(name).stem)[:64] if is_file(name) else name


def is_file(name: str) -> bool:
    """Whether a filter's name is the path of a user's file."""
    return "/" in name
