"""One hop: which sidecars, and all that is configured of them. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from profiler.vocabulary import usual
from profiler.vocabulary.components import (
    CLIENT_APP,
    CLIENT_SIDECAR,
    FILTER_SERVICE,
    SERVER_APP,
    SERVER_SIDECAR,
    SHARED_PROXY,
)
from profiler.vocabulary.protocols import HTTP1

NONE, CLIENT, SERVER, BOTH, SHARED = "none", "client", "server", "both", "shared"
TOPOLOGIES: Final = (NONE, CLIENT, SERVER, BOTH, SHARED)
"""On which side of the hop there is a sidecar; `shared` is one proxy for the whole node instead."""
PLAIN, MTLS = "none", "mtls"
TLS_MODES: Final = (PLAIN, MTLS)
IP, UDS = "ip", "uds"
TRANSPORTS: Final = (IP, UDS)
"""How an application and its own sidecar reach each other."""
APART, TOGETHER, FREE = "apart", "together", "free"
PLACEMENTS: Final = (FREE, APART, TOGETHER)
"""On which CPUs the processes of a hop run: where the scheduler puts them; each pinned to the CPU after that of the one
before it, so that every hand-over goes to another CPU; or all pinned to one CPU, so that none does."""
_PLACES_OF: Final = {
    CLIENT: (CLIENT_SIDECAR,),
    SERVER: (SERVER_SIDECAR,),
    BOTH: (CLIENT_SIDECAR, SERVER_SIDECAR),
    SHARED: (SHARED_PROXY,),
}


@dataclass(frozen=True)
class Hop:
    """What is deployed: the applications' protocol, the sidecars and all that is configured of them.

    `application` is what client and server speak, `protocol` what the sidecars take it for. `filters` are names, or
    paths of the user's own. `bootstrap` is the path of a complete configuration of the user's, taken as it is.
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

    @property
    def name(self) -> str:
        """A name for people and for cell ids: what is not as usual is in it."""
        if self.topology == NONE:
            return "direct" if self.application == HTTP1 else f"direct-{self.application}"
        parts = [
            f"{self.protocol}-{self.topology}",
            "" if self.application == usual.usual_application(self.protocol) else f"for-{self.application}",
            "" if self.proxy == usual.PROXY else self.proxy,
            "" if self.tls == PLAIN else self.tls,
            "+".join(label_of(name) for name in self.filters),
            "" if self.transport == IP else self.transport,
            "" if self.workers == usual.WORKERS else f"w{self.workers}",
            f"own.{label_of(self.bootstrap)}" if self.bootstrap else "",
            "" if self.placement == usual.PLACEMENT else self.placement,
        ]
        return "-".join(part for part in parts if part)

    @property
    def baseline(self) -> "Hop":
        """The same applications without any sidecar."""
        return Hop(NONE, NONE, self.application)

    @property
    def sidecar_places(self) -> tuple[str, ...]:
        """The places of its proxies, in the order a request meets them."""
        return _PLACES_OF.get(self.topology, ())

    @property
    def filter_place(self) -> str | None:
        """Where the filters run: on the server's side as in a mesh, if there is a sidecar; each filter runs once."""
        return self.sidecar_places[-1] if self.filters else None

    def cpu_of(self, place: str, cpus: Sequence[int]) -> int:
        """The CPU of a place: each process of the chain runs on the one after its predecessor's.

        So every hand-over goes to another CPU, as the kernel chooses by itself while one is free (tried: unpinned, the
        median of single rounds spread over a factor of two, as processes happened to share a CPU or not).
        """
        chain = (CLIENT_APP, *self.sidecar_places, SERVER_APP)
        if place == FILTER_SERVICE:
            return cpus[(chain.index(self.filter_place or SERVER_APP) + 1) % len(cpus)]
        return cpus[chain.index(place) % len(cpus)]


def cpus_used(cpus: Sequence[int]) -> list[int]:
    """Those of `cpus` that some hop's processes may be on, by `Hop.cpu_of`: on a large machine not all."""
    longest = 2 + max(len(places) for places in _PLACES_OF.values())  # with client and server
    return list(cpus[: longest + 1])  # the filters' service may be on one more


def label_of(name: str) -> str:
    """How a filter is called in a profile: its name, or that of the user's file."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", Path(name).stem)[:64] if is_file(name) else name


def is_file(name: str) -> bool:
    """Whether a filter's name is the path of a user's file."""
    return "/" in name
