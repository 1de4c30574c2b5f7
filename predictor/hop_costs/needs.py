"""What hops of a graph need of a profile: the configurations that predict them best and can be measured. Pure.

The same list serves a prediction, which states what a profile lacks of it, and the plan of a profile for a graph.
"""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from predictor.graph.types import SidecarMode
from profiler.vocabulary.hop import BOTH, CLIENT, MTLS, PLAIN, SERVER, SHARED, WAYPOINT
from profiler.vocabulary.protocols import TCP
from profiler.vocabulary.usual import PROXY

_NO_SIDECAR: Final = "none"


@dataclass(frozen=True, slots=True)
class Kind:
    """What the cost of a hop depends on, apart from sizes: the sidecars as they treat the call, and the call's ways."""

    client: SidecarMode
    server: SidecarMode
    protocol: str
    tls: str
    filters: tuple[str, ...]

    @property
    def modes(self) -> tuple[SidecarMode, SidecarMode]:
        """The sidecars on the client's and the server's side."""
        return self.client, self.server

    @property
    def treated(self) -> tuple[str, str]:
        """What the sidecars of both sides take the call for."""
        client, server = (TCP if mode == "tcp" else self.protocol for mode in self.modes)
        return client, server

    @property
    def filtered(self) -> tuple[str, ...]:
        """The filters that some sidecar runs: one that takes the call for TCP runs none."""
        return self.filters if self.protocol != TCP and not set(self.modes) <= {"tcp", _NO_SIDECAR} else ()


@dataclass(frozen=True, slots=True, order=True)
class Need:
    """A configuration to measure, at both ends of the temperatures."""

    protocol: str
    topology: str
    tls: str = PLAIN
    filters: tuple[str, ...] = ()

    def __str__(self) -> str:
        further = [*(() if self.tls == PLAIN else (self.tls,)), *self.filters]
        return "-".join((self.protocol, self.topology, *further))


def needs_of(kind: Kind) -> tuple[Need, ...]:
    """What to measure for a kind of hop, all of which can be.

    Mutual TLS runs between two sidecars only, and always in the tunnels of a waypoint, whatever a graph says.
    """
    if kind.client == kind.server == _NO_SIDECAR:
        return ()
    whole = whole_hop(kind)
    if whole is not None and (kind.tls == PLAIN or whole.topology in (BOTH, WAYPOINT)):
        return (whole,)
    if whole is not None and whole.topology == SERVER:  # where filters run, with sidecars on both sides too
        return (Need(whole.protocol, BOTH, kind.tls, whole.filters),)
    found = [need for side in (0, 1) for need in _side(kind, side)]
    place = filter_topology(kind)
    tls = MTLS if place == WAYPOINT else PLAIN
    found += [Need(kind.protocol, place, tls, (name,)) for name in kind.filtered]
    return tuple(dict.fromkeys(found))


def whole_hop(kind: Kind) -> Need | None:
    """The one hop that is the kind; None where its two sides are treated in different ways, as no hop has them."""
    sides = [side for side, mode in enumerate(kind.modes) if mode != _NO_SIDECAR]
    if SHARED in kind.modes:
        alone = len(sides) == 1 or kind.client == kind.server
        return Need(kind.protocol, SHARED, kind.tls, kind.filtered) if alone else None
    if kind.server == WAYPOINT:
        return Need(kind.protocol, WAYPOINT, MTLS, kind.filtered) if len(sides) == 1 else None
    treated = {kind.treated[side] for side in sides}
    topology = BOTH if len(sides) == 2 else (CLIENT, SERVER)[sides[0]]
    return Need(treated.pop(), topology, kind.tls, kind.filtered) if len(treated) == 1 else None


def filter_topology(kind: Kind) -> str:
    """Where a filter is measured alone for a kind: where the call meets the sidecar that runs it."""
    if kind.server == WAYPOINT:
        return WAYPOINT
    if SHARED in kind.modes:
        return SHARED
    return SERVER if kind.server == "http" else CLIENT


def _side(kind: Kind, side: int) -> list[Need]:
    """What one side needs, without filters."""
    mode, protocol = kind.modes[side], kind.treated[side]
    if mode == _NO_SIDECAR:
        return []
    if mode == WAYPOINT:
        return [Need(protocol, WAYPOINT, MTLS)]
    if mode != SHARED:
        return [Need(protocol, (CLIENT, SERVER)[side]) if kind.tls == PLAIN else Need(protocol, BOTH, kind.tls)]
    return [Need(protocol, SHARED), *([Need(protocol, BOTH, MTLS)] if kind.tls != PLAIN else ())]


def measuring_command(
    needs: Sequence[Need], proxy: str = PROXY, transport: str = "ip", placements: Sequence[str] = ()
) -> str:
    """The command that measures them, and whatever else its options combine to."""
    tls = _joined(need.tls for need in needs)
    return profile_command(
        {
            "protocol": [_joined(need.protocol for need in needs)],
            "topology": [_joined(need.topology for need in needs)],
            "tls": [tls] if tls != PLAIN else [],
            "filter": [name for name in dict.fromkeys("+".join(need.filters) for need in needs) if name],
            "proxy": [proxy] if proxy != PROXY else [],
            "placement": [",".join(placements)] if placements else [],
            "transport": [transport] if transport != "ip" else [],
        }
    )


def profile_command(given: Mapping[str, Sequence[str]]) -> str:
    """The command that measures what is given by option, fit for a shell whatever the values hold."""
    words = ["meshinsight", "profile"]
    for option, values in given.items():
        for value in values:
            words += [f"--{option}={value}"] if value.startswith("-") else [f"--{option}", value]
    return shlex.join(words)


def _joined(names: Iterable[str]) -> str:
    return ",".join(dict.fromkeys(names))
