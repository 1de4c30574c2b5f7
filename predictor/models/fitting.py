"""From the cells of a profile to a fitted model, by `HingeRegressor`. Pure: no I/O.

Every component of a configuration is fitted with the same terms and weights, so coefficients of components add up to
those of the total. Cells are taken at the run's median speed as far as a protocol goes along with the anchor cell,
which leaving cells out decides (`_followed`).

Intervals hold another run's estimate, as those of cells do (`profiler.attribution.intervals`): each draw is what
another run might give. Components of a cell move as they scatter over its rounds, all of a round together, and by
errors that the rounds do not show; each cell moves by what the fit leaves unexplained; and the machine's speed, which
the anchor tells, moves all cells together.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from statistics import NormalDist
from typing import Any, Final

import numpy as np

from predictor.models.cooling import fit_cooling, natural_curve
from predictor.models.estimator import HingeRegressor
from predictor.models.hand_overs import fit_crossings
from predictor.models.readings import (
    Reading,
    client_shares,
    configuration_key,
    feature_row,
    hand_overs,
    mean_ratio,
    memory,
    reading,
    usable,
)
from predictor.models.regression import Term, design, left_out_residuals
from predictor.models.types import (
    BASE,
    CONFIGURATION_KEY,
    CURRENCIES,
    FEATURES,
    UNEXPLAINED,
    Configuration,
    Cost,
    FittedModel,
    Floats,
    HeldOut,
)
from profiler.attribution.intervals import TWO_RUNS
from profiler.profile.types import Cell, Profile

DRAWS: Final = 200
"""How often another run is imagined."""

_SEED: Final = 20230
_LEAST_RELATIVE_ERROR: Final = 0.01
_HINGES: Final = (FEATURES.index("request_bytes"), FEATURES.index("response_bytes"))
_FOLLOWS: Final = (0.0, 0.5, 1.0)
_FEWEST_TO_TELL: Final = 4

Groups = Mapping[tuple[Any, ...], Sequence[Cell]]
Followed = Mapping[tuple[str, str], float]
"""By protocol and currency, how much of the anchor's drift its cells go along with, 0 to 1."""


def fit_profile(profile: Profile, *, draws: int = DRAWS, seed: int = _SEED) -> FittedModel:
    """The model of a profile (as `load_profile` gives it). A profile without usable cells gives none."""
    error = profile.anchor.machine_error if profile.anchor else 0.0
    random = np.random.default_rng(seed)
    machine = TWO_RUNS * _normals(1, draws, random)[0]
    groups: dict[tuple[Any, ...], list[Cell]] = {}
    for cell in profile.cells:
        if usable(cell) and not cell.proxy_config:
            groups.setdefault(configuration_key(cell), []).append(cell)
    followed = _followed(groups, error)
    fitted = tuple(_configuration(key, cells, error, machine, random, followed) for key, cells in groups.items())
    environment = profile.environment
    cooling, cooling_ends = fit_cooling(profile.anchor, fitted)
    natural_hot, natural_cooling = natural_curve(profile.anchor)
    return FittedModel(
        run_id=profile.run_id,
        cpu_model=str(environment.get("cpu_model") or ""),
        kernel=str(environment.get("kernel") or ""),
        machine_error=error,
        configurations=fitted,
        held_out=tuple(_held_out(groups, error, followed)),
        warnings=tuple(profile.warnings),
        cooling=cooling,
        cooling_ends=cooling_ends,
        natural_cooling=natural_cooling,
        natural_hot=natural_hot,
        crossings=fit_crossings(chain.from_iterable(groups.values()), followed, error, machine, random),
    )


def _configuration(
    key: Sequence[Any], cells: Sequence[Cell], error: float, machine: Floats, random: np.random.Generator,
    followed: Followed,
) -> Configuration:  # fmt: skip
    costs: dict[str, Any] = {}
    for currency in CURRENCIES:
        follows = followed[_protocol(key), currency]
        readings = [found for cell in cells if (found := reading(cell, currency, follows)) is not None]
        costs[currency] = _cost(readings, error, machine, random) if readings else None
    features = np.array([feature_row(cell) for cell in cells])
    rss, per_connection = memory(cells)
    added, crossed = hand_overs(cells)
    headers = features[:, FEATURES.index("headers")]
    return Configuration(
        **dict(zip(CONFIGURATION_KEY, key, strict=True)),
        **costs,
        mean_ratio=mean_ratio(cells),
        client_share=client_shares(cells),
        ranges={
            name: (float(low), float(high))
            for name, low, high in zip(FEATURES, features.min(axis=0), features.max(axis=0), strict=True)
        },
        headers=float(headers.min()),
        rss_bytes=rss,
        per_connection_bytes=per_connection,
        hand_overs=added,
        crossed=crossed,
    )


def _weights(readings: Sequence[Reading], error: float) -> Floats:
    """One over the variance: that of the rounds and that of the machine, and no cell is known better than to 1 %."""
    relative = max(error, _LEAST_RELATIVE_ERROR)
    deviations = [np.hypot(entry.error(), max(abs(entry.total), 1.0) * relative) for entry in readings]
    return np.asarray(1.0 / np.square(deviations))


def _cost(readings: Sequence[Reading], error: float, machine: Floats, random: np.random.Generator) -> Cost:
    names = tuple(dict.fromkeys(name for entry in readings for name in entry.values))
    features = np.array([entry.features for entry in readings])
    values = np.array([[entry.values.get(name, 0.0) for name in names] for entry in readings])
    totals, weights = values.sum(axis=1), _weights(readings, error)
    fitted = _regression().fit(features, values, weights)
    moved = np.array([_moved(entry, names, len(machine), random) for entry in readings])  # cells × draws × components
    spare = len(readings) - len(fitted.coef_)
    if spare > 0:
        excess = float(np.sum(weights * (totals - fitted.predict(features).sum(axis=1)) ** 2)) / spare
        known = np.sqrt(excess / weights)  # ns by which a cell lies off, typically
        share = values / np.where(totals == 0.0, 1.0, totals)[:, None]
        noise = random.standard_normal((len(readings), len(machine)))
        moved += (noise * known[:, None])[:, :, None] * share[:, None, :]
    drawn = (
        np.einsum("tc,cdk->dtk", fitted.operator_, values[:, None, :] + moved) * (1.0 + error * machine)[:, None, None]
    )
    labels = (BASE, *(_label(term) for term in fitted.terms_))
    return Cost(labels, names, fitted.coef_, drawn, len(readings))


def _regression() -> HingeRegressor:
    return HingeRegressor(hinges=_HINGES, monotone=True)


def _label(term: Term) -> str:
    name = FEATURES[term.column]
    return name if term.knot is None else f"{name}>{term.knot:.17g}"


def _moved(entry: Reading, names: Sequence[str], draws: int, random: np.random.Generator) -> Floats:
    """By how much a cell's components might come out otherwise in another run: draws × components, ns."""
    errors = np.array([entry.errors.get(name, 0.0) for name in names])[:, None] * _normals(len(names), draws, random)
    moved = TWO_RUNS * errors.T
    whole = TWO_RUNS * entry.total_error * _normals(1, draws, random)[0]
    moved[:, names.index(UNEXPLAINED)] += whole - moved.sum(axis=1)  # how the parts are split moves no total
    if entry.rounds:
        table = np.array([list(entry.rounds.get(name, ())) or [0.0] * _count(entry) for name in names])
        count = table.shape[1]
        deviations = table - table.mean(axis=1)[:, None]
        scale = TWO_RUNS * entry.student / np.sqrt(count * (count - 1))  # squares of deviations add up to count − 1
        moved += scale * (deviations @ _normals(count, draws, random)).T
    return np.asarray(moved)


def _normals(rows: int, draws: int, random: np.random.Generator) -> Floats:
    """Rows of normal draws, each the quantiles of the distribution in random order: none is wider by chance."""
    quantiles = [NormalDist().inv_cdf((index + 0.5) / draws) for index in range(draws)]
    spread = np.array(quantiles) / np.std(quantiles)
    return random.permuted(np.tile(spread, (rows, 1)), axis=1)


def _count(entry: Reading) -> int:
    return len(next(iter(entry.rounds.values())))


def _protocol(key: Sequence[Any]) -> str:
    return str(key[CONFIGURATION_KEY.index("protocol")])


def _followed(groups: Groups, error: float) -> Followed:
    """How much each protocol's cells go along with the anchor: what leaves the least error when cells are left out.

    The anchor is HTTP/1.1, whose user time a shared machine's caches slow down most. Where too few cells can be left
    out to tell, HTTP is taken to follow it and TCP not to.
    """
    found: dict[tuple[str, str], float] = {}
    for protocol in dict.fromkeys(map(_protocol, groups)):
        for currency in CURRENCIES:
            found[protocol, currency] = 0.0 if protocol == "tcp" else 1.0
            errors = {follows: _protocol_errors(groups, protocol, currency, error, follows) for follows in _FOLLOWS}
            if min(np.count_nonzero(np.isfinite(entries)) for entries in errors.values()) >= _FEWEST_TO_TELL:
                medians = {follows: float(np.nanmedian(np.abs(entries))) for follows, entries in errors.items()}
                found[protocol, currency] = min(medians, key=lambda follows: medians[follows])
    return found


def _held_out(groups: Groups, error: float, followed: Followed) -> Iterable[HeldOut]:
    """Leave-one-cell-out errors by protocol and currency, with the terms that all cells together gave."""
    for (protocol, currency), follows in followed.items():
        errors = _protocol_errors(groups, protocol, currency, error, follows)
        tested = [abs(found) for found in errors if np.isfinite(found)]
        yield HeldOut(
            protocol=protocol,
            currency=currency,
            median=float(np.median(tested)) if tested else None,
            worst=float(np.max(tested)) if tested else None,
            tested=len(tested),
            untested=len(errors) - len(tested),
            follows=follows,
        )


def _protocol_errors(groups: Groups, protocol: str, currency: str, error: float, follows: float) -> list[float]:
    """The relative errors of all cells of a protocol, NaN where the others cannot predict one."""
    return [
        found
        for key, cells in groups.items()
        if _protocol(key) == protocol
        for found in _left_out(cells, currency, error, follows)
    ]


def _left_out(cells: Sequence[Cell], currency: str, error: float, follows: float) -> list[float]:
    """Relative error of each cell as the others predict it; NaN where they cannot."""
    readings = [found for cell in cells if (found := reading(cell, currency, follows)) is not None]
    if not readings:
        return []
    features = np.array([entry.features for entry in readings])
    totals, weights = np.array([entry.total for entry in readings]), _weights(readings, error)
    residuals = _regression().fit(features, totals, weights).left_out_
    varying = [Term(column) for column in range(features.shape[1]) if np.ptp(features[:, column]) > 0]
    undetermined = np.isnan(left_out_residuals(design(features, varying), totals, weights))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        relative = residuals / totals
    return [float("nan") if skip else float(value) for skip, value in zip(undetermined, relative, strict=True)]
