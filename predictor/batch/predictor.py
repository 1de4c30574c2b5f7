"""A chunk of graphs to a table of figures, one row per graph. Pure: what a chunk gives depends on nothing else.

The numbers are those of `predictor.predict.predict`; each formula's meaning is told there.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pyarrow as pa

from predictor.batch.costs import Costs, CostSums, Reduced, graph_draws, kind_of
from predictor.batch.decode import Booleans, Decoder, Indices, Problems, Rows, graph_column, same
from predictor.batch.edges import (
    Edges,
    by_kinds,
    endless_graphs,
    find_flow,
    mean_latency,
    of_deployment,
    requests_of,
    shared_sides,
    sums,
)
from predictor.batch.graphs import complete_rows, rebuilt
from predictor.batch.memory import MemorySums
from predictor.batch.results import PARTS, STATISTICS, result_table
from predictor.batch.temperature import temperatures
from predictor.graph.checks import check_graph
from predictor.hop_costs.crossing import needed_placements
from predictor.hop_costs.hops import CLIENT, Part, Resolver
from predictor.hop_costs.load import SATURATED, at_work, sidecar_load
from predictor.hop_costs.needs import Kind
from predictor.hop_costs.options import Options
from predictor.hop_costs.prepared import Prepared
from predictor.hop_costs.temperature import Temperatures
from predictor.models.types import FittedModel, Floats
from predictor.predict.counts import MOST_CALLS
from predictor.predict.intervals import FOREIGN_PLATFORM, central_of_own, doubt_draws, with_own_error
from predictor.predict.longest import hop_variance, hop_waits
from predictor.predict.own_error import own_error
from predictor.predict.predict import predict
from predictor.predict.types import Latency
from profiler.errors import UsageError

_NS: Final = 1e-9
_BEYOND: Final = (
    "figures are beyond what can be predicted: calls multiply too often; give fewer calls_per_request, or smaller times"
)


class BatchPredictor:
    """Predicts chunks. `options.samples` above 0 asks for percentiles, which are sampled graph by graph."""

    def __init__(self, model: FittedModel, options: Options) -> None:
        prepared = Prepared.of(model, options)
        model = prepared.model
        self._model = model
        self._options = options
        self._cooling, self._forms = prepared.cooling, prepared.forms
        placements = needed_placements(options.crossing_share)
        self._resolver = Resolver(model, options.proxy, options.transport, placements)
        self._reduced: dict[tuple[int, tuple[str, ...]], Reduced] = {}
        self._parts: dict[Kind, tuple[Part, ...] | str] = {}
        self._spread = doubt_draws(prepared.draws, options.intervals)
        foreign = options.cpu_model is not None and options.cpu_model != model.cpu_model
        self._doubt = FOREIGN_PLATFORM if foreign else 0.0

    def __reduce__(self) -> tuple[Any, ...]:
        return BatchPredictor, (self._model, self._options)

    def predict(self, table: pa.Table) -> pa.Table:
        """The figures of the graphs in a table of the long form, whole graphs with their rows next to each other.

        A graph that cannot be predicted has a row with the reason, and no figures.
        """
        with np.errstate(over="ignore", invalid="ignore"):  # figures that are not finite become errors of their graphs
            return self._results(table)

    def _results(self, table: pa.Table) -> pa.Table:
        names, starts, graph = graph_column(table)
        sizes = np.diff(np.append(starts, table.num_rows))
        errors: dict[int, str] = {}
        kept, part = np.arange(len(starts)), table
        while len(kept):
            figures, problems = self._figures(part, starts, graph)
            if figures is not None:
                break
            self._explain(problems, part, starts)
            errors |= {int(kept[number]): text for number, text in problems.texts.items()}
            left = np.ones(len(kept), dtype=np.bool_)
            left[list(problems.texts)] = False
            part = part.filter(pa.array(left[graph]))
            kept = kept[left]
            starts = np.cumsum(sizes[kept]) - sizes[kept]
            graph = np.repeat(np.arange(len(kept)), sizes[kept])
        else:
            figures = {}
        figures = figures or {}
        beyond = {int(kept[number]): _BEYOND for number in np.flatnonzero(_too_large(figures)).tolist()}
        if self._options.samples:
            figures |= self._percentiles(part, starts, set(np.flatnonzero(_too_large(figures)).tolist()))
        endless = figures.pop("endless", np.zeros(0, dtype=np.bool_))
        return result_table(names, kept, figures, errors | beyond, endless, self._options.samples > 0)

    def _explain(self, problems: Problems, table: pa.Table, starts: Indices) -> None:
        """Where a whole graph is wrong, what the check of single graphs says of it."""
        for number, text in problems.texts.items():
            if not text:
                end = starts[number + 1] if number + 1 < len(starts) else table.num_rows
                try:
                    check_graph(rebuilt(complete_rows(table.slice(starts[number], end - starts[number]))))
                except UsageError as error:
                    problems.texts[number] = str(error)

    def _percentiles(self, table: pa.Table, starts: Indices, left_out: set[int]) -> dict[str, Floats]:
        rows = complete_rows(table)
        bounds = [*starts.tolist(), len(rows)]
        found: dict[str, list[float]] = {}
        for number, (start, end) in enumerate(pairwise(bounds)):
            if number in left_out:
                for name in (f"{statistic}_{suffix}" for statistic in STATISTICS for suffix in PARTS):
                    found.setdefault(name, []).append(np.nan)
                continue
            latency = predict(rebuilt(rows[start:end]), self._model, self._options).latency
            for name, statistic in latency.items():
                if name != "mean":
                    for suffix, value in zip(PARTS, _parts(statistic), strict=True):
                        found.setdefault(f"{name}_{suffix}", []).append(value)
        return {name: np.array(values) for name, values in found.items()}

    def _figures(self, table: pa.Table, starts: Indices, graph: Indices) -> tuple[dict[str, Any] | None, Problems]:
        decoder = Decoder(table, starts, graph)
        rows = decoder.rows()
        if rows is None:
            return None, decoder.problems
        flow, problems = find_flow(rows)
        if flow is None:
            return None, problems
        edges = by_kinds(rows, flow)
        requests = requests_of(rows, flow)
        by_row = temperatures(rows, flow, requests, edges.owners.replicas, self._cooling)
        costs, memory, problems = self._costs(rows, edges, by_row.sorted(edges.sorted))
        if costs is None:
            return None, problems
        load = sidecar_load(edges.owners, edges.rates, costs.work, costs.workers)
        side_waits = load.waits_ns * self._options.load
        waits = side_waits.sum(axis=0)
        hop_ns = costs.latency.sum(axis=0) + waits
        busy = at_work(edges.owners, np.minimum(load.utilisation, SATURATED), costs.work)
        variances = hop_variance(costs.latency.T, costs.spread.T, side_waits.T, busy.T)
        by_row_waits = np.stack([edges.by_row(values) for values in hop_waits(side_waits.T, busy.T)])
        shares = np.divide(costs.latency[CLIENT], hop_ns, out=np.zeros_like(hop_ns), where=hop_ns > 0.0)
        by_row_hops = edges.by_row(hop_ns), edges.by_row(variances), by_row_waits, edges.by_row(shares)
        found = mean_latency(rows, flow, requests, by_row_hops)
        cpu_ns = costs.cpu.sum(axis=0)
        overhead = found["latency_with_ns"] - found["latency_without_ns"]
        vcpu = sums(edges.graph, edges.rates * cpu_ns, rows.graphs) * _NS
        weights = edges.sorted(found.pop("weights"))
        constant = found.pop("hidden") + np.bincount(edges.graph, weights * waits, rows.graphs)
        latency = self._interval("latency", costs, edges, rows.graphs, weights, hop_ns)
        cpu = self._interval("cpu", costs, edges, rows.graphs, edges.rates, cpu_ns)
        own = rows.numbers["service_time_ns"]
        deployment_graph = of_deployment(rows)
        full = np.where(load.utilisation > SATURATED, 1.0, 0.0)
        endless = edges.by_row(at_work(edges.owners, full, costs.work).any(axis=0)) & self._options.load
        return {
            "endless": endless_graphs(rows, flow, requests, endless),
            "calls": np.bincount(rows.graph[rows.caller >= 0], minlength=rows.graphs),
            **found,
            "latency_overhead_ns": overhead,
            **self._ends("mean", "latency_overhead_{}_ns", overhead, *(constant + end for end in latency)),
            "vcpu": vcpu,
            **self._ends("cpu", "vcpu_{}", vcpu, *(end * _NS for end in cpu)),
            "baseline_vcpu": np.bincount(rows.node_graph, flow.node_rates * own, rows.graphs) * _NS,
            "memory_bytes": memory.totals(deployment_graph, np.nan_to_num(rows.numbers["nodes"], nan=1.0)),
            "extrapolated": np.bincount(edges.graph, costs.beyond, rows.graphs) > 0.0,
            "saturated": np.bincount(deployment_graph, load.utilisation > SATURATED, rows.graphs) > 0.0,
        }, problems

    def _costs(self, rows: Rows, edges: Edges, found: Temperatures) -> tuple[Costs | None, MemorySums, Problems]:
        features = {name: edges.sorted(rows.numbers[name]) for name in ("request_bytes", "response_bytes", "headers")}
        features["further_messages"] = same(0.0, len(edges.graph))
        opened = edges.sorted(rows.numbers["new_connections"])
        features["new_connections"] = same(0.0, len(opened)) if opened.strides == (0,) else np.nan_to_num(opened)
        added, problems = CostSums(self._forms, self._reduced, len(edges.graph)), Problems()
        memory = MemorySums(edges.owners, edges.graph, rows.graphs, shared_sides(rows, edges))
        for code, place in edges.kinds:
            parts = self._resolved(kind_of(code, rows.filter_sets))
            if isinstance(parts, str):
                problems.add(edges.graph[place], parts)
            elif parts and not problems.texts:
                added.add(place, parts, features, found)
                memory.add(place, parts)
        if problems.texts:
            return None, memory, problems
        added.costs.doubt += self._doubt + found.doubt
        return added.costs, memory, problems

    def _resolved(self, kind: Kind) -> tuple[Part, ...] | str:
        """The parts of a kind, or what the profile lacks."""
        if kind not in self._parts:
            try:
                self._parts[kind] = self._resolver.resolve([kind])[kind]
            except UsageError as error:
                self._parts[kind] = str(error)
        return self._parts[kind]

    def _interval(
        self, currency: str, costs: Costs, edges: Edges, graphs: int, weights: Floats, values: Floats
    ) -> tuple[Floats, Floats]:
        """Both ends of sums over each graph's edges."""
        doubt = sums(edges.graph, weights * costs.doubt * values, graphs)
        blocks = graph_draws(costs.shares[currency], weights, edges.graph, graphs, doubt, self._spread)
        lows, highs = zip(*(central_of_own(block) for block in blocks), strict=True)
        return np.concatenate(lows), np.concatenate(highs)

    def _ends(self, figure: str, name: str, value: Floats, low: Floats, high: Floats) -> dict[str, Floats]:
        """The interval's ends, the model's own error in them: the figure lies inside, and no overhead is negative."""
        error = (own_error(figure) or 0.0) if self._options.intervals else 0.0
        ends = with_own_error(value, low, high, error, 0.0)
        return {name.format(end): values for end, values in zip(("low", "high"), ends, strict=True)}


def _too_large(figures: Mapping[str, Any]) -> Booleans:
    """Which graphs have a figure that is not finite, or too large to be one."""
    found = np.zeros(len(figures.get("vcpu", ())), dtype=np.bool_)
    for name, values in figures.items():
        if name != "memory_bytes" and values.dtype.kind == "f":
            found |= ~(np.abs(values) <= MOST_CALLS**1.5)  # NaN too
    return found


def _parts(statistic: Latency) -> tuple[float, ...]:
    """The columns of a percentile; NaN where it is not known."""
    over = statistic.overhead_ns
    if statistic.not_known:
        return statistic.without_ns, np.nan, np.nan, np.nan, np.nan
    return statistic.without_ns, statistic.with_ns, over.value, over.low, over.high
