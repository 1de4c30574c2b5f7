"""User time by function, from the places where samples of the sidecars were taken."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from profiler.symbols.maps import UserAddress
from profiler.symbols.tables import Function, FunctionTables
from profiler.vocabulary.components import SIDECARS


@dataclass(frozen=True)
class UserHistogram:
    """User time of the sidecars by function, in CPU nanoseconds per request.

    `unresolved_ns` is that of addresses in no known function. `sample_ns` is what one sample stands for: how fine the
    histogram is.
    """

    cpu_ns: Mapping[Function, float]
    unresolved_ns: float
    sample_ns: float

    @property
    def total_ns(self) -> float:
        """User time per request, in ns."""
        return sum(self.cpu_ns.values()) + self.unresolved_ns


def user_histogram(
    weights: Mapping[tuple[str, UserAddress], float],
    samples: int,
    cpu_ns: float,
    tables: Mapping[str, FunctionTables] | FunctionTables,
) -> UserHistogram:
    """Spread user time over functions as samples are spread.

    Args:
        weights: `SampledTimes.user`, or the sum over several windows (`added`), in any unit.
        samples: how many samples that is, `SampledTimes.user_samples`.
        cpu_ns: user time of the sidecars in these windows per request, in ns: better from an exact account than from
            the samples themselves.
        tables: where to look functions up; by role where sidecars have file systems of their own.
    """
    weights = {key: weight for key, weight in weights.items() if key[0] in SIDECARS}
    total = sum(weights.values())
    scale = cpu_ns / total if total else 0.0
    found: dict[Function, float] = {}
    unresolved = 0.0
    for role in SIDECARS:
        here = {place: weight for (owner, place), weight in weights.items() if owner == role}
        functions = (tables if isinstance(tables, FunctionTables) else tables[role]).functions(here) if here else {}
        for place, weight in here.items():
            if function := functions.get(place):
                found[function] = found.get(function, 0.0) + weight * scale
            else:
                unresolved += weight * scale
    return UserHistogram(found, unresolved, cpu_ns / samples if samples else 0.0)


def added(
    windows: Iterable[Mapping[tuple[str, UserAddress], float]],
) -> dict[tuple[str, UserAddress], float]:
    """The weights of several windows together."""
    total: dict[tuple[str, UserAddress], float] = {}
    for weights in windows:
        for key, weight in weights.items():
            total[key] = total.get(key, 0.0) + weight
    return total
