"""User time by function, from the places where samples of the sidecars were taken."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from profiler.symbols.maps import UserAddress
from profiler.symbols.tables import Function, FunctionTables
from profiler.vocabulary.components import SIDECARS

Weights: TypeAlias = Mapping[tuple[str, Function | None], float]
"""Of samples, by role and function."""


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


class SampledFunction(NamedTuple):
    """A role's weight in one function: with the symbols of its file, and by `.eh_frame` alone. None is no function."""

    role: str
    named: Function | None
    nameless: Function | None
    weight: float


@dataclass(frozen=True)
class UserFunctions:
    """What the sidecars' samples in user mode hit: functions of their own files, and which proxy these are of.

    `proxy` is None where it is not known, `version` empty. `samples` is the number of samples.
    """

    weights: list[SampledFunction]
    samples: int
    proxy: str | None = None
    version: str = ""

    def by_function(self, *, named: bool) -> Weights:
        """Weights by role and function, with the symbols of its file or without them."""
        found: dict[tuple[str, Function | None], float] = {}
        for entry in self.weights:
            key = entry.role, entry.named if named else entry.nameless
            found[key] = found.get(key, 0.0) + entry.weight
        return found


def by_function(weights: Mapping[tuple[str, UserAddress], float], tables: FunctionTables) -> Weights:
    """The weights of `SampledTimes.user`, or of several windows (`added`), by role and function."""
    functions = tables.functions({place for _, place in weights})
    found: dict[tuple[str, Function | None], float] = {}
    for (role, place), weight in weights.items():
        key = role, functions.get(place)
        found[key] = found.get(key, 0.0) + weight
    return found


def user_histogram(weights: Weights, samples: int, cpu_ns: float) -> UserHistogram:
    """Spread user time over functions as samples are spread. Pure.

    Args:
        weights: by role and function, in any unit; None is no known function.
        samples: how many samples that is, `SampledTimes.user_samples`.
        cpu_ns: user time of the sidecars in these windows per request, in ns: better from an exact account than from
            the samples themselves.
    """
    weights = {key: weight for key, weight in weights.items() if key[0] in SIDECARS}
    total = sum(weights.values())
    scale = cpu_ns / total if total else 0.0
    found: dict[Function, float] = {}
    unresolved = 0.0
    for (_, function), weight in weights.items():
        if function is None:
            unresolved += weight * scale
        else:
            found[function] = found.get(function, 0.0) + weight * scale
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
