"""Hops chosen one by one, where not all combinations of a run's dimensions are wanted; which hops exist. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from profiler.proxies.filters import needs_of
from profiler.proxies.registry import find_proxy
from profiler.vocabulary.hop import BOTH, IP, NONE, PLAIN, SHARED, WAYPOINT, Hop
from profiler.vocabulary.load import Load
from profiler.vocabulary.protocols import GRPC, TCP
from profiler.vocabulary.usual import usual_application


@dataclass(frozen=True)
class HopChoice:
    """One hop of a run, at `sizes` only (request and response bytes; empty: at all sizes of the run)."""

    protocol: str
    topology: str
    tls: str = PLAIN
    filters: tuple[str, ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()

    @property
    def name(self) -> str:
        """The hop in a word, as profiles name it."""
        application = usual_application(self.protocol)
        return Hop(self.protocol, self.topology, application, tls=self.tls, filters=self.filters).name

    def holds(self, hop: Hop, load: Load) -> bool:
        """Whether the hop at that load is this one."""
        if hop.topology == NONE or self.topology == NONE:
            return hop.topology == self.topology
        hop = hop.family
        same = (hop.protocol, hop.topology, hop.tls, hop.filters) == (
            self.protocol, self.topology, self.tls, self.filters,
        )  # fmt: skip
        return same and (not self.sizes or (load.request_bytes, load.response_bytes) in self.sizes)


def dimensions_of(hops: Sequence[HopChoice]) -> dict[str, Any]:
    """The settings that hold these hops and no others, as keyword arguments of ProfileSettings."""
    sizes = [size for hop in hops for size in hop.sizes]
    found: dict[str, Any] = {
        "hops": tuple(hops),
        "protocols": _unique(hop.protocol for hop in hops),
        "topologies": _unique(hop.topology for hop in hops),
        "tls": _unique(hop.tls for hop in hops),
        "filters": _unique(hop.filters for hop in hops),
    }
    if sizes:
        found["request_bytes"] = _unique(request for request, _ in sizes)
        found["response_bytes"] = _unique(response for _, response in sizes)
    return found


def _unique(values: Any) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(values))


def hop_exists(hop: Hop) -> bool:
    """Whether the combination can be built at all, of values each of which is in some combination that can."""
    if hop.topology == NONE:
        return True
    proxy = find_proxy(hop.proxy)
    network_only = all(needs_of(hop.proxy, name).network for name in hop.filters)
    between_proxies = hop.topology in (BOTH, WAYPOINT) and hop.protocol in proxy.tls_protocols
    return (
        hop.protocol in proxy.protocols
        and (between_proxies if hop.tls != PLAIN else hop.topology != WAYPOINT)
        and (proxy.tunnels or hop.topology != WAYPOINT)
        and (hop.transport == IP or (hop.topology not in (SHARED, WAYPOINT) and hop.application != GRPC))
        and (hop.protocol != TCP or network_only)
    )
