"""From exchanges to latency components: what the sidecars add, split and summed. Pure arithmetic.

A component's `median_ns` is its share of the median exchange: the mean over the exchanges whose total lies in the
middle fifth, minus the same without sidecars. So components add up to the difference of the medians, which medians
subtracted term by term would not.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from profiler.attribution.critical_path import PATH_STATES, USER, Exchanges
from profiler.attribution.statistics import Floats, bootstrap_interval, middle_mean
from profiler.components import (
    COMPONENTS,
    DIRECTIONS,
    OTHER,
    PARSING,
    PLACES,
    PROXY_CORE,
    QUEUEING,
    REDIRECT,
    SIDECARS,
)

COLUMNS: Final = tuple(product(PLACES, DIRECTIONS, PATH_STATES))
"""What the columns of an exchange table stand for: (place, direction, state)."""

_INDEX: Final = {column: index for index, column in enumerate(COLUMNS)}


_ROWS: Final = tuple(product(PLACES, DIRECTIONS))
_COLUMN_ROW: Final = np.array([_ROWS.index((place, direction)) for place, direction, _ in COLUMNS])


def _component_of(place: str, state: str) -> str:
    """Where time in `state` at `place` goes; a sidecar's user time starts out as proxy_core."""
    if state == USER:
        return PROXY_CORE if place in SIDECARS else OTHER
    return state


_TARGET: Final = np.array([COMPONENTS.index(_component_of(place, state)) for place, _, state in COLUMNS])
_SIDECAR_USER: Final = np.array([state == USER and place in SIDECARS for place, _, state in COLUMNS])
_CORE, _PARSING, _REDIRECT = (COMPONENTS.index(name) for name in (PROXY_CORE, PARSING, REDIRECT))


@dataclass(frozen=True)
class ExchangeTable:
    """Exchanges of one round, n × len(COLUMNS): time on the path, and the number of pieces that it came in."""

    time_ns: Floats
    segments: npt.NDArray[np.uint8]
    lost: int = 0
    dropped: int = 0

    @property
    def totals_ns(self) -> Floats:
        return np.asarray(self.time_ns.sum(axis=1))

    def without_probes(self, probe_hit_ns: float) -> "ExchangeTable":
        """The same relieved of what the probes cost: each piece holds about one hit."""
        relieved = np.maximum(0.0, self.time_ns - probe_hit_ns * self.segments)
        return ExchangeTable(relieved, self.segments, self.lost, self.dropped)

    def __len__(self) -> int:
        return len(self.time_ns)


def tabulate(exchanges: Exchanges) -> ExchangeTable:
    """The exchanges as a table."""
    times = np.zeros((len(exchanges.followed), len(COLUMNS)))
    segments = np.zeros(times.shape, dtype=np.uint8)
    for row, exchange in enumerate(exchanges.followed):
        for column, spent_ns in exchange.time_ns.items():
            times[row, _INDEX[column]] = spent_ns
            segments[row, _INDEX[column]] = min(255, exchange.segments[column])
    return ExchangeTable(times, segments, exchanges.lost)


def pool(rounds: Sequence[ExchangeTable]) -> ExchangeTable:
    """All rounds as one table."""
    return ExchangeTable(
        np.concatenate([table.time_ns for table in rounds]),
        np.concatenate([table.segments for table in rounds]),
        sum(table.lost for table in rounds),
        sum(table.dropped for table in rounds),
    )


def _at_median(rounds: Sequence[ExchangeTable]) -> Floats:
    """Each column's share of the median exchange, in ns."""
    table = pool(rounds)
    return middle_mean(table.time_ns, table.totals_ns)


def _mean(rounds: Sequence[ExchangeTable]) -> Floats:
    return np.asarray(pool(rounds).time_ns.mean(axis=0))


@dataclass(frozen=True)
class LatencyRounds:
    """The rounds of a cell: with sidecars, without, and of the TCP rung of the ladder where user time is to be split.

    `redirect_shares` says which part of a component's time, with sidecars, is netfilter (as perf's stacks told it).
    """

    with_sidecar: list[ExchangeTable]
    baseline: list[ExchangeTable]
    tcp_rung: list[ExchangeTable] | None = None
    redirect_shares: Mapping[str, float] = field(default_factory=dict)

    @property
    def _redirected(self) -> Floats:
        return np.array([self.redirect_shares.get(state, 0.0) for _, _, state in COLUMNS])

    def split(self, summarise: Callable[[Sequence[ExchangeTable]], Floats]) -> Floats:
        """Overhead by place and direction (rows) and component (columns), of whatever `summarise` makes of rounds."""
        with_sidecar, baseline = summarise(self.with_sidecar), summarise(self.baseline)
        moved = self._redirected * with_sidecar
        delta = with_sidecar - baseline - moved
        found = np.zeros((len(_ROWS), len(COMPONENTS)))
        np.add.at(found, (_COLUMN_ROW, _TARGET), delta)
        np.add.at(found[:, _REDIRECT], _COLUMN_ROW, moved)
        if self.tcp_rung:
            above_tcp = np.where(_SIDECAR_USER, with_sidecar - summarise(self.tcp_rung), 0.0)
            np.add.at(found[:, _CORE], _COLUMN_ROW, -above_tcp)
            np.add.at(found[:, _PARSING], _COLUMN_ROW, above_tcp)
        return found

    def drawn(self, indices: Sequence[int]) -> "LatencyRounds":
        """The same with the rounds at `indices` only, repeated as they are there."""

        def pick(rounds: list[ExchangeTable]) -> list[ExchangeTable]:
            return [rounds[index % len(rounds)] for index in indices]

        rung = pick(self.tcp_rung) if self.tcp_rung else None
        return LatencyRounds(pick(self.with_sidecar), pick(self.baseline), rung, self.redirect_shares)

    @property
    def names(self) -> list[str]:
        """The components that this cell has."""
        absent = {QUEUEING, *(() if self.tcp_rung else (PARSING,)), *(() if self.redirect_shares else (REDIRECT,))}
        return [name for name in COMPONENTS if name not in absent]


def decompose(rounds: LatencyRounds, seed: int) -> dict[str, dict[str, Any]]:
    """Latency components of the overhead, in the shape of `latency.components` of a profile cell.

    `p99_ns` is the 99th percentile, over exchanges, of the component in excess of its share without sidecars.
    """
    table = pool(rounds.with_sidecar)
    medians, means = rounds.split(_at_median).sum(axis=0), rounds.split(_mean).sum(axis=0)
    p99 = _p99(rounds)
    low, high = bootstrap_interval(
        range(len(rounds.with_sidecar)), lambda drawn: rounds.drawn(drawn).split(_at_median).sum(axis=0), seed, 100
    )
    counts = {"samples": len(table), "dropped": table.dropped, "lost": table.lost}
    return {
        name: {
            "median_ns": float(medians[index]),
            "mean_ns": float(means[index]),
            "p99_ns": float(p99[index]),
            "ci95_ns": [float(low[index]), float(high[index])],
            **counts,
            "source": _source(name, rounds),
        }
        for index, name in enumerate(COMPONENTS)
        if name in rounds.names
    }


def _p99(rounds: LatencyRounds) -> Floats:
    """99th percentile of each component over the exchanges; what the ladder and the samples split off is constant."""
    table = pool(rounds.with_sidecar)
    excess = table.time_ns - _at_median(rounds.baseline)
    by_component = np.zeros((len(table), len(COMPONENTS)))
    for column, target in enumerate(_TARGET):
        by_component[:, target] += excess[:, column]
    found = np.asarray(np.percentile(by_component, 99, axis=0))
    medians = rounds.split(_at_median).sum(axis=0)
    if rounds.tcp_rung:
        found[_PARSING] = found[_CORE] - medians[_CORE]
        found[_CORE] = medians[_CORE]
    found[_REDIRECT] = medians[_REDIRECT]
    return found


def _source(name: str, rounds: LatencyRounds) -> str:
    if name == REDIRECT:
        return "timeline, split by the share of netfilter in perf's stacks"
    if name in (PROXY_CORE, PARSING):
        if not rounds.tcp_rung:
            return "timeline: all user time of the sidecars"
        return "ladder: user time as TCP proxy" if name == PROXY_CORE else "ladder: user time, this protocol − tcp"
    return "timeline"


def by_place(rounds: LatencyRounds) -> list[dict[str, Any]]:
    """Overhead at the median by place and direction, in the shape of `latency.by_place`."""
    split = rounds.split(_at_median)
    return [
        {
            "place": place,
            "direction": direction,
            "components": {name: float(row[COMPONENTS.index(name)]) for name in rounds.names},
        }
        for (place, direction), row in zip(_ROWS, split, strict=True)
        if row.any()
    ]
