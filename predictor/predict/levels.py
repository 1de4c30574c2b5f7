"""Which calls wait for which, in many graphs at once, and how long requests take. Pure numpy.

Edges are in the order in which requests reach them: level after level from the entries, within a level by caller and
stage. The arithmetic is that of `predictor.predict.latency`, which says what it means.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from predictor.models.types import Floats
from predictor.predict.longest import Booleans, Indices, longest
from predictor.predict.schedule import CALLER_SHARE, RAREST, following_share, uneven, usable


@dataclass(frozen=True, slots=True)
class Levels:
    """`order` sorts calls by level, `bounds` are the levels' places in it; `stuck` are nodes on or behind cycles.

    `rates` are requests per second, by node.
    """

    order: Indices
    bounds: tuple[tuple[int, int], ...]
    rates: Floats
    stuck: Indices


def find_levels(caller: Indices, callee: Indices, stage: Floats, times: Floats, entered: Floats) -> Levels:
    """Levels and rates of calls; `times` are calls per request, `entered` the rates from outside by node."""
    by_caller = _sorted(caller, stage)
    callees, factors = callee[by_caller], times[by_caller]
    count = np.bincount(caller, minlength=len(entered))
    start = np.cumsum(count) - count
    waiting = np.bincount(callee, minlength=len(entered))
    place = np.empty(len(entered), dtype=np.intp)
    rates = entered.copy()
    chosen: list[Indices] = []
    frontier = np.flatnonzero(waiting == 0)
    while True:
        frontier = frontier[count[frontier] > 0]
        if not frontier.size:
            break
        number = count[frontier]
        edges = np.repeat(start[frontier] - (np.cumsum(number) - number), number) + np.arange(number.sum())
        reached = callees[edges]
        np.add.at(rates, reached, np.repeat(rates[frontier], number) * factors[edges])
        np.subtract.at(waiting, reached, 1)
        chosen.append(edges)
        frontier = _once(reached[waiting[reached] == 0], place)
    sizes = np.cumsum([0, *(len(edges) for edges in chosen)]).tolist()
    order = by_caller[np.concatenate(chosen)] if chosen else np.zeros(0, dtype=np.intp)
    return Levels(order, tuple(pairwise(sizes)), rates, np.flatnonzero(waiting > 0))


def _once(values: Indices, place: Indices) -> Indices:
    """Values, each once. `place` is room for them, left as it may be."""
    numbers = np.arange(len(values))
    place[values] = numbers
    return np.asarray(values[place[values] == numbers])


def _sorted(caller: Indices, stage: Floats) -> Indices:
    """Rows by caller, stage and place, as `np.lexsort` would sort them, but by one number."""
    if not len(caller):
        return np.zeros(0, dtype=np.intp)
    bits = max(len(caller) - 1, 1).bit_length()
    stages, count = _dense(stage)
    key = ((caller * count + stages) << bits) | np.arange(len(caller))
    return np.asarray(np.sort(key) & ((1 << bits) - 1))


def _dense(stage: Floats) -> tuple[Indices, int]:
    low, high = float(stage.min()), float(stage.max())
    if high - low < 1024.0:
        return (stage - low).astype(np.intp), int(high - low) + 1
    values, numbers = np.unique(stage, return_inverse=True)
    return numbers, len(values)


@dataclass(frozen=True, slots=True)
class _Level:
    """A level's place, callers and callees, and the edges that share a stage: rows of equally many."""

    edges: slice
    caller: Indices
    callee: Indices
    shared: tuple[Indices, ...]


@dataclass(frozen=True, slots=True)
class Answers:
    """By graph: mean ns, and its delay by asynchronous calls. By edge and by node: how often a request waits for it."""

    mean_ns: Floats
    edge_weights: Floats
    service_weights: Floats
    delays_ns: Floats


@dataclass(frozen=True, slots=True)
class Entries:
    """Where requests come in: nodes and graphs of the entries, and each one's part of its graph's requests."""

    node: Indices
    graph: Indices
    share: Floats
    graphs: int


@dataclass(frozen=True, slots=True)
class Times:
    """Means and variances of nodes with their calls; the rest is by call.

    A call is waited for `factor` × its mean + `excess` ns + `hop_factor` × its hop. Of the variance of its stage it has
    `part`, of which `by_chance` is whether it happens at all, `of_hop` the hop's, the rest the callee's. `taken` is
    what the call counts in the mean of its caller.
    """

    mean: Floats
    variance: Floats
    one: Floats
    factor: Floats
    excess: Floats
    part: Floats
    by_chance: Floats
    of_hop: Floats
    hop_factor: Floats
    taken: Floats


@dataclass(frozen=True, slots=True)
class _Waiting:
    """How often a request waits for each edge and node, hops and variances in it; mean delay by asynchronous calls."""

    edge_weights: Floats
    service_weights: Floats
    delays_ns: Floats


class Requests:
    """Requests through many graphs.

    `cpus` is by call, infinity where it is not known how many there are (None: nowhere), and so is `graph`. The
    arithmetic is that of `predictor.predict.latency`. `own_ns` and `own_variances` are by node.
    """

    def __init__(
        self,
        bounds: Sequence[tuple[int, int]],
        caller: Indices,
        callee: Indices,
        stage: Floats,
        times: Floats,
        parallel: Booleans,
        asynchronous: Booleans | None,
        cpus: Floats | None,
        graph: Indices,
        own_ns: Floats,
        own_variances: Floats,
    ) -> None:
        skipped = times < RAREST
        cpus = None if cpus is None else usable(cpus)
        self._background: Floats | None = None
        if asynchronous is not None:
            if cpus is not None:
                self._background = np.where(asynchronous & ~skipped, times, 0.0)
            skipped |= asynchronous  # nobody waits for it
        waited = np.where(skipped, 0.0, times)
        self._own_ns, self._own_variances = own_ns, own_variances
        self._number = waited
        self._rest = waited - np.floor(waited)
        self._together = parallel & (waited > 1.0)
        self._often = np.minimum(waited, 1.0)
        self._times = np.where(parallel, 1.0, np.maximum(times, 1.0))
        self._least = None if cpus is None else waited / (self._times * cpus)
        self._uneven = None if cpus is None else uneven(cpus)
        self._cpus, self._graph, self._stage = cpus, graph, stage
        self._levels = [
            _Level(
                slice(*span),
                caller[slice(*span)],
                callee[slice(*span)],
                _shared(span, caller, stage, waited, self._together),
            )
            for span in bounds
        ]

    def answers(self, times: Times, hop_ns: Floats, entries: Entries) -> Answers:
        """The answers, from `times` with hops of `hop_ns`, which has those of the entries behind the calls'."""
        calls = len(hop_ns) - len(entries.node)
        found = self._waiting(times, hop_ns[:calls], entries)
        taken = entries.share * (hop_ns[calls:] + times.mean[entries.node])
        weights = np.concatenate((found.edge_weights, entries.share))
        mean_ns = _sums(entries.graph, taken, entries.graphs) + found.delays_ns
        return Answers(mean_ns, weights, found.service_weights, found.delays_ns)

    def without_hops_ns(self, entries: Entries) -> Floats:
        """Mean ns by graph without hops."""
        means = _sums(entries.graph, entries.share * self.without_hops.mean[entries.node], entries.graphs)
        if self._background is None:
            return means
        return means + self._waiting(self.without_hops, np.zeros(len(self._often)), entries).delays_ns

    def _waiting(self, times: Times, hop_ns: Floats, entries: Entries) -> _Waiting:
        """From the entries down. `times` are those with hops of `hop_ns`, by call."""
        reached, above, following = (np.zeros(len(self._own_ns)) for _ in range(3))
        np.add.at(reached, entries.node, entries.share)
        weights, delays = np.empty(len(hop_ns)), np.zeros(entries.graphs)
        variance = times.variance
        for level in self._levels:
            each = _ratio(above[level.caller], variance[level.caller])
            more = reached[level.caller] * times.excess[level.edges] + each * times.part[level.edges]
            counted = reached[level.caller] * times.factor[level.edges]
            counted += _ratio(more * times.by_chance[level.edges], times.one[level.edges])
            delaying = None
            if self._background is not None:
                left = _ratio(following, reached)
                np.add.at(following, level.callee, counted * self._rests(level, times, left))
                delaying = self._delaying(level, self._background, times, left) * reached[level.caller]
                delays += _sums(self._graph[level.edges], delaying * times.one[level.edges], entries.graphs)
            np.add.at(reached, level.callee, counted)
            rest = 1.0 - times.by_chance[level.edges] - times.of_hop[level.edges]
            np.add.at(above, level.callee, more * rest)
            counted += reached[level.caller] * times.hop_factor[level.edges]
            weights[level.edges] = counted + _ratio(more * times.of_hop[level.edges], hop_ns[level.edges])
            if delaying is not None:
                np.add.at(reached, level.callee, delaying)
                weights[level.edges] += delaying
        reached += _ratio(_ratio(above, variance) * self._own_variances, self._own_ns)
        return _Waiting(weights, reached, delays)

    def _rests(self, level: _Level, times: Times, left: Floats) -> Floats:
        """How long a request goes on after each call of a level, in ns; `left` is by node, what callers have left."""
        taken = times.taken[level.edges]
        stage = np.cumsum(stage_begins(level.caller, self._stage[level.edges])) - 1
        in_stage, number = (_sums(stage, values)[stage] for values in (taken, self._number[level.edges]))
        done = np.cumsum(taken)
        ends = np.flatnonzero(np.append(stage[1:] != stage[:-1], True))[stage]  # the last call of each call's stage
        last = np.flatnonzero(np.append(level.caller[1:] != level.caller[:-1], True))
        caller = np.cumsum(stage_begins(level.caller, np.zeros(len(taken)))) - 1
        later = np.maximum(done[last[caller]] - done[ends], 0.0)
        return np.asarray(left[level.caller] + later + following_share(np.maximum(number, 1.0)) * in_stage)

    def _delaying(self, level: _Level, background: Floats, times: Times, left: Floats) -> Floats:
        """By call of a level, how many of its asynchronous ones one handling of its caller waits for."""
        number = background[level.edges]
        if self._cpus is None or not number.any():
            return np.zeros(len(number))
        taken = times.one[level.edges]
        part = _ratio(np.minimum(taken, left[level.caller]), taken)
        return np.asarray(number * part / self._cpus[level.edges])

    @cached_property
    def without_hops(self) -> Times:
        """How long nodes take with their calls but without hops."""
        nothing = np.zeros(len(self._often))
        return self.times(nothing, nothing, None, nothing)

    def reaching(self, calls: Booleans, nodes: int) -> Booleans:
        """The nodes whose requests wait for one of the `calls`, themselves or further on."""
        found = np.zeros(nodes, dtype=np.bool_)
        for level in reversed(self._levels):
            waits = (calls[level.edges] | found[level.callee]) & (self._often[level.edges] > 0.0)
            np.logical_or.at(found, level.caller, waits)
        return found

    def times(self, hops: Floats, hop_variances: Floats, waits: Floats | None, client_shares: Floats) -> Times:
        """How long nodes take with their calls, and how those are waited for.

        By call: means and variances of hops, waits (`hop_waits`), the caller's sidecar's shares of the means.
        """
        found = Times(self._own_ns.copy(), self._own_variances.copy(), *(np.zeros(len(hops)) for _ in range(8)))
        for level in reversed(self._levels):
            chosen = hops[level.edges], hop_variances[level.edges], client_shares[level.edges]
            self._answer(level, found, chosen, waits)
        return found

    def _answer(
        self, level: _Level, found: Times, of_hops: tuple[Floats, Floats, Floats], waits: Floats | None
    ) -> None:
        edges, (hops, hop_variances, client_shares) = level.edges, of_hops
        times, decides, rest = self._times[edges], self._often[edges].copy(), self._rest[edges]
        one = hops + found.mean[level.callee]
        variance = hop_variances + found.variance[level.callee]
        taken = times * one
        chance = rest * (1.0 - rest) * one**2
        part = self._number[edges] * variance + chance  # of calls in a row
        excess, behind = np.zeros_like(taken), np.zeros_like(taken)
        whole = variance + _ratio(chance, self._number[edges])
        if self._least is not None:
            np.maximum(decides, self._least[edges], out=decides)
        clients = hops * client_shares
        for rows in level.shared:
            self._at_once(edges.start, rows, (one, variance, taken, clients), (decides, excess, part, behind), waits)
            _share(rows, decides * times * whole, part)
        found.taken[edges] = decides * taken + excess + behind * clients
        found.one[edges], found.factor[edges], found.excess[edges] = one, decides * times, excess
        found.part[edges], found.hop_factor[edges] = part, behind * client_shares
        found.by_chance[edges] = np.where(whole > 0.0, _ratio(whole - variance, whole), 1.0)
        found.of_hop[edges] = _ratio(hop_variances, whole)
        np.add.at(found.mean, level.caller, found.taken[edges])
        np.add.at(found.variance, level.caller, part)

    def _at_once(
        self,
        start: int,
        rows: Indices,
        given: tuple[Floats, Floats, Floats, Floats],
        found: tuple[Floats, Floats, Floats, Floats],
        waits: Floats | None,
    ) -> None:
        """Calls at the same time, stages in `rows`: how often each decides, by how much above its mean, and variances.

        `given` are means and variances of one call, times of all in a row, and what the caller's sidecar takes for one
        call. Of `found`, the variance of a stage is left at its first call, and the last is how many of the times that
        the caller's sidecar takes for one call come on top.
        """
        one, variance, taken, clients = (values[rows] for values in given)
        places = start + rows
        often, number, sequential = self._often[places], self._number[places], ~self._together[places]
        decides, excess = _longest_of_means(taken, often), np.zeros(rows.shape)
        certain = np.where(sequential, np.floor(often), np.floor(number))
        likely = np.where(sequential, often - certain, self._rest[places])
        counted = decides * taken
        mean = counted.sum(axis=1)
        stage = np.maximum((counted * taken).sum(axis=1) - mean**2, 0.0)
        varying = np.flatnonzero((variance > 0.0).any(axis=1))
        if varying.size:
            chance = self._rest[places[varying]]
            in_a_row = number[varying] * variance[varying] + chance * (1.0 - chance) * one[varying] ** 2
            several = sequential[varying] & (number[varying] >= 1.0)
            varied = np.where(several, in_a_row, variance[varying])
            waiting = None
            if waits is not None:
                single = ~sequential[varying] | (number[varying] <= 1.0)
                waiting = waits[:, places[varying]] * single
            more = longest(taken[varying], varied, certain[varying], likely[varying], waiting)
            longer = np.flatnonzero(more.mean > mean[varying])
            decides[varying[longer]], excess[varying[longer]] = more.decides[longer], more.excess[longer]
            mean[varying[longer]], stage[varying[longer]] = more.mean[longer], more.variance[longer]
        behind = CALLER_SHARE * np.maximum(number - decides * self._times[places], 0.0)
        mean = mean + (behind * clients).sum(axis=1)
        if self._least is not None and self._uneven is not None:
            least, uneven_part = self._least[places], self._uneven[places[:, 0]]
            bound = (least * taken).sum(axis=1) > (1.0 - uneven_part) * mean
            kept = np.where(bound, uneven_part, 1.0)
            decides = np.where(bound[:, None], least, 0.0) + kept[:, None] * decides
            excess *= kept[:, None]
            behind *= kept[:, None]
            cpus = _ratio(number, self._times[places] * least).max(axis=1)
            full = _ratio((number * variance).sum(axis=1), cpus**2)
            stage = np.where(bound, full, 0.0) + kept**2 * stage
        part = found[2]
        found[0][rows], found[1][rows], found[3][rows] = decides, excess, behind
        part[rows] = 0.0
        part[rows[:, 0]] = stage


def _sums(groups: Indices, values: Floats, count: int = 0) -> Floats:
    return np.asarray(np.bincount(groups, values, count), dtype=float)


def _ratio(values: Floats, over: Floats) -> Floats:
    return np.divide(values, over, out=np.zeros_like(values), where=over > 0.0)


def _share(rows: Indices, amounts: Floats, part: Floats) -> None:
    """Give each call of a stage its part of the stage's variance, by its amount."""
    amount = amounts[rows]
    whole = np.broadcast_to(amount.sum(axis=1, keepdims=True), amount.shape)
    part[rows] = part[rows[:, 0]][:, None] * _ratio(amount, whole)


def _longest_of_means(taken: Floats, often: Floats) -> Floats:
    """Of calls at the same time t₁ ≥ t₂ ≥ …, each decides with pᵢ Πⱼ﹤ᵢ (1 − pⱼ); row by row."""
    order = np.argsort(-taken, axis=1, kind="stable")
    likely = np.take_along_axis(often, order, axis=1)
    left = np.cumprod(1.0 - likely[:, :-1], axis=1)
    likely[:, 1:] *= left
    decides = np.empty_like(likely)
    np.put_along_axis(decides, order, likely, axis=1)
    return decides


def stage_begins(caller: Indices, stage: Floats) -> Booleans:
    """Where another stage than that of the edge before begins."""
    found = np.ones(len(caller), dtype=np.bool_)
    found[1:] = (caller[1:] != caller[:-1]) | (stage[1:] != stage[:-1])
    return found


def _shared(
    span: tuple[int, int], caller: Indices, stage: Floats, waited: Floats, together: Booleans
) -> tuple[Indices, ...]:
    """Stages of a level (calls by place in it) with calls at the same time, by how many calls they have.

    Calls that nobody waits for are in no stage.
    """
    low, high = span
    places = np.flatnonzero(waited[low:high] > 0.0)
    rows = low + places
    starts = np.flatnonzero(stage_begins(caller[rows], stage[rows]))
    sizes = np.diff(np.append(starts, len(places)))
    chosen = (sizes > 1) | together[rows[starts]]
    starts, sizes = starts[chosen], sizes[chosen]
    return tuple(places[starts[sizes == size][:, None] + np.arange(size)] for size in np.unique(sizes).tolist())
