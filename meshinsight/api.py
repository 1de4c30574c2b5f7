"""MeshInsight from Python: `from meshinsight import load_profile, load_graph, predict`. See docs/how-to/python-api.md.

Errors are those of the command line: `profiler.errors.MeshInsightError`, whose text is one line for the user.
"""

import os
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from predictor.graph import reader
from predictor.graph.types import CallGraph
from predictor.hop_costs.options import Factors, Options
from predictor.models.types import FittedModel
from predictor.predict import predict as predicting
from predictor.predict import types as predicted
from predictor.what_if.scenario import Changes, changed
from profiler.profile import document, types

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd


@dataclass(frozen=True)
class Profile:
    """A stored profile. `document` is all of it, as docs/reference/profile-format.md describes it."""

    path: Path
    document: types.Profile

    @property
    def cells(self) -> "Sequence[types.Cell]":
        """What was measured, one configuration under one load each."""
        return self.document.cells

    @cached_property
    def model(self) -> FittedModel:
        """The model that predictions use: stored next to the profile, or fitted now. Raises `UsageError`."""
        from meshinsight.models import load_model

        return load_model(self.path)

    def to_frame(self) -> "pd.DataFrame":
        """The rows of `meshinsight show -o csv`: one per cell, currency and component. Raises `MissingError`."""
        from meshinsight.reports.subjects import profile_rows

        return _frame(profile_rows.rows(self.document), profile_rows.COLUMNS)


@dataclass(frozen=True)
class Prediction(predicted.Prediction):
    """What sidecars add to a call graph: latency in ns, CPU in vCPU, memory in bytes, with 95 % intervals."""

    def to_frame(self) -> "pd.DataFrame":
        """The rows of `meshinsight predict -o csv`: one per scope, name, quantity and component.

        Raises `MissingError` where pandas is not installed.
        """
        from meshinsight.reports.subjects.prediction import COLUMNS, Prices, report

        return _frame(report(self, Prices()).rows(), COLUMNS)


def load_profile(path: "str | os.PathLike[str]") -> Profile:
    """Read and check a profile: `profile.json`, or the directory that holds it. Raises `ProfileError`."""
    return Profile(Path(path), document.load_profile(Path(path)))


def load_graph(path: "str | os.PathLike[str]") -> CallGraph:
    """Read and check a call graph file. Raises `UsageError`, which names file, line and field."""
    return reader.load_graph(Path(path))


def predict(
    profile: Profile,
    graph: CallGraph,
    *,
    proxy: str | None = None,
    transport: str = "ip",
    samples: int = 10_000,
    seed: int = 1,
    cpu_model: str | None = None,
    crossing_share: float | None = None,
    speedup: "Mapping[str, Factors] | None" = None,
    changes: "Sequence[str]" = (),
    dropped_filters: "Sequence[str]" = (),
    topology: str | None = None,
) -> Prediction:
    """Predict what sidecars add to a call graph. The options are those of `meshinsight predict`.

    Args:
        profile: what the sidecars of the graph cost by the hop.
        graph: a call graph of `load_graph`.
        proxy: the proxy that was measured, Envoy by default.
        transport: how services and sidecars are connected, as profiled.
        samples: sampled requests, for percentiles; 0 for the mean alone.
        seed: of the samples. The same seed gives the same figures.
        cpu_model: that of the nodes; another one than the profile's widens the intervals.
        crossing_share: share of hand-overs that go to another CPU, 0 to 1; as profiled by default.
        speedup: what if components were faster, by component.
        changes: what if edges were different, as `--set` has it, such as `*.tls=none` or `a->b.protocol=tcp`.
        dropped_filters: what if no edge had these filters.
        topology: what if all services had `server` (sidecars on that side only), `shared`, `waypoint` or `none`.

    Raises:
        UsageError: the profile lacks what the graph needs, or an option is wrong.
    """
    options = Options(proxy, transport, samples, seed, cpu_model, speedup=speedup, crossing_share=crossing_share)
    graph = changed(graph, Changes(tuple(changes), tuple(dropped_filters), topology))
    found = predicting.predict(graph, profile.model, options)
    return Prediction(**{part.name: getattr(found, part.name) for part in fields(found)})


def _frame(rows: "Iterable[Mapping[str, object]]", columns: "Iterable[str]") -> "pd.DataFrame":
    from profiler.host.extras import PANDAS, require

    require(PANDAS, "to_frame")
    import pandas as pd

    return pd.DataFrame(list(rows), columns=list(columns))
