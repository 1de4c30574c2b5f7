"""A prediction as the parts of a page: sentences, drawing, charts and tables. Pure: no I/O."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from meshinsight import numbers
from meshinsight.graph_drawing.choice import Chosen, choose
from meshinsight.graph_drawing.drawing import added_ns, draw
from meshinsight.reports.figures import PREDICTED_TOTAL, Bar, Bars, Graph, Panel
from meshinsight.reports.page import part
from meshinsight.reports.report import Report, Section
from meshinsight.reports.subjects import summaries
from meshinsight.reports.subjects.prediction import Prices, breakdowns, totals
from predictor.graph.types import INGRESS, CallGraph
from predictor.predict.types import EdgePrediction, Estimate, Latency, Prediction, ServicePrediction
from profiler.text import printable

MOST_ROWS: Final = 100
"""So many services, calls, and lines of each list are shown; `meshinsight predict` has them all."""

ADVICE: Final = (
    "meshinsight advise PROFILE GRAPH --slo p99=50ms finds the fewest changes of sidecars that meet a limit of "
    "latency, CPU or memory."
)
_DRAWN: Final = (
    "Each line is a call, from caller (left) to callee (right), with what it adds to the mean request from outside and "
    "the CPU that its sidecars use. The data below the drawing and the table of calls have all figures."
)
_CALLS_TO_CHANGE: Final = 3
_MOST_BARS: Final = 16
_MOST_STEPS: Final = 30
_LONGEST_LABEL: Final = 34
_TO_MS_FROM_NS: Final = 10e6
_TO_VCPU_FROM: Final = 10.0


@dataclass(frozen=True, slots=True)
class _Row:
    """A service or a call as a row of bars; the latency is what it adds to a request from outside."""

    name: str
    latency: Mapping[str, float]
    latency_ns: Estimate
    cpu: Mapping[str, float]
    vcpu: Estimate


@dataclass(frozen=True, slots=True)
class Predicted:
    """A call graph with its prediction, and the prices to show."""

    graph: CallGraph
    found: Prediction
    prices: Prices


def graph_name(found: Prediction) -> str:
    """The graph's name, or words that stand for it."""
    return printable(found.graph) or "the call graph"


def parts(predicted: Predicted) -> Iterator[Report]:
    """The parts of a page: the answer, what to do about it, how far to trust it, and all figures."""
    found = predicted.found
    yield part("The answer", Section("", about=_headline(found)), *totals(found, predicted.prices))
    yield part("What to do about it", _to_do(found))
    yield part("How far to trust the prediction", *_trust(found))
    yield part("Where the overhead is", *_where(predicted))
    tables = breakdowns(found, MOST_ROWS)
    yield part("The prediction in figures", *(dataclasses.replace(table, folded=True) for table in tables))


def _headline(found: Prediction) -> str:
    """The totals as a sentence, with their intervals."""
    mean = found.latency["mean"]
    text = f"Sidecars add {_of(mean)} to the mean request from outside"
    if not mean.finite:
        text = "Sidecars have more work than time, so latency has no finite mean"
        if found.carried_rps is not None:
            text += f" (they can carry about {numbers.rate(found.carried_rps)} requests/s from outside)"
    elif "p99" in found.latency and not found.latency["p99"].not_known:
        text += f", {_of(found.latency['p99'])} at p99"
    share = found.vcpu.value / found.baseline_vcpu if found.baseline_vcpu > 0 else None
    text += f", and keep {_with_interval(found.vcpu, 1.0)} vCPU busy ({numbers.signed_percent(share, 1)})"
    if found.memory_bytes is not None:
        text += f" with {found.memory_bytes / (1 << 20):,.0f} MiB of memory"
    return f"{text}. ± is half of the 95 % interval."


def _of(part_: Latency) -> str:
    return f"{_with_interval(part_.overhead_ns, 1e-6)} ms ({numbers.signed_percent(part_.overhead_share, 1)})"


def _with_interval(value: Estimate, factor: float) -> str:
    return numbers.plus_minus(value.value, value.interval, factor)


def _to_do(found: Prediction) -> Section:
    """The calls that add most, and the command that finds changes."""
    mean_ns = found.latency["mean"].overhead_ns.value
    most = sorted(found.edges, key=added_ns, reverse=True)[:_CALLS_TO_CHANGE]
    lines = [
        f"{printable(edge.id)} adds {numbers.micros(added_ns(edge))} µs to the mean request"
        + (f", {numbers.percent(added_ns(edge) / mean_ns)} of all" if mean_ns > 0 else "")
        for edge in most
        if added_ns(edge) > 0
    ]
    return Section("", lines=[*lines, ADVICE], about="The calls that add most to a request:" if lines else "")


def _trust(found: Prediction) -> Iterator[Section]:
    """What makes the figures less certain."""
    lists = (
        ("Warnings", found.warnings, False),
        ("Outside what was measured, which widens the intervals", found.extrapolations, False),
        (f"Assumed: {len(found.assumptions)}", found.assumptions, True),
    )
    for title, lines, folded in lists:
        more = len(lines) - MOST_ROWS
        further = [f"and {more} more; meshinsight predict -o json has them all"] if more > 0 else []
        yield Section(title, lines=[*lines[:MOST_ROWS], *further], folded=folded)
    yield Section("", lines=["The prediction rests on the profile below: how far to trust that is shown there."])


def _where(predicted: Predicted) -> Iterator[Section]:
    found = predicted.found
    chosen = choose(predicted.graph, found)
    yield Section(
        "Call graph",
        about=_DRAWN,
        lines=[line for line in (_left_out(found, chosen),) if line],
        figures=lambda: [_graph(predicted, chosen)],
    )
    yield Section("Critical path", lines=_path(found))
    services = [_service_row(item) for item in sorted(found.services, key=lambda item: -item.vcpu.value)]
    calls = [_edge_row(item) for item in sorted(found.edges, key=lambda item: -item.vcpu.value)]
    yield _charted("Services", "What the sidecar of each service adds, for the calls it makes and gets.", services)
    yield _charted("Calls", "What each call adds.", calls)


def _charted(title: str, about: str, rows: Sequence[_Row]) -> Section:
    shown = f" {_shown(len(rows), _MOST_BARS)}." if len(rows) > _MOST_BARS else ""
    if not any(row.latency or row.cpu for row in rows[:_MOST_BARS]):
        return Section(title)
    return Section(title, about=f"{about}{shown}", figures=lambda: [_bars(title, rows[:_MOST_BARS])])


def _graph(predicted: Predicted, chosen: Chosen) -> Graph:
    found = predicted.found
    drawing = draw(predicted.graph, found, chosen)
    title = f"Calls of {graph_name(found)} with what sidecars add"
    return Graph("call-graph", title, drawing, _drawing_label(found, chosen))


def _drawing_label(found: Prediction, chosen: Chosen) -> str:
    """The picture in words, for those who do not see it."""
    return (
        f"Call graph of {graph_name(found)}, from left to right: "
        f"{numbers.plural(len(chosen.layers.keys() - {INGRESS}), 'service')}, "
        f"{numbers.plural(len(chosen.edges), 'call')}. The table below has its figures."
    )


def _left_out(found: Prediction, chosen: Chosen) -> str:
    if not chosen.left_out:
        return ""
    firsts = {name for name, layer in chosen.layers.items() if layer == 0}
    which = " and the way to them" if firsts == {INGRESS} else "; boxes at the left have callers that are left out"
    return (
        f"{len(chosen.edges)} of {len(found.edges):,} calls are drawn, those with most overhead{which}. "
        f"The other {chosen.left_out:,} hold {numbers.percent(chosen.latency_share)} of the latency and "
        f"{numbers.percent(chosen.cpu_share)} of the CPU that sidecars add."
    )


def _path(found: Prediction) -> list[str]:
    """The critical path before and after, and what of it moved."""
    after = _steps(found.path_after, set(found.path_before))
    if found.path_before == found.path_after:
        return [f"the same without and with sidecars: {after}"]
    only = [step for step in found.path_after if step not in set(found.path_before)]
    before = _steps(found.path_before, set(found.path_after))
    moved = f"the overhead moves it; only with sidecars it has {_steps(only, set())}"
    return [moved, f"without sidecars: {before}", f"with sidecars: {after}"]


def _steps(path: Sequence[str], other: set[str]) -> str:
    """The steps of a path, of a long one those first that are not on the other path, and how many are left out."""
    places = sorted(range(len(path)), key=lambda place: (path[place] in other, place))[:_MOST_STEPS]
    more = len(path) - len(places)
    text = " · ".join(printable(path[place]) for place in sorted(places))
    return f"{text} · and {more} more" if more > 0 else text


def _service_row(item: ServicePrediction) -> _Row:
    return _Row(item.name, item.by_component_ns, item.latency_ns, item.vcpu_by_component, item.vcpu)


def _edge_row(item: EdgePrediction) -> _Row:
    latency = {name: ns * item.path_weight for name, ns in item.by_component_ns.items()}
    cpu = {name: ns * item.rate_rps * 1e-9 for name, ns in item.cpu_by_component_ns.items()}
    return _Row(item.id, latency, item.latency_ns.scaled(item.path_weight), cpu, item.vcpu)


def _bars(title: str, rows: Sequence[_Row]) -> Bars:
    """Latency and CPU of the same rows, side by side."""
    in_ms = max(row.latency_ns.value for row in rows) >= _TO_MS_FROM_NS
    in_vcpu = max(row.vcpu.value for row in rows) >= _TO_VCPU_FROM
    panels = [
        Panel(
            [_bar(row.name, row.latency, row.latency_ns, 1e-6 if in_ms else 1e-3) for row in rows],
            "latency",
            f"{'ms' if in_ms else 'µs'} per request from outside",
        ),
        Panel(
            [_bar(row.name, row.cpu, row.vcpu, 1.0 if in_vcpu else 1e3) for row in rows],
            "CPU",
            "vCPU" if in_vcpu else "thousandths of a vCPU",
        ),
    ]
    components = summaries.nonzero([part_ for row in rows for part_ in (row.latency, row.cpu)])
    return Bars(
        f"predicted-{title.lower()}", f"{title}: added latency and CPU", panels, components, total=PREDICTED_TOTAL
    )


def _bar(name: str, parts: Mapping[str, float], total: Estimate, factor: float) -> Bar:
    name = printable(name)
    half = _LONGEST_LABEL // 2
    return Bar(
        group="",
        label=name if len(name) <= _LONGEST_LABEL else f"{name[: half - 1]}…{name[-half:]}",
        parts={part: parts[part] * factor for part in summaries.ordered(parts)},
        total=total.value * factor,
        interval=(total.low * factor, total.high * factor),
        figures=f"{total.value * factor:,.1f}",
    )


def _shown(all_: int, most: int) -> str:
    return f"{most} of {all_:,}, those with most CPU" if all_ > most else ""
