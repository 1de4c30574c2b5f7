"""From exchanges to latency components: what the sidecars add, split and summed. Pure arithmetic.

A component's `median_ns` is its share of the median exchange: the mean over the exchanges whose total lies in the
middle fifth, minus the same without sidecars. So components add up to the difference of the medians, which medians
subtracted term by term would not.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise, product
from typing import Final

import numpy as np
import numpy.typing as npt

from profiler.attribution.cpu import Redirect
from profiler.attribution.critical_path import (
    CACHES,
    CORES,
    CROSSED,
    HAND_OVER_KINDS,
    HAND_OVERS,
    PATH_STATES,
    USER,
    Exchange,
    Exchanges,
)
from profiler.attribution.statistics import Floats, middle, middle_mean, unheld_mask
from profiler.vocabulary.components import (
    CLIENT_APP,
    COMPONENTS,
    DIRECTIONS,
    FILTER_SERVICE,
    IPC,
    OTHER,
    PARSING,
    PLACES,
    PROXY_CORE,
    QUEUEING,
    REDIRECT,
    REQUEST,
    SIDECARS,
    TLS,
    TUNNEL,
    TUNNELS,
)

COLUMNS: Final = tuple(product(PLACES, DIRECTIONS, PATH_STATES))
"""What the columns of an exchange table stand for: (place, direction, state)."""

HAND_OVER_COLUMNS: Final = tuple(product(PLACES, DIRECTIONS, HAND_OVER_KINDS))
"""What the columns of its hand-overs stand for: (receiving place, direction, kind)."""

_INDEX: Final = {column: index for index, column in enumerate(COLUMNS)}
_HAND_OVER_INDEX: Final = {column: index for index, column in enumerate(HAND_OVER_COLUMNS)}

_ROWS: Final = tuple(product(PLACES, DIRECTIONS))
_COLUMN_ROW: Final = np.array([_ROWS.index((place, direction)) for place, direction, _ in COLUMNS])


def _component_of(place: str, state: str) -> str:
    """Where time in `state` at `place` goes; a sidecar's user time starts out as proxy_core."""
    if place in TUNNELS:
        return TUNNEL
    if state == USER:
        return PROXY_CORE if place in SIDECARS else OTHER
    return state


_TARGET: Final = np.array([COMPONENTS.index(_component_of(place, state)) for place, _, state in COLUMNS])
_SIDECAR_USER: Final = np.array([state == USER and place in SIDECARS for place, _, state in COLUMNS])
_AT_TUNNELS: Final = np.array([place in TUNNELS for place, _, _ in COLUMNS])
_WAITING: Final = np.array([place == FILTER_SERVICE or state == IPC for place, _, state in COLUMNS])
"""Columns of time that a proxy waits for a server that it asks: the server's, and the hand-overs."""

_CORE, _REDIRECT = (COMPONENTS.index(name) for name in (PROXY_CORE, REDIRECT))


_CROSSED: Final = [kind == CROSSED for _, _, kind in HAND_OVER_COLUMNS]
_SEEN: Final = (0.02, 0.98)
"""Quantiles of the crossings of exchanges that an average of drawn ones stays between."""

_LEAST_SPREAD: Final = 1.0
_LEAST_SHIFT: Final = 0.02
_STEEPEST: Final = 20.0

_MOST_PIECES: Final = np.iinfo(np.uint16).max


@dataclass(frozen=True)
class ExchangeTable:
    """Exchanges of one round, n × len(COLUMNS): time on the path, and the number of pieces that it came in.

    `hand_overs` is n × len(HAND_OVER_COLUMNS), NaN where the topology of the CPUs is not known.
    """

    time_ns: Floats
    segments: npt.NDArray[np.uint16]
    hand_overs: npt.NDArray[np.float32]
    lost: int = 0
    dropped: int = 0

    @property
    def totals_ns(self) -> Floats:
        return np.asarray(self.time_ns.sum(axis=1))

    def without_probes(self, probe_hit_ns: float) -> "ExchangeTable":
        """The same relieved of what the probes cost: each piece holds about one hit."""
        return replace(self, time_ns=np.maximum(0.0, self.time_ns - probe_hit_ns * self.segments))

    def with_more_crossings(self, more: float) -> "ExchangeTable":
        """As many exchanges, drawn so that on average so many more of their hand-overs go to another CPU.

        Each is drawn as often as exp(tilt × its crossings) says, with the tilt that gives that average; as far as
        exchanges with more, or fewer, were seen.
        """
        crossed = self.hand_overs[:, _CROSSED].sum(axis=1).astype(np.float64)
        low, high = (float(end) for end in np.quantile(crossed, _SEEN)) if len(crossed) else (0.0, 0.0)
        wanted = min(max(float(crossed.mean()) + more, low), high) if high - low >= _LEAST_SPREAD else np.nan
        if np.isnan(wanted) or abs(wanted - crossed.mean()) < _LEAST_SHIFT:
            return self
        shares = _tilted(crossed, wanted)
        places = np.searchsorted(np.cumsum(shares), (np.arange(len(self)) + 0.5) / len(self))
        chosen = np.minimum(places, len(self) - 1)
        return replace(
            self,
            time_ns=self.time_ns[chosen],
            segments=self.segments[chosen],
            hand_overs=self.hand_overs[chosen],
        )

    def __len__(self) -> int:
        return len(self.time_ns)


def _tilted(values: Floats, mean: float) -> Floats:
    """Shares of values that make `mean` their mean, as exp(tilt × value); the mean grows with the tilt."""
    low, high = -_STEEPEST, _STEEPEST
    for _ in range(60):
        tilt = (low + high) / 2.0
        shares = np.exp(tilt * (values - values.mean()))
        shares /= shares.sum()
        if shares @ values < mean:
            low = tilt
        else:
            high = tilt
    return np.asarray(shares)


def since_due(exchanges: Exchanges, due_ns: npt.NDArray[np.int64], done_ns: npt.NDArray[np.int64]) -> Exchanges:
    """The same exchanges of an open loop, each from the moment its request was due, as its latency is.

    How much later the client woke up is `other` of the client: a timer's delay, which no probe hit is part of.

    Args:
        exchanges: with one request in flight at a time.
        due_ns: when each answered request was due, in order, on the clock of the exchanges.
        done_ns: when the client had its answer, which is just before its exchange ends.
    """
    return replace(exchanges, followed=[_since_due(one, due_ns, done_ns) for one in exchanges.followed])


def _since_due(exchange: Exchange, due_ns: npt.NDArray[np.int64], done_ns: npt.NDArray[np.int64]) -> Exchange:
    index = int(np.searchsorted(done_ns, exchange.end_ns, side="right")) - 1
    if index < 0 or done_ns[index] <= exchange.start_ns:  # its request was not answered
        return exchange
    key = (CLIENT_APP, REQUEST, OTHER)
    late_ns = max(0, exchange.start_ns - int(due_ns[index]))
    return replace(
        exchange,
        start_ns=exchange.start_ns - late_ns,
        time_ns=exchange.time_ns | {key: exchange.time_ns.get(key, 0) + late_ns},
        segments={key: 0} | exchange.segments,
    )


def tabulate(exchanges: Exchanges) -> ExchangeTable:
    """The exchanges as a table."""
    times = np.zeros((len(exchanges.followed), len(COLUMNS)))
    segments = np.zeros(times.shape, dtype=np.uint16)
    hand_overs = np.zeros((len(times), len(HAND_OVER_COLUMNS)), dtype=np.float32)
    for row, exchange in enumerate(exchanges.followed):
        for column, spent_ns in exchange.time_ns.items():
            times[row, _INDEX[column]] = spent_ns
            segments[row, _INDEX[column]] = min(_MOST_PIECES, exchange.segments[column])
        for column, count in exchange.hand_overs.items():
            hand_overs[row, _HAND_OVER_INDEX[column]] = count
    return ExchangeTable(times, segments, hand_overs, exchanges.lost)


def pool(rounds: Sequence[ExchangeTable]) -> ExchangeTable:
    """All rounds as one table."""
    return ExchangeTable(
        np.concatenate([table.time_ns for table in rounds]),
        np.concatenate([table.segments for table in rounds]),
        np.concatenate([table.hand_overs for table in rounds]),
        sum(table.lost for table in rounds),
        sum(table.dropped for table in rounds),
    )


def _at_median(rounds: Sequence[ExchangeTable]) -> Floats:
    """Each column's share of the median exchange, in ns: the mean over the middle rounds, as the median itself is.

    A round in which the client woke up late has a sum far from the others. Where the scheduler places the processes, a
    round has many hand-overs to another CPU, or few, and exchanges of all rounds together have two modes and no clear
    middle.
    """
    rows = [middle_mean(table.time_ns, table.totals_ns) for table in rounds]
    return np.asarray(np.mean(middle(rows, lambda row: float(row.sum())), axis=0))


def _mean(rounds: Sequence[ExchangeTable]) -> Floats:
    table = pool(rounds)
    return np.asarray(table.time_ns[unheld_mask(table.totals_ns)].mean(axis=0))


@dataclass(frozen=True)
class LatencyRung:
    """A rung of the configuration ladder: its component, and the rounds of the hop that has everything up to it.

    `outside` says that all that is more than on the rung before belongs to the component, not user time only; the time
    spent waiting for a server then goes to `wait_component`, where there is one. `shares` is, by place, the part of the
    cell's user time in functions that only this rung enters, where that is known, with its standard error for all
    places together: it drifts less than the difference of two rungs.
    """

    component: str
    rounds: list[ExchangeTable]
    outside: bool = False
    wait_component: str | None = None
    shares: Mapping[str, float] | None = None
    share_error: float = 0.0


@dataclass(frozen=True)
class LatencyRounds:
    """The rounds of a cell, with sidecars and without, and the rungs of the ladder that its user time is split by.

    The last rung is the cell itself; without rungs all user time is proxy_core. `redirect` says which part of a
    component's time, with sidecars, is netfilter (as perf's stacks told it).
    """

    with_sidecar: list[ExchangeTable]
    baseline: list[ExchangeTable]
    rungs: tuple[LatencyRung, ...] = ()
    redirect: Redirect = field(default_factory=Redirect)

    @property
    def _redirected(self) -> Floats:
        shares = self.redirect.shares
        return np.array([0.0 if place in TUNNELS else shares.get(state, 0.0) for place, _, state in COLUMNS])

    @property
    def _components(self) -> list[str]:
        """All components, those of this cell's filters last."""
        added = [name for rung in self.rungs for name in (rung.component, rung.wait_component) if name]
        return list(dict.fromkeys([*COMPONENTS, *added]))

    def split(self, summarise: Callable[[Sequence[ExchangeTable]], Floats]) -> Floats:
        """Overhead by place and direction (rows) and component (columns), of whatever `summarise` makes of rounds.

        Columns are COMPONENTS, then what the rungs add.
        """
        with_sidecar, baseline = summarise(self.with_sidecar), summarise(self.baseline)
        moved = self._redirected * with_sidecar
        delta = with_sidecar - baseline - moved
        names = self._components
        found = np.zeros((len(_ROWS), len(names)))
        np.add.at(found, (_COLUMN_ROW, _TARGET), delta)
        np.add.at(found[:, _REDIRECT], _COLUMN_ROW, moved)
        for component, more in self._steps(with_sidecar, summarise):
            np.add.at(found, (_COLUMN_ROW, _TARGET), -more)
            np.add.at(found[:, names.index(component)], _COLUMN_ROW, more)
        return found

    def _steps(
        self, with_sidecar: Floats, summarise: Callable[[Sequence[ExchangeTable]], Floats]
    ) -> Iterator[tuple[str, Floats]]:
        """Components above the first rung and their time by column, the last rung first.

        What is left of user time when all others have theirs is parsing (where that is a rung), less the first rung's.
        """
        left = with_sidecar.copy()
        for lower, upper in reversed(list(pairwise(self.rungs))):
            if upper.component == PARSING:
                more = np.where(_SIDECAR_USER, left - summarise(lower.rounds), 0.0)
            elif upper.shares is not None:
                shares = np.array([upper.shares.get(place, 0.0) for place, _, _ in COLUMNS])
                more = np.where(_SIDECAR_USER, shares * with_sidecar, 0.0)
            else:
                more = summarise(upper.rounds) - summarise(lower.rounds)
                more = np.where(upper.outside | _SIDECAR_USER, more, 0.0)
            left = left - more
            waiting = _WAITING if upper.wait_component else np.zeros(len(COLUMNS), bool)
            yield upper.component, np.where(waiting, 0.0, more)
            if upper.wait_component:
                yield upper.wait_component, np.where(waiting, more, 0.0)

    def drawn(self, indices: Sequence[int]) -> "LatencyRounds":
        """The same with the rounds at `indices` only, repeated as they are there."""

        def pick(rounds: list[ExchangeTable]) -> list[ExchangeTable]:
            return [rounds[index % len(rounds)] for index in indices]

        rungs = tuple(replace(rung, rounds=pick(rung.rounds)) for rung in self.rungs)
        return LatencyRounds(pick(self.with_sidecar), pick(self.baseline), rungs, self.redirect)

    @property
    def names(self) -> list[str]:
        """The components that this cell has, in the order of the columns of `split`."""
        has = {rung.component for rung in self.rungs}
        absent = {QUEUEING, *({PARSING, TLS} - has), *(() if self.redirect.shares else (REDIRECT,))}
        if not any(table.time_ns[:, _AT_TUNNELS].any() for table in self.with_sidecar):
            absent.add(TUNNEL)
        return [name for name in self._components if name not in absent]

    def column(self, name: str) -> int:
        """The column of a component in `split`."""
        return self._components.index(name)

    @property
    def rounds(self) -> int:
        return len(self.with_sidecar)


@dataclass(frozen=True)
class LatencyPart:
    """A component of the overhead at the median.

    `rounds_ns` is each round on its own: what intervals and models come from. `error_ns` is a standard error that the
    rounds do not show.
    """

    median_ns: float
    mean_ns: float
    p99_ns: float | None
    samples: int
    dropped: int
    lost: int
    rounds_ns: list[float]
    error_ns: float
    source: str


def decompose(rounds: LatencyRounds, each: LatencyRounds | None = None) -> dict[str, LatencyPart]:
    """Latency components of the overhead, and of each round of `each` on its own (of `rounds` where that is None).

    `mean_ns` leaves out exchanges during which the machine was held up (`unheld_mask`). `p99_ns` is the 99th
    percentile, over exchanges, of the component in excess of its share without sidecars.
    """
    table = pool(rounds.with_sidecar)
    medians, means = rounds.split(_at_median).sum(axis=0), rounds.split(_mean).sum(axis=0)
    p99 = _p99(rounds, medians)
    errors_ns = _errors(rounds)
    each = each or rounds
    splits = [each.drawn([index]).split(_at_median).sum(axis=0) for index in range(each.rounds)]
    found = {}
    for name in rounds.names:
        index = rounds.column(name)
        found[name] = LatencyPart(
            median_ns=float(medians[index]),
            mean_ns=float(means[index]),
            p99_ns=p99.get(name),
            samples=len(table),
            dropped=table.dropped,
            lost=table.lost,
            rounds_ns=[float(split[index]) for split in splits],
            error_ns=errors_ns.get(name, 0.0),
            source=_source(name, rounds),
        )
    return found


def _errors(rounds: LatencyRounds) -> dict[str, float]:
    """Standard errors, in ns, of what samples split off: by component."""
    spent = _at_median(rounds.with_sidecar)
    user_ns = float(spent[_SIDECAR_USER].sum())
    found = {rung.component: rung.share_error * user_ns for rung in rounds.rungs if rung.shares is not None}
    by_state: dict[str, float] = {}
    for (place, _, state), spent_ns in zip(COLUMNS, spent.tolist(), strict=True):
        if place not in TUNNELS:
            by_state[state] = by_state.get(state, 0.0) + spent_ns
    return found | rounds.redirect.errors_ns(by_state)


def _p99(rounds: LatencyRounds, medians: Floats) -> dict[str, float]:
    """99th percentile of each component over the exchanges.

    What the samples split off is constant; user time above the first rung varies with its largest part.
    """
    table = pool(rounds.with_sidecar)
    excess = table.time_ns - _at_median(rounds.baseline)
    by_component = np.zeros((len(table), len(COMPONENTS)))
    for column, target in enumerate(_TARGET):
        by_component[:, target] += excess[:, column]
    tail = np.asarray(np.percentile(by_component, 99, axis=0))
    split_off = [rung.component for rung in rounds.rungs[1:]]
    constant = {REDIRECT, *split_off, *(rung.wait_component for rung in rounds.rungs), PROXY_CORE}
    found = {
        name: float(medians[rounds.column(name)] if name in constant else tail[COMPONENTS.index(name)])
        for name in rounds.names
    }
    user = [PROXY_CORE, *split_off]
    largest = max(user, key=lambda name: found.get(name, 0.0))
    found[largest] += float(tail[_CORE]) - sum(found[name] for name in user if name in found)
    return found


def _source(name: str, rounds: LatencyRounds) -> str:
    if name == REDIRECT:
        return "timeline, split by the share of netfilter in perf's stacks"
    components = [rung.component for rung in rounds.rungs]
    if name == PROXY_CORE:
        return "ladder: user time as TCP proxy" if len(components) > 1 else "timeline: all user time of the sidecars"
    for lower, upper in pairwise(rounds.rungs):
        if name == upper.component and upper.shares is not None:
            return f"eh_frame: share of user time in functions entered above {lower.component} only"
        if name == PARSING and name == upper.component:
            return "ladder: user time above that as TCP proxy"
        if name in (upper.component, upper.wait_component):
            what = "all time" if upper.outside else "user time"
            return f"ladder: {what}, with − without ({upper.component} above {lower.component})"
    return "timeline"


@dataclass(frozen=True)
class HandOverMeans:
    """Hand-overs per exchange: all of them, and those to another CPU, core and last-level cache (None: not known).

    `rounds_crossed` is each round on its own, `by_place` all and crossed ones by receiving place and direction.
    """

    count: float
    crossed: float
    cores: float | None
    caches: float | None
    rounds_crossed: list[float]
    by_place: Mapping[tuple[str, str], tuple[float, float]]


def mean_hand_overs(rounds: Sequence[ExchangeTable]) -> HandOverMeans:
    """Means over the exchanges that were not delayed by the machine (`unheld_mask`)."""
    means = _hand_overs(pool(rounds))
    sums = {kind: sum(means[place, direction, kind] for place, direction in _ROWS) for kind in HAND_OVER_KINDS}
    known = {kind: None if np.isnan(sums[kind]) else sums[kind] for kind in (CORES, CACHES)}
    each_round = [_hand_overs(table) for table in rounds]
    return HandOverMeans(
        count=sums[HAND_OVERS],
        crossed=sums[CROSSED],
        cores=known[CORES],
        caches=known[CACHES],
        rounds_crossed=[sum(found[place, way, CROSSED] for place, way in _ROWS) for found in each_round],
        by_place={(place, way): (means[place, way, HAND_OVERS], means[place, way, CROSSED]) for place, way in _ROWS},
    )


def _hand_overs(table: ExchangeTable) -> dict[tuple[str, str, str], float]:
    means = table.hand_overs[unheld_mask(table.totals_ns)].mean(axis=0, dtype=np.float64)
    return dict(zip(HAND_OVER_COLUMNS, means.tolist(), strict=True))


def by_place(rounds: LatencyRounds) -> dict[tuple[str, str], dict[str, float]]:
    """Overhead at the median in ns by place and direction, then component."""
    split = rounds.split(_at_median)
    return {
        (place, direction): {name: float(row[rounds.column(name)]) for name in rounds.names}
        for (place, direction), row in zip(_ROWS, split, strict=True)
        if row.any()
    }
