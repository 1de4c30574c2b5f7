"""What is compared of a document other than a profile. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from profiler.attribution.intervals import Z95
from profiler.comparison.compare import Figures
from profiler.comparison.significance import KNOWN, Error, Measured

NS: Final = "ns"
VCPU: Final = "vCPU"
NO_DRIFT: Final = Error(0.0, KNOWN)


@dataclass(frozen=True, slots=True)
class Document:
    """Figures by the name of what they are of.

    `subject` is the name of its graph; `facts` and `environment` are listed where they differ, and figures are not
    comparable where one of `settled` does. `main` are the names that stand for the whole: one that is shown by
    component, or several whose mean is. CPU is in `cpu_unit`.
    """

    figures: Mapping[str, Figures]
    main: tuple[str, ...]
    cpu_unit: str
    subject: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    settled: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)


def measured_by(value: float, interval: tuple[float, float], drift: Error = NO_DRIFT) -> Measured:
    """A figure with a 95 % interval. An interval of no width, as of a single round, says nothing but where all is 0."""
    low, high = interval
    if high <= low and (value, low) != (0.0, 0.0):
        return Measured(value, (), drift)
    return Measured(value, (Error(((high - low) / 2 / Z95) ** 2, KNOWN),), drift)
