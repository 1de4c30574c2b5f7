"""The share of hand-overs that go to another CPU: what it was in the profile, and costs at another one. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from predictor.hop_costs.hops import Part
from predictor.models.types import BASE, CURRENCIES, POSITIONS, Configuration, Cost, Crossing, FittedModel, Floats
from profiler.errors import UsageError
from profiler.vocabulary.components import IPC
from profiler.vocabulary.hop import PLACEMENTS

REMEDY: Final = f"meshinsight profile --placement {','.join(PLACEMENTS)}"


def at_share(model: FittedModel, share: float | None) -> FittedModel:
    """The model with its configurations at a share of hand-overs that cross, 0 to 1; None leaves it as it is.

    Their `ipc` moves by the crossings that this adds times what a crossing costs. Configurations of which that is not
    known are left out. Raises `UsageError`: it is known of none.
    """
    if share is None:
        return model
    found = [_moved(item, share, model.crossings) for item in model.configurations]
    kept = tuple(item for item in found if item is not None)
    if not kept:
        raise UsageError(
            "--crossing-share: the profile does not say what a hand-over to another CPU costs; measure that with: "
            + REMEDY
        )
    return replace(model, configurations=kept)


def needed_placements(share: float | None) -> tuple[str, ...]:
    """The placements to measure a configuration with, so that it can be predicted at the share; empty: any."""
    return () if share is None else PLACEMENTS


def _moved(item: Configuration, share: float, crossings: Sequence[Crossing]) -> Configuration | None:
    if item.hand_overs is None or item.crossed is None:
        return None
    crossed = share * item.hand_overs
    moved: dict[str, Cost] = {}
    for currency in CURRENCIES:
        if (cost := item.cost(currency)) is not None:
            each = _of(item, currency, crossings)
            if each is None:
                return None
            more = crossed - item.crossed
            moved[currency] = _with_more(cost, more * each.cost_ns, more * each.draws)
    return replace(item, crossed=crossed, **moved)  # type: ignore[arg-type]  # both are costs


def _of(item: Configuration, currency: str, crossings: Iterable[Crossing]) -> Crossing | None:
    """What a crossing costs there: at the nearest temperature, of the same protocol rather than of all."""
    known = [one for one in crossings if one.currency == currency and one.protocol in ("", item.protocol)]

    def distance(one: Crossing) -> tuple[bool, float, bool]:
        away = abs(POSITIONS.get(one.temperature, 0.5) - POSITIONS.get(item.temperature, 0.5))
        return one.temperature != item.temperature, away, one.protocol != item.protocol

    return min(known, key=distance, default=None)


def _with_more(cost: Cost, more_ns: float, draws: Floats) -> Cost:
    """The cost with so much more `ipc` per request."""
    if IPC not in cost.components:
        coefficients, drawn = (np.insert(table, len(cost.components), 0.0, axis=-1)
                               for table in (cost.coefficients, cost.draws))  # fmt: skip
        cost = replace(cost, components=(*cost.components, IPC), coefficients=coefficients, draws=drawn)
    place = cost.terms.index(BASE), cost.components.index(IPC)
    coefficients, drawn = cost.coefficients.copy(), cost.draws.copy()
    coefficients[place] += more_ns
    drawn[:, *place] += draws
    return replace(cost, coefficients=coefficients, draws=drawn)


def placements_of(parts: Iterable[Part]) -> tuple[str, ...]:
    """The placements of the cells that stand for hops."""
    found = {item.placement for part in parts for _, item in part.points}
    return tuple(name for name in PLACEMENTS if name in found)


def crossing_share(parts: Iterable[Sequence[Part]], rates: Sequence[float]) -> float | None:
    """The share of hand-overs that cross, over the parts of kinds of hops with their rates; None where not counted."""
    hand_overs, crossed = 0.0, 0.0
    weights = rates if any(rates) else [1.0] * len(rates)
    for of_kind, weight in zip(parts, weights, strict=True):
        for item in (item for part in of_kind if not part.only for _, item in part.points):
            if item.hand_overs is not None and item.crossed is not None:
                hand_overs += weight * item.hand_overs
                crossed += weight * item.crossed
    return min(max(crossed / hand_overs, 0.0), 1.0) if hand_overs > 0.0 else None


def share_note(placements: Sequence[str], share: float | None, given: float | None) -> str:
    """What a prediction says of it."""
    if given is not None:
        return f"crossing share: {given:.0%} of hand-overs go to another CPU, as given"
    counted = "hand-overs were not counted" if share is None else f"{share:.0%} of hand-overs went to another CPU"
    return f"placement: {', '.join(placements)}, as profiled; {counted}"
