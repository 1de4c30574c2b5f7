"""A call graph with the predicted overhead on its edges, as shapes for an SVG template. Pure: no I/O.

Thickness is CPU, colour is what an edge adds to a request from outside. A dashed line along an edge marks the critical
path as it is without sidecars, a solid one as it is with them; so the picture reads without colours too.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from meshinsight import numbers
from meshinsight.graph_drawing.choice import Chosen
from meshinsight.graph_drawing.layout import Box, Link, Place, Route, layout
from predictor.graph.plan import sidecar_modes
from predictor.graph.types import INGRESS, Call, CallGraph, Service
from predictor.predict.types import EdgePrediction, Prediction, ServicePrediction
from profiler.text import printable

HEAT_STEPS: Final = 5

_NAME_SIZE, _LABEL_SIZE = 12.0, 11.0
_BOLD: Final = 1.12
_LONGEST_NAME: Final = 22
_BOX_PADDING: Final = 12.0
_LINE_HEIGHT: Final = 15.0
_LEAST_THICKNESS, _MOST_THICKNESS = 1.5, 10.0
_RAIL_DISTANCE: Final = 3.0
_MARGIN: Final = 6.0
_SAMPLES: Final = 16
_STEPS_OF_SCALES: Final = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
_NARROW, _WIDE = frozenset("ijlftr.,:;|'()-/ "), frozenset("mwMW@%")

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class DrawnBox:
    """A service (or the outside): rectangle, lines of its name with their places, tooltip, and if it has no sidecar."""

    x: str
    y: str
    width: str
    height: str
    name: tuple[tuple[str, str, str], ...]
    tooltip: str
    bare: bool


@dataclass(frozen=True, slots=True)
class DrawnEdge:
    """A call: path data of its band, arrow head and path marks (empty where it is on no path), labels, tooltip.

    `heat` is 0 where nobody waits for it, else 1 to `HEAT_STEPS`.
    """

    id: str
    heat: int
    band: str
    thickness: str
    arrow: str
    before: str
    after: str
    labels: tuple[tuple[str, str, str], ...]
    tooltip: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """Everything the template needs. `heat_step_ns` is the width of one class of colour; sizes are SVG units."""

    width: int
    height: int
    boxes: tuple[DrawnBox, ...]
    edges: tuple[DrawnEdge, ...]
    heat_step_ns: float
    thickest_vcpu: float


def draw(graph: CallGraph, found: Prediction, chosen: Chosen) -> Drawing:
    """Lay out and dress the chosen edges."""
    edges = [edge for _, edge in chosen.edges]
    thickest = max(edge.vcpu.value for edge in edges)
    step_ns = _nice(max(added_ns(edge) for edge in edges) / HEAT_STEPS)
    links = [_link(call, edge, thickest) for call, edge in chosen.edges]
    boxes = {name: _box(name, layer) for name, layer in chosen.layers.items()}
    placed = layout(boxes, links)
    modes = sidecar_modes(graph)
    marks = (frozenset(found.path_before), frozenset(found.path_after))
    services = {service.name: service for service in graph.services}
    predicted = {service.name: service for service in found.services}
    entries = {entry.id for entry in graph.ingress}
    rate_rps = sum(edge.rate_rps for edge in found.edges if edge.id in entries)
    return Drawing(
        width=math.ceil(placed.width + 2 * _MARGIN),
        height=math.ceil(placed.height + 2 * _MARGIN),
        boxes=tuple(
            _drawn_outside(place, rate_rps) if name == INGRESS else _drawn_box(services[name], predicted[name], place)
            for name, place in placed.places.items()
        ),
        edges=tuple(
            _drawn_edge(call, edge, link, route, step_ns, marks, modes[call.id])
            for (call, edge), link, route in zip(chosen.edges, links, placed.routes, strict=True)
        ),
        heat_step_ns=step_ns,
        thickest_vcpu=thickest,
    )


def added_ns(edge: EdgePrediction) -> float:
    """What an edge adds to the mean time of a request from outside."""
    return edge.latency_ns.value * edge.path_weight


def _nice(value: float) -> float:
    """The next higher round number."""
    if value <= 0.0:
        return 0.0
    unit = 10.0 ** math.floor(math.log10(value))
    return next(step * unit for step in _STEPS_OF_SCALES if step * unit >= value * (1 - 1e-9))


def _link(call: Call, edge: EdgePrediction, thickest: float) -> Link:
    share = edge.vcpu.value / thickest if thickest > 0 else 0.0
    thickness = _LEAST_THICKNESS + (_MOST_THICKNESS - _LEAST_THICKNESS) * share
    width = max(_text_width(text, _LABEL_SIZE) for text in _label(edge))
    return Link(call.caller, call.callee, thickness, width + 4, thickness + 2 * (_RAIL_DISTANCE + _LINE_HEIGHT))


def _box(name: str, layer: int) -> Box:
    lines = _name_lines(name)
    width = max(_text_width(line, _NAME_SIZE * _BOLD) for line in lines) + 2 * _BOX_PADDING
    return Box(max(width, 60.0), len(lines) * _LINE_HEIGHT + _BOX_PADDING, layer)


def _label(edge: EdgePrediction) -> tuple[str, str]:
    latency = f"{numbers.micros(added_ns(edge))} µs" if edge.path_weight > 0 else "not waited for"
    return latency, f"{numbers.vcpus(edge.vcpu.value)} vCPU"


def _name_lines(name: str) -> list[str]:
    """A name in one line, or in two if it is long; what does not fit is left out in the middle."""
    name = printable(name)
    if len(name) <= _LONGEST_NAME:
        return [name]
    cuts = [place + 1 for place, sign in enumerate(name[:-1]) if sign in "-_./: "]
    cut = min(cuts, key=lambda place: abs(place - len(name) / 2), default=len(name) // 2)
    return [_shortened(part) for part in (name[:cut], name[cut:])]


def _shortened(text: str) -> str:
    half = _LONGEST_NAME // 2
    return text if len(text) <= _LONGEST_NAME else f"{text[: half - 1]}…{text[-half:]}"


def _text_width(text: str, size: float) -> float:
    """About the width of a text in the page's fonts, rather too wide than too narrow."""
    return size * sum(_character_width(sign) for sign in text)


def _character_width(sign: str) -> float:
    if sign in _NARROW:
        return 0.4
    if sign in _WIDE or ord(sign) >= 0x1100:
        return 1.0
    return 0.78 if sign.isupper() else 0.65


def _drawn_outside(place: Place, rate_rps: float) -> DrawnBox:
    return _rectangle(place, ["requests"], f"requests from outside, {numbers.rate(rate_rps)} per second", bare=True)


def _drawn_box(service: Service, predicted: ServicePrediction, place: Place) -> DrawnBox:
    sides = service.sidecar.client, service.sidecar.server
    kind = sides[0] if sides[0] == sides[1] else f"{sides[0]} for its calls, {sides[1]} for its callers"
    text = [
        service.name,
        f"sidecar: {kind}",
        f"adds {numbers.micros(predicted.latency_ns.value)} µs to a request"
        f" ({numbers.micros_interval((predicted.latency_ns.low, predicted.latency_ns.high))})",
        f"{numbers.vcpus(predicted.vcpu.value)} vCPU"
        f" ({numbers.vcpus(predicted.vcpu.low)} … {numbers.vcpus(predicted.vcpu.high)}),"
        f" a worker is busy {numbers.percent(predicted.utilisation, 1)} of the time",
    ]
    if predicted.memory_bytes is not None:
        text.append(f"{predicted.memory_bytes / (1 << 20):,.0f} MiB")
    return _rectangle(place, _name_lines(service.name), "\n".join(text), bare=sides == ("none", "none"))


def _rectangle(place: Place, lines: Sequence[str], tooltip: str, *, bare: bool) -> DrawnBox:
    x, y = place.x + _MARGIN, place.y + _MARGIN
    first = y - (len(lines) - 1) * _LINE_HEIGHT / 2 + _NAME_SIZE * 0.36
    return DrawnBox(
        x=_number(x - place.width / 2),
        y=_number(y - place.height / 2),
        width=_number(place.width),
        height=_number(place.height),
        name=tuple((_number(x), _number(first + i * _LINE_HEIGHT), line) for i, line in enumerate(lines)),
        tooltip=printable(tooltip.replace("\n", "\t")).replace("\t", "\n"),
        bare=bare,
    )


def _drawn_edge(
    call: Call,
    edge: EdgePrediction,
    link: Link,
    route: Route,
    step_ns: float,
    marks: tuple[frozenset[str], frozenset[str]],
    modes: tuple[str, str],
) -> DrawnEdge:
    points = [(x + _MARGIN, y + _MARGIN) for x, y in route.points]
    tip = points[-1]
    arrow = 6.0 + 0.6 * link.thickness
    points[-1] = (tip[0] - arrow, tip[1])
    half, aside = link.thickness / 2 + 3.0, link.thickness / 2 + _RAIL_DISTANCE
    x, y = route.label[0] + _MARGIN, route.label[1] + _MARGIN
    lines = zip(_label(edge), (y - aside - 4.0, y + aside + _LABEL_SIZE), strict=True)
    return DrawnEdge(
        id=edge.id,
        heat=_heat(edge, step_ns),
        band=_path(points),
        thickness=_number(link.thickness),
        arrow=_polygon([(tip[0] - arrow, tip[1] - half), tip, (tip[0] - arrow, tip[1] + half)]),
        before=_beside(points, -aside) if edge.id in marks[0] else "",
        after=_beside(points, aside) if edge.id in marks[1] else "",
        labels=tuple((_number(x), _number(at), text) for text, at in lines),
        tooltip=_edge_tooltip(call, edge, modes, [edge.id in mark for mark in marks]),
    )


def _heat(edge: EdgePrediction, step_ns: float) -> int:
    if edge.path_weight <= 0.0:
        return 0
    return min(max(math.ceil(added_ns(edge) / step_ns - 1e-9), 1), HEAT_STEPS) if step_ns > 0 else 1


def _edge_tooltip(call: Call, edge: EdgePrediction, modes: tuple[str, str], on_path: Sequence[bool]) -> str:
    path = {(True, True): "with and without sidecars", (True, False): "only without sidecars"}
    path[False, True] = "only with sidecars"
    per_call, cpu = edge.latency_ns, edge.vcpu
    text = [
        printable(edge.id),
        f"{call.protocol}, TLS {call.tls}, sidecars {modes[0]} and {modes[1]}",
        f"adds {numbers.micros(added_ns(edge))} µs to a request: {numbers.micros(per_call.value)} µs per call"
        f" ({numbers.micros_interval((per_call.low, per_call.high))}), waited for {edge.path_weight:.3g} times",
        f"{numbers.vcpus(cpu.value)} vCPU ({numbers.vcpus(cpu.low)} … {numbers.vcpus(cpu.high)})"
        f" at {numbers.rate(edge.rate_rps)} calls per second",
    ]
    where = path.get((on_path[0], on_path[1]))
    return "\n".join([*text, f"on the critical path {where}"] if where else text)


def _path(points: Sequence[Point]) -> str:
    """Path data: bent, straight, bent … through the points."""
    parts = [f"M{_pair(points[0])}"]
    for number, (start, end) in enumerate(pairwise(points)):
        middle = (start[0] + end[0]) / 2
        bent = f"C{_pair((middle, start[1]))} {_pair((middle, end[1]))} {_pair(end)}"
        parts.append(f"L{_pair(end)}" if number % 2 or start[1] == end[1] else bent)
    return "".join(parts)


def _beside(points: Sequence[Point], distance: float) -> str:
    """The path as a polygon line at a distance, below it where that is positive."""
    return "M" + "L".join(
        _pair((x - distance * slope[1], y + distance * slope[0])) for (x, y), slope in _sampled(points)
    )


def _sampled(points: Sequence[Point]) -> Iterator[tuple[Point, Point]]:
    """Points along the path with its direction there (length one)."""
    for number, (start, end) in enumerate(pairwise(points)):
        if number % 2 or start[1] == end[1]:
            yield start, (1.0, 0.0)
            yield end, (1.0, 0.0)
            continue
        width, rise = end[0] - start[0], end[1] - start[1]
        for step in range(_SAMPLES + 1):
            t = step / _SAMPLES
            # The Bézier curve of `_path`: control points in the middle across, at the height of the ends.
            across, down = 1.5 * t * (1 - t) + t**3, t * t * (3 - 2 * t)
            slope = (1.5 * (1 - 2 * t) + 3 * t * t) * width, 6 * t * (1 - t) * rise
            length = math.hypot(*slope)
            yield (start[0] + across * width, start[1] + down * rise), (slope[0] / length, slope[1] / length)


def _polygon(corners: Sequence[Point]) -> str:
    return "M" + "L".join(map(_pair, corners)) + "Z"


def _pair(point: Point) -> str:
    return f"{_number(point[0])} {_number(point[1])}"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
