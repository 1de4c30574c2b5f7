"""Random call graphs by a seed, for round trips through the importers. Pure.

The same seed gives the same graph. Every service is reached, calls never form a cycle, and no pair has two calls.
"""

import random
from dataclasses import dataclass
from typing import Final

from predictor.graph.service_time import ServiceTime
from predictor.graph.types import PROTOCOLS, Call, CallGraph, Ingress, Repeat, Service, edge_id

_NUMBERS: Final = (1.0, 1.0, 1.0, 0.25, 0.5, 0.75, 2.0, 3.0, 2.5)
"""Calls per request: mostly one, sometimes optional, sometimes repeated."""
_SIZES: Final = (0, 64, 1_024, 4_096, 65_536, 1_000_000)


@dataclass(frozen=True, slots=True)
class RandomGraphs:
    """What may occur in a random graph.

    `services` is the least and the greatest number of them, `own_us` the bounds of their mean times in µs, between
    which these are even on a logarithmic scale. `spread`: times have a distribution, else every request takes the mean.
    """

    services: tuple[int, int] = (2, 10)
    own_us: tuple[int, int] = (200, 20_000)
    further_calls: float = 0.4
    asynchronous: float = 0.15
    grouped: float = 0.4
    mtls: float = 0.3
    spread: bool = False
    rate_rps: float = 100.0


def random_graph(seed: int, kinds: RandomGraphs = RandomGraphs()) -> CallGraph:
    """The graph of a seed: protocols, TLS, sizes, stages, asynchronous, optional and repeated calls at random."""
    rng = random.Random(seed)  # noqa: S311 (the same graph each time)
    names = [f"service-{number}" for number in range(rng.randint(*kinds.services))]
    pairs = [(rng.choice(names[:number]), name) for number, name in enumerate(names) if number]
    for number, caller in enumerate(names):
        pairs += [
            (caller, callee)
            for callee in names[number + 1 :]
            if (caller, callee) not in pairs and rng.random() < kinds.further_calls / len(names)
        ]
    rng.shuffle(pairs)
    calls: list[Call] = []
    for caller in names:
        calls += _calls(rng, caller, [callee for name, callee in pairs if name == caller], kinds)
    entry = Ingress(
        names[0], kinds.rate_rps, rng.choice(PROTOCOLS[1:]), request_bytes=_size(rng), response_bytes=_size(rng)
    )
    return CallGraph(tuple(_service(rng, name, kinds) for name in names), tuple(calls), (entry,), name=f"seed-{seed}")


def _calls(rng: random.Random, caller: str, callees: list[str], kinds: RandomGraphs) -> list[Call]:
    """The calls of one service in order of their stages; those that nobody waits for have stages of their own."""
    calls: list[Call] = []
    stage, previous = 0, False
    for callee in callees:
        asynchronous = rng.random() < kinds.asynchronous
        stage += bool(calls) and (asynchronous or not previous or rng.random() >= kinds.grouped)
        previous = not asynchronous
        number = rng.choice(_NUMBERS)
        repeat: Repeat = "parallel" if number >= 2 and not asynchronous and rng.random() < 0.5 else "sequential"
        calls.append(
            Call(
                id=edge_id(caller, callee),
                caller=caller,
                callee=callee,
                protocol=rng.choice(PROTOCOLS),
                tls="mtls" if rng.random() < kinds.mtls else "none",
                calls_per_request=number,
                stage=stage,
                repeat=repeat,
                asynchronous=asynchronous,
                request_bytes=_size(rng),
                response_bytes=_size(rng),
            )
        )
    return calls


def _size(rng: random.Random) -> float:
    return float(rng.choice(_SIZES))


def _service(rng: random.Random, name: str, kinds: RandomGraphs) -> Service:
    low, high = kinds.own_us
    mean_ns = 1e3 * round(low * (high / low) ** rng.random())
    time = ServiceTime.constant(mean_ns)
    if kinds.spread:
        time = rng.choice((time, ServiceTime.exponential(mean_ns), ServiceTime.lognormal(mean_ns, 0.5)))
    return Service(name, replicas=rng.randint(1, 4), service_time=time)
