"""What the report's template shows of a prediction: drawing, charts, rows and sentences. Pure: no I/O."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from meshinsight import numbers
from meshinsight.graph_drawing.choice import Chosen, choose
from meshinsight.graph_drawing.drawing import HEAT_STEPS, Drawing, added_ns, draw
from meshinsight.reports.renderers import charts
from meshinsight.reports.renderers.charts import Bar, Chart, Panel
from meshinsight.reports.subjects import summaries
from meshinsight.reports.subjects.prediction import Prices, sections
from predictor.graph.types import INGRESS, CallGraph
from predictor.predict.types import EdgePrediction, Estimate, Latency, Prediction, ServicePrediction
from profiler.text import printable

MOST_ROWS: Final = 100
"""So many services, calls, and lines of each list are shown; `meshinsight predict` has them all."""

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


def view(predicted: Predicted) -> dict[str, object]:
    """The template's values."""
    graph, found, prices = predicted.graph, predicted.found, predicted.prices
    chosen = choose(graph, found)
    drawing = draw(graph, found, chosen)
    services = sorted(found.services, key=lambda item: -item.vcpu.value)
    edges = sorted(found.edges, key=lambda item: -item.vcpu.value)
    totals = sections(found, prices)
    return {
        "name": graph_name(found),
        "headline": _headline(found),
        "totals": totals[:2],
        "components": [table for table in totals if table.title == "By component"],
        "drawing": drawing,
        "drawing_label": _drawing_label(found, chosen),
        "left_out": _left_out(found, chosen),
        "heats": _heats(drawing),
        "thickest": numbers.vcpus(drawing.thickest_vcpu),
        "path": _path(found),
        "service_chart": _chart("services", [_service_row(item) for item in services]),
        "edge_chart": _chart("calls", [_edge_row(item) for item in edges]),
        "services": services[:MOST_ROWS],
        "services_shown": _shown(len(services), MOST_ROWS),
        "edges": edges[:MOST_ROWS],
        "edges_shown": _shown(len(edges), MOST_ROWS),
        "bars_shown": {"services": _shown(len(services), _MOST_BARS), "calls": _shown(len(edges), _MOST_BARS)},
        "lists": _lists(found),
        "warnings": found.warnings[:MOST_ROWS],
        "added_ns": added_ns,
        "interval": _interval,
    }


def _headline(found: Prediction) -> str:
    """The totals as a sentence."""
    mean = found.latency["mean"]
    text = f"Sidecars add {_of(mean)} to the mean request from outside"
    if not mean.finite:
        text = "Sidecars have more work than time, so latency has no finite mean"
        if found.carried_rps is not None:
            text += f" (they can carry about {numbers.rate(found.carried_rps)} requests/s from outside)"
    elif "p99" in found.latency and not found.latency["p99"].not_known:
        text += f", {_of(found.latency['p99'])} at p99"
    share = found.vcpu.value / found.baseline_vcpu if found.baseline_vcpu > 0 else None
    text += f", and keep {numbers.vcpus(found.vcpu.value)} vCPU busy ({numbers.signed_percent(share, 1)})"
    if found.memory_bytes is not None:
        text += f" with {found.memory_bytes / (1 << 20):,.0f} MiB of memory"
    return f"{text}."


def _of(part: Latency) -> str:
    share = numbers.signed_percent(part.overhead_share, 1)
    return f"{part.overhead_ns.value * 1e-6:,.3f} ms ({share})"


def _drawing_label(found: Prediction, chosen: Chosen) -> str:
    """The picture in words, for those who do not see it."""
    return (
        f"Call graph of {graph_name(found)}, from left to right: {len(chosen.layers.keys() - {INGRESS})} services, "
        f"{len(chosen.edges)} calls. The table of calls has its figures."
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


def _heats(drawing: Drawing) -> list[tuple[int, str]]:
    """The classes of colour, from the lowest, with their ranges; those nothing is drawn in are left out."""
    used = {edge.heat for edge in drawing.edges}
    step = drawing.heat_step_ns / 1000
    ranges = [(heat, f"{step * (heat - 1):,.10g} to {step * heat:,.10g} µs") for heat in range(1, HEAT_STEPS + 1)]
    return [entry for entry in [*(ranges if step > 0 else ()), (0, "nobody waits for it")] if entry[0] in used]


def _path(found: Prediction) -> dict[str, object]:
    """The critical path before and after; each step with whether it is on both."""
    return {
        "moved": found.path_before != found.path_after,
        "before": _steps(found.path_before, set(found.path_after)),
        "after": _steps(found.path_after, set(found.path_before)),
    }


def _steps(path: Sequence[str], other: set[str]) -> dict[str, object]:
    """The steps of a path, of a long one those first that are not on the other path; how many are left out."""
    places = sorted(range(len(path)), key=lambda place: (path[place] in other, place))[:_MOST_STEPS]
    steps = [(printable(path[place]), path[place] in other) for place in sorted(places)]
    return {"steps": steps, "more": len(path) - len(steps)}


def _service_row(item: ServicePrediction) -> _Row:
    return _Row(item.name, item.by_component_ns, item.latency_ns, item.vcpu_by_component, item.vcpu)


def _edge_row(item: EdgePrediction) -> _Row:
    latency = {name: ns * item.path_weight for name, ns in item.by_component_ns.items()}
    cpu = {name: ns * item.rate_rps * 1e-9 for name, ns in item.cpu_by_component_ns.items()}
    return _Row(item.id, latency, item.latency_ns.scaled(item.path_weight), cpu, item.vcpu)


def _chart(name: str, rows: Sequence[_Row]) -> Chart | None:
    """Latency and CPU of the same rows, side by side."""
    rows = rows[:_MOST_BARS]
    if not any(row.latency or row.cpu for row in rows):
        return None
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
    parts = [part for row in rows for part in (row.latency, row.cpu)]
    return Chart(charts.stacked_bars(f"predicted-{name}", panels), summaries.nonzero(parts))


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


def _lists(found: Prediction) -> list[tuple[str, Sequence[str], int]]:
    """What makes the figures less certain: titles, lines, and how many more there are."""
    lists = (
        ("Outside what was measured, which widens the intervals", found.extrapolations),
        ("Assumed", found.assumptions),
    )
    return [(title, lines[:MOST_ROWS], max(len(lines) - MOST_ROWS, 0)) for title, lines in lists if lines]


def _interval(value: Estimate, show: Callable[[float], str]) -> str:
    return f"{show(value.low)} … {show(value.high)}"
