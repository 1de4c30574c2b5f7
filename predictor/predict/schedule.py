"""How much longer calls at the same time take than the longest of them, since they share CPUs and a sidecar. Pure.

A scheduler starts whatever is ready on any CPU that is free, so calls at the same time take at least their longest, and
at least their work over the CPUs; Graham's bound says at most the sum of both. The caller's sidecar handles the calls
one after another, however many CPUs there are: part of what it does for the others delays the longest.

A real scheduler is not as good: it leaves a process on the CPU that it ran on last, where another may be running, and
CPUs have other work too. So each CPU but the first counts in part (`usable`).

The first two shares below are fitted to simulated list schedules, which tests/predictor/predict/simulated_schedule.py
makes: with them the time of a stage of 2 to 8 calls on 1 to 64 CPUs is within 6 % of the simulated one on average, and
exact on one CPU and for one call.
"""

from typing import Final, TypeVar

from predictor.models.types import Floats

Number = TypeVar("Number", float, Floats)

RAREST: Final = 1e-12
"""Calls per request, or waits per call; rarer ones take no latency. It would be less than is printed, and products with
such numbers lose their digits. Their CPU counts."""

CALLER_SHARE: Final = 0.25
"""Of the time that the caller's sidecar takes for the other calls, the part that the longest waits for."""

_UNEVEN: Final = 0.25
"""Of the longest call, the part in which CPUs are left without work, times the share of the other CPUs."""


_FURTHER: Final = 0.6
"""What each CPU but the first counts. Random graphs on two CPUs took, without sidecars, as long as on 1.6 that have no
idle time (experiments/random_graphs, development seeds): the mean error of the median is smallest there."""


def usable(cpus: Number) -> Number:
    """As how many CPUs that are never idle while something is ready so many count."""
    return 1.0 + _FURTHER * (cpus - 1.0)


def uneven(cpus: Number) -> Number:
    """The part of the longest call that comes on top of the work over so many CPUs, 0 for one."""
    return _UNEVEN * (1.0 - 1.0 / cpus)


def following_share(number: Number) -> Number:
    """The part of a stage that follows one of its calls on average, where it has so many calls, at least one."""
    return (1.0 - 1.0 / number) / 2.0
