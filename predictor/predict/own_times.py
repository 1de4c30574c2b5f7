"""How much services' own times vary. Pure."""

from typing import Final

import numpy as np

from predictor.graph.service_time import ServiceTime

LONGEST_NS: Final = 1e18
"""No service takes longer (31 years)."""

_SHARES: Final = ((np.arange(257) + 0.5) / 257).tolist()


def variance_ns2(time: ServiceTime) -> float:
    """The variance of service times in ns²; of those given by percentiles, that of 257 evenly spread quantiles."""
    if time.kind == "constant" or time.mean_ns <= 0.0:
        return 0.0
    if time.kind == "exponential":
        return time.mean_ns**2
    if time.kind == "lognormal":
        return (time.cv * time.mean_ns) ** 2
    with np.errstate(over="ignore"):
        return float(np.var([_quantile_ns(time, share) for share in _SHARES]))


def _quantile_ns(time: ServiceTime, share: float) -> float:
    try:
        return min(time.quantile_ns(share), LONGEST_NS)
    except OverflowError:  # steep percentiles, far beyond the last
        return LONGEST_NS
