"""From CPU readings to CPU components: what the sidecars cost per request, by two methods. Pure arithmetic.

`event_wait` is all on-CPU time of the wait calls here, also on the way back from them, which the latency timeline
counts as `ipc`: a sampled stack cannot tell the two ways apart, and the two methods must mean the same.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from profiler.attribution.cpu_classes import USER, disagreement_points
from profiler.attribution.statistics import Floats, bootstrap_interval
from profiler.components import COMPONENTS, IPC, PARSING, PROXY_CORE, REDIRECT, SOCKET_READ, SOCKET_WRITE


@dataclass(frozen=True)
class CpuRound:
    """One window's sums: requests, CPU ns by component (with `user` of the sidecars) by each method, and busy ns.

    `sampled_ns` has netfilter as a component of its own, `folded_ns` in whatever it is nested in, as the tracepoints
    see it. Both are empty where nothing was sampled.
    """

    requests: float
    busy_ns: float
    traced_ns: Mapping[str, float]
    sampled_ns: Mapping[str, float]
    folded_ns: Mapping[str, float]


@dataclass(frozen=True)
class CpuRounds:
    """The rounds of a cell: with sidecars, without, and of the TCP rung where user time is to be split."""

    with_sidecar: list[CpuRound]
    baseline: list[CpuRound]
    tcp_rung: list[CpuRound] | None = None

    def drawn(self, indices: Sequence[int]) -> "CpuRounds":
        """The same with the rounds at `indices` only, repeated as they are there."""

        def pick(rounds: list[CpuRound]) -> list[CpuRound]:
            return [rounds[index % len(rounds)] for index in indices]

        return CpuRounds(pick(self.with_sidecar), pick(self.baseline), pick(self.tcp_rung) if self.tcp_rung else None)


Reading = Callable[[CpuRound], Mapping[str, float]]


def busy_per_request(rounds: Sequence[CpuRound]) -> float:
    """Non-idle CPU time of the machine per request, in ns, by the kernel's own account."""
    return sum(entry.busy_ns for entry in rounds) / sum(entry.requests for entry in rounds)


def per_request(rounds: Sequence[CpuRound], reading: Reading) -> dict[str, float]:
    """CPU ns per request by component: sums over all rounds, so that long rounds count for more."""
    requests = sum(entry.requests for entry in rounds)
    names = {name for entry in rounds for name in reading(entry)}
    return {name: sum(reading(entry).get(name, 0.0) for entry in rounds) / requests for name in sorted(names)}


def overhead(
    rounds: CpuRounds, reading: Reading, redirect_shares: Mapping[str, float] | None = None
) -> dict[str, float]:
    """CPU ns per request that the sidecars add, by component; user time split by the ladder where there is a rung.

    `redirect_shares` moves that part of a component, with sidecars, to `redirect`.
    """
    with_sidecar, baseline = per_request(rounds.with_sidecar, reading), per_request(rounds.baseline, reading)
    delta = {name: with_sidecar.get(name, 0.0) - baseline.get(name, 0.0) for name in {**with_sidecar, **baseline}}
    for name, share in (redirect_shares or {}).items():
        moved_ns = share * with_sidecar.get(name, 0.0)
        delta[name] -= moved_ns
        delta[REDIRECT] = delta.get(REDIRECT, 0.0) + moved_ns
    user_ns = delta.pop(USER, 0.0)
    if rounds.tcp_rung is None:
        return {**delta, PROXY_CORE: user_ns}
    core_ns = per_request(rounds.tcp_rung, reading).get(USER, 0.0)
    return {**delta, PROXY_CORE: core_ns, PARSING: user_ns - core_ns}


def describe(
    rounds: CpuRounds, reading: Reading, source: str, seed: int, redirect_shares: Mapping[str, float] | None = None
) -> dict[str, dict[str, Any]]:
    """CPU components of the overhead, in the shape of `cpu.components` of a profile cell."""
    found = overhead(rounds, reading, redirect_shares)
    names = [name for name in COMPONENTS if name in found]
    total_ns = sum(found.values())

    def statistic(drawn: list[int]) -> Floats:
        again = overhead(rounds.drawn(drawn), reading, redirect_shares)
        return np.array([again.get(name, 0.0) for name in names])

    low, high = bootstrap_interval(range(len(rounds.with_sidecar)), statistic, seed)
    return {
        name: {
            "cpu_ns_per_request": found[name],
            "vcpu_per_1000_rps": found[name] * 1000 / 1e9,
            "share": found[name] / total_ns if total_ns else None,
            "ci95_ns": [float(low[index]), float(high[index])],
            "source": _source(name, source, rounds, bool(redirect_shares)),
        }
        for index, name in enumerate(names)
    }


def _source(name: str, source: str, rounds: CpuRounds, split: bool) -> str:
    if name in (PROXY_CORE, PARSING) and rounds.tcp_rung:
        return f"{source}, ladder"
    return f"{source}, split by the share of netfilter in perf's stacks" if name == REDIRECT and split else source


def disagreement(rounds: CpuRounds) -> dict[str, float]:
    """By how many points the two methods differ on a component's share of all CPU time with sidecars.

    On classes that both can see: netfilter is folded into what it is nested in. User time of the sidecars is compared
    as a whole, since the ladder splits it for both in the same way.
    """
    points = disagreement_points(per_request(rounds.with_sidecar, traced), per_request(rounds.with_sidecar, _folded))
    return {PROXY_CORE if name == USER else name: value for name, value in points.items()}


def traced(entry: CpuRound) -> Mapping[str, float]:
    """The tracepoints' reading of a round."""
    return entry.traced_ns


def sampled(entry: CpuRound) -> Mapping[str, float]:
    """The samples' reading of a round."""
    return entry.sampled_ns


def _folded(entry: CpuRound) -> Mapping[str, float]:
    return entry.folded_ns


def redirect_shares(rounds: Sequence[CpuRound]) -> dict[str, float]:
    """The part of ipc, socket_write and socket_read that is netfilter, by the samples: in [0, 1], with sidecars."""
    apart, folded = per_request(rounds, sampled), per_request(rounds, _folded)
    shares = {}
    for name in (IPC, SOCKET_WRITE, SOCKET_READ):
        if folded.get(name):
            shares[name] = min(1.0, max(0.0, 1 - apart.get(name, 0.0) / folded[name]))
    return shares
