"""The sidecars' user time by three sources, for every cell: symbols, function ranges, the ladder.

How user time is spread over functions comes from windows at saturation, where there are samples enough; how much
there is of it, from the exact account of each cell.
"""

from functools import cache
from typing import Final

from profiler.attribution.cpu_classes import components_from_states
from profiler.errors import UsageError
from profiler.evaluation.readings import Point, Readings, request_of
from profiler.evaluation.windows import CpuWindow
from profiler.planning.cells import Cell, Scene, ladder
from profiler.profile import types as profile
from profiler.symbols.catalogue import Catalogue, load_catalogue
from profiler.symbols.histogram import UserFunctions, UserHistogram, user_histogram
from profiler.symbols.split import Entered, Rung, UserSplit, entered, split_by_ladder, split_by_rungs, split_by_symbols
from profiler.symbols.tables import Function
from profiler.vocabulary.components import PARSING, PROXY_CORE
from profiler.vocabulary.cpu_states import USER
from profiler.vocabulary.hop import Hop
from profiler.vocabulary.protocols import TCP

_FEWEST_SAMPLES: Final = 500
"""Of each rung, to tell a component by the functions it enters."""


class UserSplits:
    """Splits the user time of cells, from what was read of their rungs."""

    def __init__(self, readings: Readings) -> None:
        self._readings = readings
        self._histograms: dict[tuple[Point, bool], UserHistogram] = {}

    def split(self, cell: Cell) -> dict[str, profile.UserSplit]:
        """User time by source; empty where the rungs were not all sampled."""
        rungs = [(rung.component, (rung.hop, cell.scene)) for rung in ladder(cell.hop)]
        if not rungs or not all(self._known(point) for _, point in rungs):
            return {}
        splits = [
            split_by_ladder([(component, self._user_ns(point)) for component, point in rungs]),
            split_by_rungs([Rung(component, self._histogram(point, named=False)) for component, point in rungs]),
        ]
        if (catalogue := self._catalogue(rungs[-1][1])) is not None:
            # What is done once per stream is of the core only where a stream is a connection.
            once = cell.hop.protocol == TCP or cell.scene.load.new_connections
            histogram = self._histogram(rungs[-1][1], named=True)
            splits.append(split_by_symbols(histogram, catalogue, PROXY_CORE if once else PARSING))
        return {split.source: _described(split) for split in splits if split.useful}

    def entered(self, hop: Hop, lower: Hop, upper: Hop, scene: Scene) -> Entered | None:
        """The share of user time in functions that the upper rung enters and the lower one does not.

        None where the rungs were not sampled well enough for it: the ladder then tells.
        """
        histograms = [self._by_role((rung, scene)) for rung in (lower, upper)]
        if any(sum(sum(part.values()) for part in found.values()) < _FEWEST_SAMPLES for found in histograms):
            return None
        places = [hop.filter_place] if hop.filter_place and upper.filters != lower.filters else hop.sidecar_places
        return entered(histograms[0], histograms[1], [place for place in places if place])

    def _by_role(self, point: Point) -> dict[str, dict[Function, float]]:
        """Samples by role and function; addresses in no function are left out."""
        sampled = self._sampled(point)
        if sampled is None or not sampled.samples:
            return {}
        weights = sampled.by_function(named=False)
        per_sample = sum(weights.values()) / sampled.samples
        found: dict[str, dict[Function, float]] = {}
        for (role, function), weight in weights.items():
            if function is not None:
                found.setdefault(role, {})[function] = weight / per_sample
        return found

    def _sampled(self, point: Point) -> UserFunctions | None:
        return self._readings.functions.get((point[0], request_of(point[1].load)))

    def _known(self, point: Point) -> bool:
        sampled = self._sampled(point)
        return bool(self._readings.cpu[point] and sampled and sampled.samples)

    def _user_ns(self, point: Point) -> float:
        windows = self._readings.cpu[point]
        return sum(_user_ns(window) for window in windows) / sum(window.requests for window in windows)

    def _histogram(self, point: Point, *, named: bool) -> UserHistogram:
        if (point, named) not in self._histograms:
            sampled = self._readings.functions[point[0], request_of(point[1].load)]
            weights = sampled.by_function(named=named)
            self._histograms[point, named] = user_histogram(weights, sampled.samples, self._user_ns(point))
        return self._histograms[point, named]

    def _catalogue(self, point: Point) -> Catalogue | None:
        """The catalogue of the proxy that was sampled; None where there is none for its version."""
        sampled = self._readings.functions[point[0], request_of(point[1].load)]
        return _catalogue(sampled.proxy, sampled.version) if sampled.proxy and sampled.version else None


def _user_ns(window: CpuWindow) -> float:
    return components_from_states(window.times.time_ns).get(USER, 0.0)


@cache
def _catalogue(proxy: str, version: str) -> Catalogue | None:
    try:
        return load_catalogue(proxy, version)
    except UsageError:
        return None


def _described(split: UserSplit) -> profile.UserSplit:
    return profile.UserSplit(
        cpu_ns_per_request=dict(split.cpu_ns),
        unresolved_ns=split.unresolved_ns,
        unresolved_share=min(1.0, max(0.0, split.unresolved_share)),
        growth_ns=dict(split.growth_ns),
    )
