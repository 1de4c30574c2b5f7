"""The way from spans to a call graph, the same for every trace format: clean, pair, order, count, merge.

Batch by batch, so memory holds one batch and the statistics, however many traces there are.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from predictor.graph.checks import check_graph
from predictor.graph.types import Assumption, CallGraph
from predictor.importers.traces.calls import statistics as st
from predictor.importers.traces.calls.critical_path import critical_path
from predictor.importers.traces.calls.merge import NO_RATE, Rates, merge, service_names
from predictor.importers.traces.calls.stages import find_stages
from predictor.importers.traces.calls.statistics import Statistics
from predictor.importers.traces.hops.clean import Tally, whole_traces
from predictor.importers.traces.hops.pairing import Requests, pair_spans
from predictor.importers.traces.spans.spans import LONGEST_NS, PARTS, SpanBatch, Vocabulary


@dataclass(frozen=True, slots=True)
class TraceOptions:
    """`operation`: only traces whose first span has this name. `allow_incomplete`: use the beginning of broken ones."""

    rates: Rates = NO_RATE
    operation: str | None = None
    allow_incomplete: bool = False


@dataclass(frozen=True, slots=True)
class PathShare:
    """What a service adds to the critical path: mean ns per trace, and the share of its requests that are on it."""

    service: str
    own_ns_per_trace: float
    on_path: float


@dataclass(frozen=True, slots=True)
class TraceImport:
    """A graph, what was seen on the way, and the critical path: by service, longest first, and between services."""

    graph: CallGraph
    tally: Tally
    path: tuple[PathShare, ...]
    way_ns_per_trace: float


def import_traces(batches: Iterable[SpanBatch], words: Vocabulary, origin: str, options: TraceOptions) -> TraceImport:
    """The call graph of all traces in `batches`. Raises `UsageError` when they are none, or most are incomplete."""
    tally, found = Tally(), Statistics()
    before = words.passed.copy(), words.skipped.copy()
    for batch in batches:
        kept = _of_operation(whole_traces(batch, tally, options.allow_incomplete), words, tally, options.operation)
        requests = _requests(kept, words, tally)
        if requests is not None:
            found.add(requests, find_stages(requests), critical_path(requests))
    tally.check(origin, options.allow_incomplete)
    graph = merge(found, words, options.rates)
    graph = replace(graph, assumed=(*_remarks(tally, words, options, before), *graph.assumed))
    check_graph(graph)
    return TraceImport(graph, tally, *_path(found, words))


def _requests(batch: SpanBatch, words: Vocabulary, tally: Tally) -> Requests | None:
    """The requests of whole traces; traces in which one would last longer than anything does are left out."""
    while batch.trace.size:
        parts = words.passed[PARTS]
        requests = pair_spans(batch, words)
        longest = np.maximum(requests.end_ns - requests.start_ns, requests.hop_end_ns - requests.hop_start_ns)
        wrong = longest > LONGEST_NS
        if not wrong.any():
            tally.used += int(batch.trace.max()) + 1
            return requests
        words.passed[PARTS] = parts
        bad = np.zeros(int(batch.trace.max()) + 1, dtype=np.bool_)
        bad[requests.trace[wrong]] = True
        tally.impossible += int(bad.sum())
        batch = batch.rows(~bad[batch.trace])
    return None


def _of_operation(batch: SpanBatch, words: Vocabulary, tally: Tally, operation: str | None) -> SpanBatch:
    if operation is None or batch.trace.size == 0:
        return batch
    wanted = words.operations.code(operation)
    chosen = np.zeros(int(batch.trace.max()) + 1, dtype=np.bool_)
    chosen[batch.trace[(batch.parent < 0) & (batch.operation == wanted)]] = True
    tally.other_operations += int((~chosen).sum())
    return batch.rows(chosen[batch.trace])


def _remarks(
    tally: Tally, words: Vocabulary, options: TraceOptions, before: tuple[Counter[str], Counter[str]]
) -> list[Assumption]:
    """What the numbers rest on beyond single values; `before` is what `words` had counted for other graphs."""
    passed, skipped_before = before
    remarks = []
    if tally.incomplete:
        what = "only their beginning is used" if options.allow_incomplete else "left out"
        remarks.append(f"{tally.incomplete} of {tally.traces} traces have spans without their parent; {what}")
    if tally.impossible:
        remarks.append(f"{tally.impossible} of {tally.traces} traces have spans of impossible duration; left out")
    if tally.entered_elsewhere:
        remarks.append(f"{tally.entered_elsewhere} traces begin with a parent that is not there; taken as the ingress")
    remarks += [f"{count} {what}" for what, count in sorted((words.passed - passed).items())]
    if skipped := words.skipped - skipped_before:
        kinds = ", ".join(f"{count} with {what}" for what, count in sorted(skipped.items()))
        remarks.append(f"{skipped.total()} elements without traces skipped: {kinds}")
    operations = len(words.operations.values)
    if options.operation is None and operations > 1:
        remarks.append(f"{operations} operations are mixed as the traces have them (see --operation)")
    return [Assumption("traces", remark) for remark in remarks]


def _path(found: Statistics, words: Vocabulary) -> tuple[tuple[PathShare, ...], float]:
    names = service_names(found, words)
    traces = max(found.traces, 1)
    own: dict[str, list[float]] = {}
    for node, row in found.nodes.items():
        sums = own.setdefault(names[node], [0.0, 0.0, 0.0])
        sums[0] += float(row[st.PATH_OWN_NS])
        sums[1] += float(row[st.NODE_ON_PATH])
        sums[2] += float(row[st.HANDLED])
    shares = [PathShare(name, time / traces, on_path / count) for name, (time, on_path, count) in own.items()]
    way = sum(float(row[st.WAY_NS]) for row in found.edges.values()) / traces
    return tuple(sorted(shares, key=lambda share: -share.own_ns_per_trace)), way
