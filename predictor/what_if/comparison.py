"""Scenarios beside the graph as it is. Pure: no I/O.

All predictions take the same imagined runs of the measurement and the same seed of sampled requests, so the interval
of a saving is that of the differences of pairs: what is uncertain in both alike is not counted twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from predictor.graph.types import CallGraph
from predictor.hop_costs.needs import profile_command
from predictor.hop_costs.options import Options
from predictor.models.types import FittedModel, Floats
from predictor.predict.predict import predict
from predictor.predict.types import Estimate, Prediction, estimate
from predictor.what_if.scenarios import AS_IT_IS, Scenario
from profiler.errors import UsageError


@dataclass(frozen=True, slots=True)
class Saving:
    """What a scenario takes away of the overhead; negative where it adds.

    Latency is by statistic, in ns, as far as it is finite and known; CPU in vCPU.
    """

    latency_ns: Mapping[str, Estimate]
    vcpu: Estimate
    memory_bytes: float | None


@dataclass(frozen=True, slots=True)
class Row:
    """One scenario, or the graph as it is, which has no saving. Without a prediction `lacking` says what is missing."""

    name: str
    prediction: Prediction | None
    saving: Saving | None = None
    lacking: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The graph as it is, first, and its scenarios in the order of their file."""

    graph: str
    rows: tuple[Row, ...]

    @property
    def lacking(self) -> str:
        """Why no scenario could be predicted; empty if one could."""
        scenarios = self.rows[1:]
        return "" if any(row.prediction for row in scenarios) else scenarios[0].lacking


def compare(graph: CallGraph, model: FittedModel, options: Options, scenarios: Sequence[Scenario]) -> Comparison:
    """Predict a graph as it is and in each of some scenarios.

    What the model lacks is told in the row. Raises `UsageError` where a change does not fit the graph.
    """
    base = _row(Scenario(AS_IT_IS), graph, model, options)
    changed = [(scenario, scenario.graph(graph)) for scenario in scenarios]
    rows = [_row(scenario, one, model, scenario.options(options)) for scenario, one in changed]
    return Comparison(graph.name, (base, *(_with_saving(base.prediction, row) for row in rows)))


def _row(scenario: Scenario, graph: CallGraph, model: FittedModel, options: Options) -> Row:
    known = dict.fromkeys(item.proxy for item in model.configurations)
    if scenario.proxy and scenario.proxy not in known:
        protocols = ",".join(sorted({*(c.protocol for c in graph.calls), *(e.protocol for e in graph.ingress)}))
        command = profile_command({"proxy": [scenario.proxy], "protocol": [protocols]})
        return Row(scenario.name, None, lacking=f"the profile lacks {scenario.proxy}; measure with: {command}")
    try:
        return Row(scenario.name, predict(graph, model, options))
    except UsageError as error:
        return Row(scenario.name, None, lacking=str(error))


def _with_saving(base: Prediction | None, row: Row) -> Row:
    if base is None or row.prediction is None:
        return row
    return Row(row.name, row.prediction, saving(base, row.prediction))


def saving(before: Prediction, after: Prediction) -> Saving:
    """What `after` saves of the overhead of `before`; both are predicted from one model with the same options."""
    both = (before.memory_bytes, after.memory_bytes)
    return Saving(
        latency_ns={
            name: _latency(name, before, after)
            for name, part in before.latency.items()
            if name in after.latency and part.shown_overhead_ns and after.latency[name].shown_overhead_ns
        },
        vcpu=estimate(
            before.vcpu.value - after.vcpu.value,
            _least_zero(before, "cpu") - _least_zero(after, "cpu"),
            error=before.own_errors["cpu"],
        ),
        memory_bytes=None if both[0] is None or both[1] is None else both[0] - both[1],
    )


def _latency(name: str, before: Prediction, after: Prediction) -> Estimate:
    value = before.latency[name].overhead_ns.value - after.latency[name].overhead_ns.value
    return estimate(
        value,
        _statistic(name, before) - _statistic(name, after),
        error=before.own_errors["latency" if name == "mean" else name],
    )


def _statistic(name: str, found: Prediction) -> Floats:
    """Draws of a statistic's overhead: those of the mean, in proportion, as intervals of percentiles are."""
    draws, mean = _least_zero(found, "latency"), found.latency["mean"].overhead_ns.value
    if name == "mean":
        return draws
    return draws * (found.latency[name].overhead_ns.value / mean if mean > 0 else 0.0)


def _least_zero(found: Prediction, currency: str) -> Floats:
    return np.maximum(found.draws[currency], 0.0)
