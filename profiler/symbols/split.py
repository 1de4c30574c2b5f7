"""Splitting user time into components by three sources, and comparing them. Pure: no I/O.

- symbols: a function's name, or its file, tells its component through a catalogue.
- eh_frame: functions have no names; the first rung of the configuration ladder that enters one tells its component.
- ladder: no functions at all; what a rung takes more than the one before it is its component.

A function that several rungs enter (memcpy, malloc, the event loop) stays with the first of them, although a later rung
may call it more: whose bytes it copies cannot be told from where it was sampled, so to move its growth would be a
guess. The growth is what separates the second source from the third: for each rung, ladder = eh_frame + growth (summed
over shared functions, and what is unresolved). So `growth_ns` is handed out beside the components: eh_frame alone is
what a component certainly takes, with the growth it is all that switching it on costs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from typing import Final, NamedTuple, TypeAlias

from profiler.symbols.catalogue import PER_STREAM, Catalogue
from profiler.symbols.histogram import UserHistogram
from profiler.symbols.tables import Function
from profiler.vocabulary.components import PARSING

SYMBOLS: Final = "symbols"
EH_FRAME: Final = "eh_frame"
LADDER: Final = "ladder"
UNRESOLVED: Final = "unresolved"
"""What `shares` calls the time of functions that could not be given to a component."""

_MOST_UNRESOLVED: Final = 0.5
"""A split that leaves more than this unresolved says too little to be shown: names of a stripped binary."""


class Rung(NamedTuple):
    """One configuration of the ladder: the component that it adds to the rung before, and what it was measured at."""

    component: str
    histogram: UserHistogram


@dataclass(frozen=True)
class Noise:
    """When a function counts as seen in a rung, in spite of stray samples.

    It does with `samples` samples or more, if that is at least `share` of its time in the last rung. The share keeps a
    rare visit (a health check, an administrator's request, a signal) from claiming a function that the last rung spends
    its time in; whichever way it is decided, at most that share of the function's time ends in the wrong component.
    A shared function that a rung has no sample of by chance counts for a later one. Drawn from real histograms, 500
    samples of the TCP rung moved 2 points of Envoy's user time to parsing and less than 1 of HAProxy's, 200 moved 7 and
    3, 2,000 none. A larger share makes the split jump: Envoy's allocator takes 15 times as long with HTTP as without.
    """

    samples: float = 1.0
    share: float = 0.01


@dataclass(frozen=True)
class UserSplit:
    """User time of a configuration by component, in CPU ns per request, by one source.

    `growth_ns` is by component what functions of earlier components take more (or less) because of it; it is part of
    those in `cpu_ns`, not of this one. `inferred_ns` is the part of `cpu_ns` that rests on a function's neighbours.
    """

    source: str
    cpu_ns: Mapping[str, float]
    unresolved_ns: float = 0.0
    growth_ns: Mapping[str, float] = field(default_factory=dict)
    inferred_ns: float = 0.0

    @property
    def total_ns(self) -> float:
        """All user time, in ns per request."""
        return sum(self.cpu_ns.values()) + self.unresolved_ns

    @property
    def unresolved_share(self) -> float:
        """The part of user time that has no component, in [0, 1]."""
        return self.unresolved_ns / self.total_ns if self.total_ns else 0.0

    @property
    def useful(self) -> bool:
        """Whether so little is unresolved that the split is worth showing."""
        return self.unresolved_share <= _MOST_UNRESOLVED

    @property
    def shares(self) -> dict[str, float]:
        """Each component's part of all user time, and that of `unresolved`; they add up to 1."""
        total = self.total_ns
        parts = {**self.cpu_ns, UNRESOLVED: self.unresolved_ns}
        return {name: spent_ns / total for name, spent_ns in parts.items()} if total else {}


def split_by_symbols(histogram: UserHistogram, catalogue: Catalogue, per_stream: str = PARSING) -> UserSplit:
    """Source 1: what a function's name or file says, and for a nameless one what the names around it say.

    Static functions of a program without `.symtab` have no names. A linker keeps the functions of one source file
    together, so where the catalogue allows it, one that lies between two named functions of the same component is taken
    to be of it too.

    Args:
        histogram: of the configuration to split.
        catalogue: that of the proxy's version.
        per_stream: the component of what is done once per stream. Where connections carry many requests, a plain TCP
            proxy hardly does it and it is `parsing`, since `proxy_core` is what even a plain TCP proxy needs. It is
            `proxy_core` where each request has a connection of its own, and in a plain TCP proxy.
    """
    cpu_ns: dict[str, float] = {}
    unresolved_ns, inferred_ns = histogram.unresolved_ns, 0.0
    for function, spent_ns in histogram.cpu_ns.items():
        component = catalogue.component(function.dso, function.name)
        if component is None and (component := _of_neighbours(function, catalogue)):
            inferred_ns += spent_ns
        component = per_stream if component == PER_STREAM else component
        if component is None:
            unresolved_ns += spent_ns
        else:
            cpu_ns[component] = cpu_ns.get(component, 0.0) + spent_ns
    return UserSplit(SYMBOLS, cpu_ns, unresolved_ns, inferred_ns=inferred_ns)


def _of_neighbours(function: Function, catalogue: Catalogue) -> str | None:
    if function.name is not None or function.between is None:
        return None
    return catalogue.component_between(function.dso, *function.between)


def split_by_rungs(rungs: Sequence[Rung], noise: Noise = Noise()) -> UserSplit:
    """Source 2: the user time of the last rung by the rung that first enters each function.

    Raises:
        ValueError: there are no rungs, or two of the same component.
    """
    _check([rung.component for rung in rungs])
    last = rungs[-1].histogram
    first_seen = {function: _first_seen(function, rungs, noise) for function in last.cpu_ns}
    cpu_ns = dict.fromkeys((rung.component for rung in rungs), 0.0)
    for function, index in first_seen.items():
        cpu_ns[rungs[index].component] += last.cpu_ns[function]
    growth_ns = {
        later.component: sum(
            later.histogram.cpu_ns.get(function, 0.0) - earlier.histogram.cpu_ns.get(function, 0.0)
            for function, seen in first_seen.items()
            if seen <= index
        )
        for index, (earlier, later) in enumerate(pairwise(rungs))
    }
    return UserSplit(EH_FRAME, cpu_ns, last.unresolved_ns, growth_ns)


def _first_seen(function: Function, rungs: Sequence[Rung], noise: Noise) -> int:
    enough_ns = noise.share * rungs[-1].histogram.cpu_ns[function]
    for index, rung in enumerate(rungs[:-1]):
        spent_ns = rung.histogram.cpu_ns.get(function, 0.0)
        # Half a sample of tolerance: counts are whole, but ns per sample vary with the event's period.
        if spent_ns >= enough_ns and spent_ns > (noise.samples - 0.5) * rung.histogram.sample_ns:
            return index
    return len(rungs) - 1


def split_by_ladder(rungs: Sequence[tuple[str, float]]) -> UserSplit:
    """Source 3: what each rung's user time, in ns per request, is more than that of the rung before it.

    Raises:
        ValueError: there are no rungs, or two of the same component.
    """
    _check([component for component, _ in rungs])
    below = [0.0, *(total_ns for _, total_ns in rungs)]
    return UserSplit(LADDER, {name: total_ns - below[index] for index, (name, total_ns) in enumerate(rungs)})


def _check(components: Sequence[str]) -> None:
    if not components or len(set(components)) != len(components):
        raise ValueError(f"a ladder needs one rung for each component, found: {', '.join(components) or 'none'}")


class Disagreement(NamedTuple):
    """By how many points of the share of user time each component is larger by the first source than by the second."""

    first: str
    second: str
    points: dict[str, float]

    @property
    def largest(self) -> float:
        """The largest difference, in points."""
        return max((abs(value) for value in self.points.values()), default=0.0)


def compare(splits: Sequence[UserSplit]) -> list[Disagreement]:
    """Every source against every later one, in points of the share of user time, `unresolved` among them."""
    return [
        Disagreement(
            first.source,
            second.source,
            {
                name: 100 * (first.shares.get(name, 0.0) - second.shares.get(name, 0.0))
                for name in {**first.shares, **second.shares}
            },
        )
        for first, second in combinations(splits, 2)
    ]


class Entered(NamedTuple):
    """The share of user time in functions that a rung enters and the rung before it does not, in [0, 1] but for noise.

    `by_role` is the share of each role's own user time; `error` is one standard deviation of `share`.
    """

    share: float
    error: float
    by_role: Mapping[str, float]


RoleHistogram: TypeAlias = Mapping[str, Mapping[Function, float]]
"""Samples by role and function."""


def entered(lower: RoleHistogram, upper: RoleHistogram, roles: Sequence[str]) -> Entered:
    """How much of the user time of the upper rung is in functions that the lower one never enters.

    Of two samples of the *same* configuration each has functions that the other lacks by chance. So what only the
    lower one has is taken off, which makes the estimate of a component that costs nothing zero on average.

    Args:
        lower: samples of the rung before.
        upper: samples of the rung.
        roles: the roles that can have the component at all; user time of the others counts in the whole only.
    """
    whole_upper, whole_lower = (sum(sum(part.values()) for part in rung.values()) for rung in (upper, lower))
    if not whole_upper or not whole_lower:
        return Entered(0.0, 1.0, {})
    share = variance = 0.0
    by_role = {}
    for role in roles:
        new, lost = (
            _only_in(upper.get(role, {}), lower.get(role, {})),
            _only_in(lower.get(role, {}), upper.get(role, {})),
        )
        share += new / whole_upper - lost / whole_lower
        variance += max(1.0, new) / whole_upper**2 + max(1.0, lost) / whole_lower**2
        own_upper, own_lower = (sum(rung.get(role, {}).values()) for rung in (upper, lower))
        by_role[role] = new / own_upper - lost / own_lower if own_upper and own_lower else 0.0
    return Entered(share, variance**0.5, by_role)


def _only_in(one: Mapping[Function, float], other: Mapping[Function, float]) -> float:
    return sum(samples for function, samples in one.items() if function not in other)
