"""From CPU readings to CPU components: what the sidecars cost per request, by two methods. Pure arithmetic.

`event_wait` is all on-CPU time of the wait calls here, also on the way back from them, which the latency timeline
counts as `ipc`: a sampled stack cannot tell the two ways apart, and the two methods must mean the same.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from profiler.attribution.cpu_classes import disagreement_points
from profiler.attribution.statistics import middle
from profiler.vocabulary.components import (
    COMPONENTS,
    IPC,
    OTHER,
    PARSING,
    PROXY_CORE,
    REDIRECT,
    SOCKET_READ,
    SOCKET_WRITE,
)
from profiler.vocabulary.cpu_states import FILTER_SERVER, USER


@dataclass(frozen=True)
class CpuRound:
    """One window's sums: requests, CPU ns by component (with `user` of the sidecars) by each method, and busy ns.

    `sampled_ns` has netfilter as a component of its own, `folded_ns` in whatever it is nested in, as the tracepoints
    see it. Both are empty where nothing was sampled. `sample_ns` is the CPU time that one sample stands for.
    """

    requests: float
    busy_ns: float
    traced_ns: Mapping[str, float]
    sampled_ns: Mapping[str, float]
    folded_ns: Mapping[str, float]
    sample_ns: float = 0.0


@dataclass(frozen=True)
class Redirect:
    """How much of a component is netfilter, by component: the share, and the standard error of sampling it."""

    shares: Mapping[str, float] = field(default_factory=dict)
    errors: Mapping[str, float] = field(default_factory=dict)

    def errors_ns(self, spent_ns: Mapping[str, float]) -> dict[str, float]:
        """Standard errors of the components that lose a share of `spent_ns`, and of `redirect`, which has them all."""
        found = {name: error * max(0.0, spent_ns.get(name, 0.0)) for name, error in self.errors.items()}
        return {**found, REDIRECT: math.hypot(*found.values())} if found else {}


@dataclass(frozen=True)
class CpuRung:
    """A rung of the configuration ladder: its component, and the rounds of the hop that has everything up to it.

    `outside` says that all that is more than on the rung before belongs to the component, not user time only; what the
    server needs that a filter asks goes to `server_component`. `share` is the part of the cell's user time in functions
    that only this rung enters, where that is known, with its standard error.
    """

    component: str
    rounds: list[CpuRound]
    outside: bool = False
    server_component: str | None = None
    share: float | None = None
    share_error: float = 0.0


@dataclass(frozen=True)
class CpuRounds:
    """The rounds of a cell, with sidecars and without, and the rungs of the ladder that its user time is split by.

    The last rung is the cell itself; without rungs all user time is proxy_core.
    """

    with_sidecar: list[CpuRound]
    baseline: list[CpuRound]
    rungs: tuple[CpuRung, ...] = ()

    def drawn(self, indices: Sequence[int]) -> "CpuRounds":
        """The same with the rounds at `indices` only, repeated as they are there."""

        def pick(rounds: list[CpuRound]) -> list[CpuRound]:
            return [rounds[index % len(rounds)] for index in indices]

        rungs = tuple(replace(rung, rounds=pick(rung.rounds)) for rung in self.rungs)
        return CpuRounds(pick(self.with_sidecar), pick(self.baseline), rungs)


Reading = Callable[[CpuRound], Mapping[str, float]]


def busy_rounds(rounds: CpuRounds) -> list[float]:
    """CPU time per request that the sidecars add to the machine in each round, in ns."""
    return [
        one.busy_ns / one.requests - other.busy_ns / other.requests
        for one, other in zip(rounds.with_sidecar, rounds.baseline, strict=False)
    ]


def busy_per_request(rounds: Sequence[CpuRound]) -> float:
    """Non-idle CPU time of the machine per request, in ns, by the kernel's own account, over the middle rounds."""
    rounds = _middle(rounds)
    return sum(entry.busy_ns for entry in rounds) / sum(entry.requests for entry in rounds)


def _middle(rounds: Sequence[CpuRound]) -> list[CpuRound]:
    return middle(rounds, lambda entry: sum(entry.traced_ns.values()) / entry.requests)


def per_request(rounds: Sequence[CpuRound], reading: Reading) -> dict[str, float]:
    """CPU ns per request by component: sums over the middle rounds, by all that was traced in them."""
    rounds = _middle(rounds)
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
    delta[PROXY_CORE] = delta.pop(USER, 0.0)
    user_left_ns = with_sidecar.get(USER, 0.0)
    for lower, upper in reversed(list(pairwise(rounds.rungs))):
        user_left_ns -= _move_step(delta, lower, upper, reading, with_sidecar.get(USER, 0.0), user_left_ns)
    if FILTER_SERVER in delta:  # a server that is asked of its own accord, as a collector of spans
        delta[OTHER] = delta.get(OTHER, 0.0) + delta.pop(FILTER_SERVER)
    return delta


def _move_step(
    delta: dict[str, float], lower: CpuRung, upper: CpuRung, reading: Reading, user_ns: float, user_left_ns: float
) -> float:
    """Move what the upper rung costs more than the lower one to its component; returns the user time in it.

    What is left of user time when all others have theirs is parsing (where that is a rung), less the first rung's.
    """
    below, above = per_request(lower.rounds, reading), per_request(upper.rounds, reading)
    more = {name: above.get(name, 0.0) - below.get(name, 0.0) for name in {**below, **above}}
    if upper.component == PARSING:
        more = {USER: user_left_ns - below.get(USER, 0.0)}
    elif upper.share is not None:
        more = {USER: upper.share * user_ns}
    elif not upper.outside:
        more = {USER: more.get(USER, 0.0)}
    for name, moved_ns in more.items():
        source = PROXY_CORE if name == USER else name
        target = upper.server_component if name == FILTER_SERVER and upper.server_component else upper.component
        delta[source] = delta.get(source, 0.0) - moved_ns
        delta[target] = delta.get(target, 0.0) + moved_ns
    return more.get(USER, 0.0)


@dataclass(frozen=True)
class CpuPart:
    """A component of the CPU time that the sidecars add; `share` is of the sum of all components.

    `rounds_ns` is each round on its own, `error_ns` a standard error that the rounds do not show.
    """

    cpu_ns_per_request: float
    vcpu_per_1000_rps: float
    share: float | None
    rounds_ns: list[float]
    error_ns: float
    source: str


def describe(rounds: CpuRounds, reading: Reading, source: str, redirect: Redirect | None = None) -> dict[str, CpuPart]:
    """CPU components of the overhead."""
    redirect = redirect or Redirect()
    found = overhead(rounds, reading, redirect.shares)
    each = [overhead(rounds.drawn([index]), reading, redirect.shares) for index in range(len(rounds.with_sidecar))]
    names = [*(name for name in COMPONENTS if name in found), *(name for name in found if name not in COMPONENTS)]
    total_ns = sum(found.values())
    spent_ns = per_request(rounds.with_sidecar, reading)
    user_ns = spent_ns.get(USER, 0.0)
    errors_ns = {rung.component: rung.share_error * user_ns for rung in rounds.rungs if rung.share is not None}
    errors_ns |= redirect.errors_ns(spent_ns)
    return {
        name: CpuPart(
            cpu_ns_per_request=found[name],
            vcpu_per_1000_rps=found[name] * 1000 / 1e9,
            share=found[name] / total_ns if total_ns else None,
            rounds_ns=[entry.get(name, 0.0) for entry in each],
            error_ns=errors_ns.get(name, 0.0),
            source=_source(name, source, rounds, bool(redirect.shares)),
        )
        for name in names
    }


def _source(name: str, source: str, rounds: CpuRounds, split: bool) -> str:
    if any(rung.component == name and rung.share is not None for rung in rounds.rungs):
        return f"{source}, eh_frame"
    if len(rounds.rungs) > 1 and name in {
        part for rung in rounds.rungs for part in (rung.component, rung.server_component)
    }:
        return f"{source}, ladder"
    return f"{source}, split by the share of netfilter in perf's stacks" if name == REDIRECT and split else source


def disagreement(rounds: CpuRounds) -> dict[str, float]:
    """By how many points the two methods differ on a component's share of all CPU time with sidecars.

    On classes that both can see: netfilter is folded into what it is nested in. User time of the sidecars is compared
    as a whole, since the ladder splits it for both in the same way.
    """
    tracepoints, samples = (_comparable(per_request(rounds.with_sidecar, reading)) for reading in (traced, _folded))
    return disagreement_points(tracepoints, samples)


def _comparable(parts: Mapping[str, float]) -> dict[str, float]:
    found = {name: value for name, value in parts.items() if name not in (USER, FILTER_SERVER)}
    found[PROXY_CORE] = parts.get(USER, 0.0)
    found[OTHER] = found.get(OTHER, 0.0) + parts.get(FILTER_SERVER, 0.0)
    return found


def traced(entry: CpuRound) -> Mapping[str, float]:
    """The tracepoints' reading of a round."""
    return entry.traced_ns


def sampled(entry: CpuRound) -> Mapping[str, float]:
    """The samples' reading of a round."""
    return entry.sampled_ns


def _folded(entry: CpuRound) -> Mapping[str, float]:
    return entry.folded_ns


def redirect_part(rounds: Sequence[CpuRound]) -> Redirect:
    """The part of ipc, socket_write and socket_read that is netfilter, by the samples: in [0, 1], with sidecars.

    Its error is that of a binomial distribution over the samples of the component, one of each outcome added.
    """
    apart, folded = per_request(rounds, sampled), per_request(rounds, _folded)
    found, errors = {}, {}
    for name in (IPC, SOCKET_WRITE, SOCKET_READ):
        if folded.get(name):
            found[name] = min(1.0, max(0.0, 1 - apart.get(name, 0.0) / folded[name]))
            count = _samples(rounds, name)
            likely = (found[name] * count + 1) / (count + 2)
            errors[name] = math.sqrt(likely * (1 - likely) / (count + 2))
    return Redirect(found, errors)


def _samples(rounds: Sequence[CpuRound], name: str) -> float:
    """How many samples of a component there are, netfilter in it included."""
    return sum(entry.folded_ns.get(name, 0.0) / entry.sample_ns for entry in _middle(rounds) if entry.sample_ns)
