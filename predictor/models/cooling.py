"""How far idle sidecars move from hot to cold, from what a profile measured at low rates. Pure.

Of each protocol and TLS the overhead after a time without requests, over that of hot sidecars, is

    1 + rise × (1 − exp(−(gap / τ)^β))

in latency and in CPU. τ and β are common to all, since they are the machine's: how fast others take the caches, and how
soon pages of code and tables are out of them. The rise is that of each. Few requests come at low rates, so all points
are fitted together, by weighted least squares; τ and β have wide priors, for profiles with few points.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from predictor.models.types import CURRENCIES, FEATURES, Configuration, CoolingEnd, Floats, but_temperature
from profiler.profile.types import Anchor, CoolingPoint
from profiler.vocabulary.hop import BOTH, PLAIN
from profiler.vocabulary.protocols import HTTP1
from profiler.vocabulary.temperature import COLD, HOT, NATURAL

Curve = tuple[tuple[float, float], ...]
Pair = tuple[str, str]
"""Protocol and TLS."""

LEAST_RISE: Final = 0.05
"""Cold cells are taken to cost so much more than hot ones, as a fraction, at the least."""

_LEAST_WAY: Final = 0.1
"""Where natural cells cost hardly more than hot, as a share of hot, there is nothing to cool."""

_LEAST_ERROR: Final = 0.03
"""No point is known better, as a fraction: the machine drifts between points."""

_UNKNOWN_ERROR: Final = 0.1
"""Of points of older profiles, which have no error."""

_PRIOR: Final = ((math.log(2e7), 1.5), (0.7, 0.25))
"""Mean and deviation of log τ (ns) and of β: tens of milliseconds to lose a cache, spread over magnitudes of time."""

_BOUNDS: Final = ((math.log(1e5), math.log(3e8)), (0.3, 1.5))
_FIRST_GRID: Final = 9
_FINER_GRID: Final = 5
_FINER_GRIDS: Final = 14
"""Points by parameter, and how often the step is halved: to less than a thousandth of the bounds."""

_POINTS: Final = 48
_ALMOST_ALL: Final = 7.0
"""The curve goes to 1 − exp(−7) of its end."""


@dataclass(frozen=True, slots=True)
class _Series:
    """One currency of a protocol and TLS: by gap (ns), how much more than hot it costs, as a fraction, with errors."""

    pair: Pair
    currency: str
    gaps: Floats
    more: Floats
    errors: Floats


def fit_cooling(anchor: Anchor | None, configurations: Sequence[Configuration]) -> tuple[Curve, tuple[CoolingEnd, ...]]:
    """The curve by the time since the last request was answered, in ns, and the ends of what was measured.

    Both are empty where the profile did not measure it.
    """
    known = [point for point in (anchor.cooling if anchor else []) if point.temperature == HOT]
    pairs = list(dict.fromkeys((point.protocol, point.tls) for point in known))
    by_pair = {pair: [point for point in known if (point.protocol, point.tls) == pair] for pair in pairs}
    series = [found for pair, points in by_pair.items() for found in _series(pair, points)]
    if not series:
        return (), ()
    hot_gap = float(np.median([point.with_p50_ns / 2.0 for point in known if point.rate_rps is None]))
    rises = _rises(configurations)
    shape = _fitted_shape(series, hot_gap)
    ends = []
    for one in series:
        share = _share(one.gaps - hot_gap, *shape)
        added = _added(one, share)
        rise = max(rises.get((*one.pair, one.currency), 1.0), LEAST_RISE)
        ends.append(CoolingEnd(*one.pair, one.currency, added / rise, rise, _error(one, share, added)))
    reference = next((end.factor for end in ends if _is_reference(end) and end.factor > 0.0), 1.0)
    curve = tuple((gap, reference * share) for gap, share in _table(hot_gap, *shape))
    return curve, tuple(
        CoolingEnd(end.protocol, end.tls, end.currency, end.factor / reference, end.rise, end.error) for end in ends
    )


def _is_reference(end: CoolingEnd) -> bool:
    return (end.protocol, end.tls, end.currency) == (HTTP1, PLAIN, "latency")


def _hot(points: Iterable[CoolingPoint]) -> CoolingPoint | None:
    return next((point for point in points if point.rate_rps is None), None)


def _series(pair: Pair, points: Sequence[CoolingPoint]) -> Iterable[_Series]:
    """What was measured of a protocol and TLS, relative to hot."""
    hot, slower = _hot(points), _slower(points, HOT)
    if hot is None or not slower:
        return
    gaps = np.array([_gap_ns(point) for point in slower])
    for currency in CURRENCIES:
        values = [(_value(point, currency), _value_error(point, currency)) for point in (hot, *slower)]
        costs, errors = (np.array(column) for column in zip(*values, strict=True))
        if costs[0] > 0.0 and np.isfinite(costs).all():
            ratios = costs[1:] / costs[0]
            yield _Series(
                pair, currency, gaps, ratios - 1.0,
                np.sqrt((errors[1:] / costs[0]) ** 2 + (ratios * errors[0] / costs[0]) ** 2 + _LEAST_ERROR**2),
            )  # fmt: skip


def _value(point: CoolingPoint, currency: str) -> float:
    if currency == "latency":
        return point.overhead_ns
    return math.nan if point.cpu_ns is None else point.cpu_ns


def _value_error(point: CoolingPoint, currency: str) -> float:
    error = point.overhead_error_ns if currency == "latency" else point.cpu_error_ns
    return error or _UNKNOWN_ERROR * abs(_value(point, currency))


def _share(after: Floats, log_tau: float, beta: float) -> Floats:
    """The share of the rise at times after the hot gap."""
    return np.asarray(-np.expm1(-((np.maximum(after, 0.0) / math.exp(log_tau)) ** beta)))


def _added(one: _Series, share: Floats) -> float:
    """The rise of a series by weighted least squares, never negative."""
    weights = 1.0 / np.square(one.errors)
    return max(0.0, float((weights * one.more * share).sum() / max((weights * share * share).sum(), 1e-12)))


def _fitted_shape(series: Sequence[_Series], hot_gap: float) -> tuple[float, float]:
    """Log τ and β. For each of them the rises follow, so there are two parameters."""

    def loss(shape: Floats) -> float:
        total = sum(((value - mean) / deviation) ** 2 for value, (mean, deviation) in zip(shape, _PRIOR, strict=True))
        for one in series:
            share = _share(one.gaps - hot_gap, *shape)
            total += float(np.square((one.more - _added(one, share) * share) / one.errors).sum())
        return float(total)

    return _least_place(loss)


def _least_place(loss: Callable[[Floats], float]) -> tuple[float, float]:
    """Where a loss is least within the bounds: on a grid, then on ever finer ones around the best place so far.

    For two parameters that is enough, and the core does without scipy.
    """
    lows, highs = np.array(_BOUNDS).T
    low, high = lows, highs
    best = lows
    for points in (_FIRST_GRID, *[_FINER_GRID] * _FINER_GRIDS):
        axes = np.linspace(low, high, points)
        best = min((np.array(place) for place in itertools.product(*axes.T)), key=loss)
        step = (high - low) / (points - 1)
        low, high = np.maximum(lows, best - step), np.minimum(highs, best + step)
    return float(best[0]), float(best[1])


def _error(one: _Series, share: Floats, added: float) -> float:
    """Relative standard error of what idle time adds: that of the points, and what the common shape leaves over."""
    if added <= 0.0:
        return 0.0
    scatter = 1.0 / math.sqrt(float(np.square(share / one.errors).sum()))
    left = one.more - added * share
    return math.hypot(scatter, math.sqrt(float(np.square(left).sum() / max(np.square(share).sum(), 1e-12)))) / added


def _table(hot_gap: float, log_tau: float, beta: float) -> Iterable[tuple[float, float]]:
    """The shape as pairs of a gap and a share, 0 at the hot gap."""
    longest = _ALMOST_ALL ** (1.0 / beta)
    after = math.exp(log_tau) * np.geomspace(1e-4, longest, _POINTS)
    shares = _share(after, log_tau, beta)
    return [(hot_gap, 0.0), *zip((hot_gap + after).tolist(), shares.tolist(), strict=True)]


def _rises(configurations: Iterable[Configuration]) -> dict[tuple[str, str, str], float]:
    """By protocol, TLS and currency, how much more cold cells cost than hot ones, as a fraction of hot.

    Of the plainest configuration with most sidecars, at its smallest sizes.
    """
    order = sorted(configurations, key=lambda item: (len(item.filters), item.topology != BOTH))
    cold = {but_temperature(item.key): item for item in order if item.temperature == COLD}
    found: dict[tuple[str, str, str], float] = {}
    for hot in (item for item in order if item.temperature == HOT):
        other = cold.get(but_temperature(hot.key))
        if other is None:
            continue
        for currency in CURRENCIES:
            hot_ns, cold_ns = _least(hot, currency), _least(other, currency)
            if hot_ns > 0.0:
                found.setdefault((hot.protocol, hot.tls, currency), cold_ns / hot_ns - 1.0)
    return found


def _least(item: Configuration, currency: str) -> float:
    cost = item.cost(currency)
    if cost is None:
        return 0.0
    row = np.array([[item.ranges[name][0] for name in FEATURES]])
    return float((cost.rows(row) @ cost.coefficients).sum())


def natural_curve(anchor: Anchor | None) -> tuple[float, Curve]:
    """The curve where CPUs sleep between requests, from hot (0) to the profile's natural cells (1).

    With what hot costs as a share of natural; 1 and empty where the profile did not measure it.
    """
    points = [point for point in (anchor.cooling if anchor else []) if (point.protocol, point.tls) == (HTTP1, PLAIN)]
    hot = _hot([point for point in points if point.temperature == HOT])
    slower = _slower(points, NATURAL)
    curve = _natural(hot, slower) if hot and slower else ()
    return (hot.overhead_ns / slower[0].overhead_ns, curve) if hot and curve else (1.0, ())


def _natural(hot: CoolingPoint, slower: Sequence[CoolingPoint]) -> Curve:
    hot_ns, cold_ns = hot.overhead_ns, slower[0].overhead_ns
    if hot_ns <= 0.0 or cold_ns - hot_ns < _LEAST_WAY * hot_ns:
        return ()
    curve = [(hot.with_p50_ns / 2.0, 0.0)]
    for point in slower:
        gap_ns = _gap_ns(point)
        if gap_ns > curve[-1][0]:
            curve.append((gap_ns, max(curve[-1][1], (point.overhead_ns - hot_ns) / (cold_ns - hot_ns))))
    return tuple(curve) if len(curve) > 1 else ()


def _gap_ns(point: CoolingPoint) -> float:
    return 1e9 / (point.rate_rps or math.inf) - point.with_p50_ns


def _slower(points: Sequence[CoolingPoint], temperature: str) -> list[CoolingPoint]:
    """Points at a rate, the fastest first."""
    chosen = (point for point in points if point.rate_rps and point.temperature == temperature)
    return sorted(chosen, key=lambda point: -(point.rate_rps or 0.0))
