"""Random call graphs that can be deployed here, by a seed. Pure: the same seed gives the same graph on any machine.

What no graph holds: TLS from outside, mutual TLS with a sidecar on one side only, `new_connections`, shared proxies.
Nothing in here may be chosen by looking at the error of a graph.
"""

import math
import random
from dataclasses import dataclass
from typing import Final

from predictor.graph.service_time import ServiceTime
from predictor.graph.types import (
    PROTOCOLS,
    TLS_MODES,
    Call,
    CallGraph,
    Ingress,
    Protocol,
    Repeat,
    Service,
    Sidecar,
    Tls,
    edge_id,
)
from profiler.vocabulary.protocols import TCP
from profiler.vocabulary.temperature import APPLICATION_TEMPERATURES

FILTERS: Final = (
    "access_log", "buffer", "cors", "ext_authz", "fault", "jwt_authn", "local_ratelimit", "lua", "rbac", "stats", "tap",
    "tracing", "wasm",
)  # fmt: skip
"""A fixed list, so that a new filter changes no seed. Not `compressor`: its cost depends on what messages hold."""

SIZES_AROUND: Final = 1024.0
SIZES_SIGMA: Final = 1.5
MOST_SIZE: Final = 256 * 1024
"""Sizes in bytes are log-normal with this median and this sigma, cut off at the largest."""

SERVICE_TIMES_US: Final = (20.0, 2000.0)
RATES_RPS: Final = (5.0, 2000.0)
"""Both are even on a logarithmic scale. A rate that the machine does not hold is lowered when it is measured."""

_SERVICES: Final = (2, 10)
_FURTHER_CALLS: Final = 0.5
_TCP_LEAF: Final = 0.4
_OUTSIDE_THE_MESH: Final = 0.1
_ASYNCHRONOUS: Final = 0.12
_GROUPED: Final = 0.5
_FILTERED: Final = (0.4, 0.6)
"""The shares of graphs with filters, and of their HTTP edges that have them."""

_OPTIONAL: Final = (0.1, 0.25, 0.5, 0.75, 0.9)
_REPEATED: Final = (2.0, 2.5, 3.0, 4.0, 5.0)
_MOST_REQUESTS: Final = 8.0
"""A service gets at most about so many requests for each from outside, or no machine would hold the graph."""


@dataclass(frozen=True, slots=True)
class Kinds:
    """What may occur in a graph. Anything less than the default gives other graphs for the same seeds."""

    protocols: tuple[Protocol, ...] = PROTOCOLS
    tls: tuple[Tls, ...] = TLS_MODES
    filters: tuple[str, ...] = FILTERS
    temperatures: tuple[str, ...] = APPLICATION_TEMPERATURES


@dataclass(frozen=True, slots=True)
class RandomGraph:
    """The graph of a seed, and the temperature that it is deployed at."""

    graph: CallGraph
    temperature: str


def random_graph(seed: int, kinds: Kinds = Kinds()) -> RandomGraph:
    """The graph of a seed."""
    return _Generator(random.Random(seed), kinds).graph(f"seed-{seed}")  # noqa: S311 (the same graph each time)


class _Generator:
    """Draws one graph."""

    def __init__(self, rng: random.Random, kinds: Kinds) -> None:
        self._rng = rng
        self._kinds = kinds
        self._tls: dict[bool, tuple[Tls, ...]] = {}
        self._filters: tuple[str, ...] = ()

    def graph(self, name: str) -> RandomGraph:
        rng, kinds = self._rng, self._kinds
        temperature = rng.choice(kinds.temperatures)
        # A mesh has one policy more often than a setting for each call.
        policy = rng.choice([*((mode,) for mode in kinds.tls), kinds.tls])
        names = [f"service-{number}" for number in range(rng.randint(*_SERVICES))]
        if kinds.filters and rng.random() < _FILTERED[0]:
            self._filters = tuple(rng.sample(kinds.filters, min(rng.choice((1, 1, 2)), len(kinds.filters))))
        callees = self._callees(names)
        protocols = {one: self._protocol(leaf=not callees[one]) for one in names}
        protocols[names[0]] = rng.choice(self._http() or kinds.protocols)
        meshed = {one: one == names[0] or rng.random() >= _OUTSIDE_THE_MESH for one in names}
        reached = dict.fromkeys(names, 0.0) | {names[0]: 1.0}
        calls: list[Call] = []
        for caller in names:
            calls += self._calls(caller, callees[caller], protocols, meshed, policy, reached)
        entry = Ingress(
            names[0],
            self._between(*RATES_RPS),
            protocols[names[0]],
            filters=self._edge_filters(protocols[names[0]]),
            request_bytes=self._size(),
            response_bytes=self._size(),
        )
        services = tuple(self._service(one, meshed[one]) for one in names)
        return RandomGraph(CallGraph(services, tuple(calls), (entry,), name=name), temperature)

    def _callees(self, names: list[str]) -> dict[str, list[str]]:
        """Whom each service calls: all are reached, there is no cycle, and no pair occurs twice."""
        rng = self._rng
        found: dict[str, list[str]] = {name: [] for name in names}
        for number, name in enumerate(names[1:], 1):
            found[rng.choice(names[:number])].append(name)
        for number, caller in enumerate(names):
            further = [name for name in names[number + 1 :] if name not in found[caller]]
            found[caller] += [name for name in further if rng.random() < _FURTHER_CALLS / len(names)]
            rng.shuffle(found[caller])
        return found

    def _http(self) -> tuple[Protocol, ...]:
        return tuple(protocol for protocol in self._kinds.protocols if protocol != TCP)

    def _protocol(self, *, leaf: bool) -> Protocol:
        """What a service is asked by. Services with calls of their own are asked by HTTP, where that is allowed."""
        tcp = TCP in self._kinds.protocols and ((leaf and self._rng.random() < _TCP_LEAF) or not self._http())
        return "tcp" if tcp else self._rng.choice(self._http())

    def _calls(
        self, caller: str, callees: list[str], protocols: dict[str, Protocol], meshed: dict[str, bool],
        policy: tuple[Tls, ...], reached: dict[str, float],
    ) -> list[Call]:  # fmt: skip
        """The calls of one service in order of their stages; an asynchronous call has a stage to itself."""
        rng = self._rng
        calls: list[Call] = []
        stage, grouping = 0, False
        for callee in callees:
            asynchronous = rng.random() < _ASYNCHRONOUS
            stage += bool(calls) and (asynchronous or not grouping or rng.random() >= _GROUPED)
            grouping = not asynchronous
            number = self._number(reached[caller])
            reached[callee] += reached[caller] * number
            repeat: Repeat = "parallel" if number >= 2.0 and rng.random() < 0.5 else "sequential"
            tls = rng.choice(policy)
            calls.append(
                Call(
                    id=edge_id(caller, callee),
                    caller=caller,
                    callee=callee,
                    protocol=protocols[callee],
                    tls=tls if meshed[caller] and meshed[callee] else "none",
                    filters=self._edge_filters(protocols[callee]) if meshed[caller] or meshed[callee] else (),
                    request_bytes=self._size(),
                    response_bytes=self._size(),
                    calls_per_request=number,
                    stage=stage,
                    repeat=repeat,
                    asynchronous=asynchronous,
                )
            )
        return calls

    def _number(self, reached: float) -> float:
        """Calls per request: one more often than not, sometimes optional, sometimes repeated."""
        kind = self._rng.random()
        optional, repeated = self._rng.choice(_OPTIONAL), self._rng.choice(_REPEATED)
        if kind < 0.2 or reached > _MOST_REQUESTS:
            return optional
        return repeated if kind < 0.45 and reached * repeated <= _MOST_REQUESTS else 1.0

    def _edge_filters(self, protocol: Protocol) -> tuple[str, ...]:
        """A TCP sidecar runs no filter of HTTP."""
        return self._filters if self._rng.random() < _FILTERED[1] and protocol != TCP else ()

    def _service(self, name: str, meshed: bool) -> Service:
        mean_ns = 1e3 * self._between(*SERVICE_TIMES_US)
        times = (ServiceTime.constant(mean_ns), ServiceTime.exponential(mean_ns), ServiceTime.lognormal(mean_ns, 0.5))
        sidecar = Sidecar() if meshed else Sidecar("none", "none")
        return Service(name, sidecar=sidecar, service_time=self._rng.choice((times[0], *times)))

    def _size(self) -> float:
        return float(min(round(self._rng.lognormvariate(math.log(SIZES_AROUND), SIZES_SIGMA)), MOST_SIZE))

    def _between(self, low: float, high: float) -> float:
        """Even on a logarithmic scale, to two digits."""
        return min(max(float(f"{low * (high / low) ** self._rng.random():.2g}"), low), high)
