"""Cells of one hop in several placements, with known costs of hand-overs."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from profiler.profile.types import Cell, HandOvers
from tests.predictor.models.profiles import HTTP, TCP, Coefficients, cell, latency_of

CROSSING_NS = 6e3
LOCAL_NS = 2e3
"""Of latency; CPU is twice that, as in all synthetic profiles."""

ADDED = 8.0
"""Hand-overs that sidecars add: an exchange without them has 2, of which half cross."""

SHARES = {"free": 0.5, "apart": 1.0, "together": 0.0}


def placed(
    placement: str, coefficients: Coefficients = HTTP, rounds: Sequence[float] = (), share: float | None = None,
    crossing_ns: float = CROSSING_NS, **dimensions: Any,
) -> Cell:  # fmt: skip
    """A cell whose `ipc` is `coefficients`' and its hand-overs'. `rounds` are shares that crossed, one per round."""
    share = SHARES[placement] if share is None else share
    base, *slopes = coefficients["ipc"]

    def ipc_ns(part: float) -> float:
        return base + ADDED * (LOCAL_NS + part * crossing_ns)

    load = dimensions.pop("load", (100, 1000, 0, 0))
    moved = {**coefficients, "ipc": (ipc_ns(share), *slopes)}
    found = cell(moved, load, [1.0] * len(rounds), placement=placement, **dimensions)
    latency = latency_of(found)
    sloped = latency.components["ipc"].median_ns - ipc_ns(share)
    ipc = replace(latency.components["ipc"], rounds_ns=[sloped + ipc_ns(part) for part in rounds])
    counted = replace(
        latency,
        components={**latency.components, "ipc": ipc},
        hand_overs=HandOvers(
            count=2.0 + ADDED, crossed=1.0 + ADDED * share, rounds_crossed=[1.0 + ADDED * part for part in rounds]
        ),
        baseline_hand_overs=HandOvers(count=2.0, crossed=1.0, rounds_crossed=[1.0 for _ in rounds]),
    )
    return replace(found, latency=counted)


def placed_cells(rounds: int = 0, **dimensions: Any) -> list[Cell]:
    """HTTP and TCP in all placements, at two sizes."""
    return [
        placed(placement, coefficients, [share] * rounds, protocol=protocol, load=load, **dimensions)
        for protocol, coefficients in (("http1", HTTP), ("tcp", TCP))
        for load in ((100, 1000, 0, 0), (5000, 1000, 0, 0))
        for placement, share in SHARES.items()
    ]
