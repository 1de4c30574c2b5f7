"""How far a figure may go before the reports mark it. Pure: no I/O."""

from typing import Final

from profiler.profile.types import Cell

CLOSURE_RATIO: Final = 0.10
"""Largest share by which the components may miss the measured difference."""

QUIET_STEAL_RATIO: Final = 0.02
FEWEST_EXCHANGES: Final = 300
SMALL_OVERHEAD_NS: Final = 5000.0
"""Below it a few percent of closure are fractions of a microsecond."""

LATENCY_RATIO: Final = {"tcp": 1.06, "http1": 1.03}
"""Largest change of median latency by the probes, per protocol; others are held to `LATENCY_RATIO_OTHERS`."""

LATENCY_RATIO_OTHERS: Final = 1.03
THROUGHPUT_RATIO: Final = 0.95
DISAGREEMENT_POINTS: Final = 10.0
DISAGREEMENT_FROM_SHARE: Final = 0.05
REACHED_RATIO: Final = 0.98
"""An achieved rate under this share of the offered one counts as not reached."""


def closes(residual: float | None) -> bool:
    """Whether a closure residual is within its bound; an unknown one is not held against the cell."""
    return residual is None or abs(residual) <= CLOSURE_RATIO


def latency_undisturbed(cell: Cell) -> bool:
    """Whether the probes raised median latency by no more than the bound of the cell's protocol."""
    ratio = cell.perturbation.latency_ratio
    return ratio is None or ratio <= LATENCY_RATIO.get(cell.protocol, LATENCY_RATIO_OTHERS)


def throughput_undisturbed(cell: Cell) -> bool:
    """Whether the probes left enough of the throughput."""
    ratio = cell.perturbation.throughput_ratio
    return ratio is None or ratio >= THROUGHPUT_RATIO


def undisturbed(cell: Cell) -> bool:
    """Whether the probes changed neither median latency nor throughput beyond their bounds."""
    return latency_undisturbed(cell) and throughput_undisturbed(cell)


def rate_reached(cell: Cell) -> bool:
    """Whether the load was really sent, with the sidecar and without; a closed loop offers no rate to miss."""
    offered = cell.rate_rps
    if offered is None:
        return True
    achieved = [value for value in (cell.achieved_rps, cell.baseline_achieved_rps) if value is not None]
    return bool(achieved) and min(achieved) >= REACHED_RATIO * offered


def agrees(share: float | None, disagreement_points: float | None) -> bool:
    """Whether eBPF and perf agree on a component; shares too small to matter always do."""
    if share is None or disagreement_points is None or abs(share) < DISAGREEMENT_FROM_SHARE:
        return True
    return abs(disagreement_points) <= DISAGREEMENT_POINTS
