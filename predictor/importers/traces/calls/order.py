"""The stages of a service's calls, from how the calls of many requests lay in time. Pure.

Two edges run at the same time where most pairs of their calls do. What hangs together by that is one stage, unless it
is a chain (the first overlaps the second, the second the third, and the third begins after the first): a graph has no
form for that, so it is divided where that comes closest to the time it takes, and the result is listed.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import Final

EdgeKey = tuple[str, str, bool]
"""Caller, callee, whether the caller waits."""

_CLOSE: Final = 0.05
_LONGEST_CHAIN: Final = 64


@dataclass(frozen=True, slots=True)
class MeanCall:
    """An edge's calls in a mean request: begin of the first since the caller's, end of the last; and their stage."""

    start_ns: float
    end_ns: float
    stage: float

    @property
    def length_ns(self) -> float:
        return self.end_ns - self.start_ns


@dataclass(frozen=True, slots=True)
class Partly:
    """Calls of one caller that overlap in part: how long they take in the traces, and as the graph's stages."""

    edges: tuple[EdgeKey, ...]
    taken_ns: float
    staged_ns: float


def stages_of(
    calls: Mapping[EdgeKey, MeanCall],
    overlaps: Mapping[tuple[EdgeKey, EdgeKey], int],
    follows: Mapping[tuple[EdgeKey, EdgeKey], int],
) -> tuple[dict[EdgeKey, int], list[Partly]]:
    """The stage of each edge among those of its caller, from 0, and what they express only roughly.

    `overlaps` and `follows` are counts of pairs, as in `Statistics`.
    """
    members: dict[EdgeKey, list[EdgeKey]] = {}
    leader = _leaders(calls, overlaps, follows)
    for key in calls:
        members.setdefault(leader[key], []).append(key)
    after: dict[EdgeKey, set[EdgeKey]] = {}
    for first, second in follows:
        low, high = sorted((first, second))
        if follows[first, second] > max(follows.get((second, first), 0), overlaps.get((low, high), 0)):
            after.setdefault(first, set()).add(second)
    groups: dict[str, list[list[EdgeKey]]] = {}
    partly = []
    for lead, together in members.items():
        divided = _divided(sorted(together, key=lambda key: (calls[key].start_ns, key)), calls, after)
        groups.setdefault(lead[0], []).extend(divided)
        if len(together) > 1 and (found := _partly(divided, calls)):
            partly.append(found)
    in_order: dict[str, list[tuple[EdgeKey, EdgeKey, int]]] = {}
    for (first, second), count in follows.items():
        in_order.setdefault(first[0], []).append((first, second, count))
    stage: dict[EdgeKey, int] = {}
    for caller, listed in groups.items():
        for index, group in enumerate(_in_order(listed, calls, in_order.get(caller, []))):
            stage |= dict.fromkeys(group, index)
    return stage, partly


def _leaders(
    calls: Iterable[EdgeKey],
    overlaps: Mapping[tuple[EdgeKey, EdgeKey], int],
    follows: Mapping[tuple[EdgeKey, EdgeKey], int],
) -> dict[EdgeKey, EdgeKey]:
    """By edge, the one that stands for all it runs at the same time with, directly or through others."""
    leader = {key: key for key in calls}

    def lead(key: EdgeKey) -> EdgeKey:
        while leader[key] != key:
            key = leader[key] = leader[leader[key]]
        return key

    for (one, other), count in overlaps.items():
        if one[0] == other[0] and count > follows.get((one, other), 0) + follows.get((other, one), 0):
            leader[lead(one)] = lead(other)
    return {key: lead(key) for key in leader}


def _divided(
    ordered: list[EdgeKey], calls: Mapping[EdgeKey, MeanCall], after: Mapping[EdgeKey, set[EdgeKey]]
) -> list[list[EdgeKey]]:
    """Calls by their start, divided where one is over before another begins, if that fits their time better."""
    places = {key: index for index, key in enumerate(ordered)}
    allowed: set[int] = set()
    for key in ordered if len(ordered) <= _LONGEST_CHAIN else ():
        for later in after.get(key, ()):
            allowed.update(range(places[key] + 1, places.get(later, 0) + 1))
    taken, cuts = _covered(ordered, calls), frozenset[int]()
    best = abs(_staged(_cut(ordered, cuts), calls) - taken)
    while allowed:
        error, place = min(
            (abs(_staged(_cut(ordered, cuts | {each}), calls) - taken), each) for each in sorted(allowed)
        )
        if error >= best:
            break
        best, cuts = error, cuts | {place}
        allowed.discard(place)
    return _cut(ordered, cuts)


def _cut(ordered: Sequence[EdgeKey], cuts: Iterable[int]) -> list[list[EdgeKey]]:
    bounds = [0, *sorted(cuts), len(ordered)]
    return [list(ordered[begin:end]) for begin, end in pairwise(bounds)]


def _covered(keys: Iterable[EdgeKey], calls: Mapping[EdgeKey, MeanCall]) -> float:
    """The time in which at least one of the calls runs."""
    total, reached = 0.0, float("-inf")
    for key in sorted(keys, key=lambda key: calls[key].start_ns):
        total += max(calls[key].end_ns - max(calls[key].start_ns, reached), 0.0)
        reached = max(reached, calls[key].end_ns)
    return total


def _staged(groups: Iterable[Iterable[EdgeKey]], calls: Mapping[EdgeKey, MeanCall]) -> float:
    """The time of stages one after another, each as long as its longest call."""
    return sum(max(calls[key].length_ns for key in group) for group in groups)


def _partly(groups: list[list[EdgeKey]], calls: Mapping[EdgeKey, MeanCall]) -> Partly | None:
    keys = tuple(key for group in groups for key in group)
    taken, staged = _covered(keys, calls), _staged(groups, calls)
    if len(groups) == 1 and abs(staged - taken) <= _CLOSE * taken:
        return None
    return Partly(keys, taken, staged)


def _in_order(
    groups: list[list[EdgeKey]],
    calls: Mapping[EdgeKey, MeanCall],
    follows: Iterable[tuple[EdgeKey, EdgeKey, int]],
) -> list[list[EdgeKey]]:
    """Groups in the order that most requests show; those never seen together by their mean stage and start."""
    where = {key: index for index, group in enumerate(groups) for key in group}
    votes: Counter[tuple[int, int]] = Counter()
    for first, second, count in follows:
        if first in where and second in where and where[first] != where[second]:
            votes[where[first], where[second]] += count
    later: dict[int, list[int]] = {}
    waiting = [0] * len(groups)
    for (one, other), count in votes.items():
        if count > votes.get((other, one), 0):
            later.setdefault(one, []).append(other)
            waiting[other] += 1
    means = [
        (
            sum(calls[key].stage for key in group) / len(group),
            min(calls[key].start_ns for key in group),
            group[0],
            index,
        )
        for index, group in enumerate(groups)
    ]
    free = [mean for mean in means if not waiting[mean[-1]]]
    heapify(free)
    forced = iter(sorted(means))  # where majorities form a cycle
    done: dict[int, None] = {}
    while len(done) < len(groups):
        index = heappop(free)[-1] if free else next(forced)[-1]
        if index in done:
            continue
        done[index] = None
        for other in later.get(index, ()):
            waiting[other] -= 1
            if not waiting[other] and other not in done:
                heappush(free, means[other])
    return [groups[index] for index in done]
