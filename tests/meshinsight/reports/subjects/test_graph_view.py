"""`meshinsight report --graph`: the figures as `predict` gives them, and a drawing where nothing overlaps."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from typer.testing import CliRunner, Result

from meshinsight import numbers
from meshinsight.commands import predict as predict_command
from meshinsight.commands import report as report_command
from meshinsight.graph_drawing.choice import MOST_EDGES, MOST_LAYERS, choose
from meshinsight.graph_drawing.drawing import HEAT_STEPS, draw
from meshinsight.graph_drawing.layout import Box, Layout, Link, layout
from meshinsight.models import load_model
from meshinsight.reports.figures import Graph
from meshinsight.reports.renderers import html
from meshinsight.reports.renderers.legends import legend
from meshinsight.reports.report import Report, Section
from meshinsight.reports.subjects import graph_view
from meshinsight.reports.subjects.graph_view import Predicted
from meshinsight.reports.subjects.prediction import Prices
from meshinsight.reports.subjects.profile_page import page as page_of
from predictor.graph.reader import load_graph
from predictor.graph.types import INGRESS, CallGraph
from predictor.hop_costs.options import Options
from predictor.predict.predict import predict
from predictor.predict.types import Estimate, Prediction
from profiler.errors import UsageError
from profiler.profile.document import load_profile, save_profile
from tests.meshinsight.reports.pages import Page, contrast

ROOT = Path(__file__).parents[4]
PROFILE = ROOT / "tests" / "data" / "example-profile.json"
CSS = ROOT / "meshinsight" / "reports" / "renderers" / "templates"

MOVED = """
format: meshinsight-graph
version: 1
name: shop
services:
  - {name: front, service_time: 1ms}
  - {name: slow, service_time: 2ms}
  - {name: deep, service_time: 0.6ms}
  - {name: deeper, service_time: 0.6ms}
  - {name: deepest, service_time: 0.6ms}
  - {name: audit, service_time: 1ms}
calls:
  - {caller: front, callee: slow, group: both}
  - {caller: front, callee: deep, group: both}
  - {caller: deep, callee: deeper}
  - {caller: deeper, callee: deepest}
  - {caller: front, callee: audit, asynchronous: true}
ingress: [{service: front, rate_rps: 100}]
"""
"""Without sidecars `slow` (2 ms) is the longer branch; `deep` (1.8 ms) has two more hops and is it with them."""


def run(command: Any, *arguments: object) -> Result:
    app = typer.Typer()
    app.callback()(lambda: None)
    command.register(app)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def predicted(tmp_path: Path, text: str) -> tuple[CallGraph, Prediction]:
    file = tmp_path / "graph.yaml"
    file.write_text(text)
    graph = load_graph(file)
    return graph, predict(graph, load_model(PROFILE), Options(samples=0))


def parts_of(graph: CallGraph, found: Prediction) -> dict[str, Report]:
    return {part.title: part for part in graph_view.parts(Predicted(graph, found, Prices()))}


def where(tmp_path: Path, text: str) -> dict[str, Section]:
    """The sections that show where the overhead is."""
    return {item.title: item for item in parts_of(*predicted(tmp_path, text))["Where the overhead is"].sections}


def graph_text(calls: list[tuple[str, str]]) -> str:
    services = sorted({name for call in calls for name in call})
    rows = "".join(f"  - {{caller: {caller}, callee: {callee}}}\n" for caller, callee in calls)
    head = f"format: meshinsight-graph\nversion: 1\nservices: [{', '.join(services)}]\n"
    return f"{head}calls:\n{rows}ingress: [{{service: {calls[0][0]}, rate_rps: 1}}]\n"


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """The page of a graph whose path moves, and what `predict -o json` says of it."""
    folder = tmp_path_factory.mktemp("moved")
    (folder / "graph.yaml").write_text(MOVED)
    prices = ("--price-per-vcpu-hour", 0.04, "--price-per-gib-hour", 0.005)
    out = folder / "report.html"
    result = run(report_command, "report", PROFILE, "--graph", folder / "graph.yaml", "--out", out, *prices)
    assert result.exception is None
    found = run(predict_command, "predict", PROFILE, folder / "graph.yaml", "-o", "json", *prices)
    return out.read_text().replace("\N{NO-BREAK SPACE}", " "), json.loads(found.output)


def rows_after(page: str, heading: str) -> dict[str, list[str]]:
    """The first table after a heading: rows by their first cell."""
    table = page[page.index(heading) :]
    table = table[: table.index("</table>")]
    rows = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in re.findall(r"<tr>(.*?)</tr>", table)]
    plain = [[re.sub(r"<[^>]+>", "", cell).replace("&gt;", ">") for cell in row] for row in rows[1:]]
    return {row[0]: row[1:] for row in plain}


def estimate(part: dict[str, float]) -> Estimate:
    return Estimate(part["value"], part["low"], part["high"])


@pytest.mark.usefixtures("no_own_error")
def test_the_totals_are_those_of_predict(moved: tuple[str, dict[str, Any]]) -> None:
    page, found = moved
    rows = rows_after(page, "Latency of a request from outside")
    assert list(rows) == ["mean", "p50", "p90", "p95", "p99"]
    for name, row in rows.items():
        part = found["latency"][name]
        over = part["overhead_ns"]
        if over is None:
            assert row[1:3] == [numbers.UNKNOWN, "not known"]
            continue
        assert row[:2] == [f"{ns * 1e-6:,.3f}" for ns in (part["without_ns"], part["with_ns"])]
        assert tuple(row[2:4]) == numbers.estimated(estimate(over), 1e-6, 3)
    resources = rows_after(page, "Resources of the sidecars")
    assert resources["CPU, vCPU"][1] == numbers.estimated(estimate(found["vcpu"]), 1.0, 4)[0]
    assert resources["memory, MiB"][1] == f"{found['memory_bytes'] / 2**20:,.0f}"
    assert resources["price of cpu, money/month"][1] == f"{found['money_per_month']['cpu']:,.2f}"


def test_services_and_calls_have_the_figures_of_predict(moved: tuple[str, dict[str, Any]]) -> None:
    page, found = moved
    services = rows_after(page, "<summary>By service")
    assert len(services) == len(found["services"]) == 6
    for item in found["services"]:
        row = services[item["name"]]
        assert tuple(row[:2]) == numbers.estimated(estimate(item["latency_ns"]), 1e-3, 1)
        assert tuple(row[2:4]) == numbers.estimated(estimate(item["vcpu"]), 1.0, 4)
    calls = rows_after(page, "<summary>By edge")
    assert len(calls) == len(found["edges"]) == 6
    for item in found["edges"]:
        row = calls[item["id"]]
        assert row[0] == numbers.rate(item["rate_rps"])
        assert tuple(row[1:3]) == numbers.estimated(estimate(item["latency_ns"]), 1e-3, 1)
        assert tuple(row[3:5]) == numbers.estimated(estimate(item["vcpu"]), 1.0, 4)


def test_what_calls_add_and_what_is_hidden_are_the_mean_overhead(moved: tuple[str, dict[str, Any]]) -> None:
    page, found = moved
    data = rows_after(page, 'aria-label="Data: Calls: added latency and CPU"')
    added = sum(float(row[-2].replace(",", "")) for name, row in data.items() if name.startswith("latency: "))
    hidden = float(rows_after(page, "<summary>By component")["hidden by a longer branch"][0].replace(",", ""))
    assert hidden < 0
    assert added + hidden == pytest.approx(found["latency"]["mean"]["overhead_ns"]["value"] / 1000, rel=0.01)


def test_the_components_of_a_service_add_up(moved: tuple[str, dict[str, Any]]) -> None:
    for service in moved[1]["services"]:
        assert sum(service["by_component_ns"].values()) == pytest.approx(service["latency_ns"]["value"])
        assert sum(service["vcpu_by_component"].values()) == pytest.approx(service["vcpu"]["value"])


def test_a_path_that_moves_is_told_and_marked(moved: tuple[str, dict[str, Any]]) -> None:
    page, found = moved
    text = Page(page).text
    assert "the overhead moves it; only with sidecars it has front->deep · deep->deeper · deeper->deepest" in text
    assert "without sidecars: ingress->front · front->slow" in text
    assert "ingress->front · front->deep · deep->deeper · deeper->deepest" in text
    marks = {
        line.split("&#34;")[0].split("\n")[0]: (' class="rail before"' in line, ' class="rail"' in line)
        for line in re.findall(r"<g class=.heat.*?<title>(.*?</g>)", page, flags=re.DOTALL)
    }
    assert marks == {
        edge["id"].replace(">", "&gt;"): (edge["id"] in found["path_before"], edge["id"] in found["path_after"])
        for edge in found["edges"]
    }
    assert marks["front-&gt;slow"] == (True, False)
    assert marks["deep-&gt;deeper"] == (False, True)


def test_the_page_stands_alone_and_is_sound(moved: tuple[str, dict[str, Any]]) -> None:
    page = Page(moved[0])
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert all(link.startswith("#") for link in page.links)
    assert not {"script", "link", "img", "iframe"}.intersection(page.tags)
    assert not re.search(r"@import|url\((?!#)", moved[0])


def test_assumptions_and_extrapolations_are_listed(moved: tuple[str, dict[str, Any]]) -> None:
    page, found = moved
    text = Page(page).text
    assert found["assumptions"]
    assert all(re.sub(r"\s+", " ", line) in text for line in (*found["assumptions"], *found["extrapolations"]))


def test_warnings_come_first_in_what_to_trust(tmp_path: Path) -> None:
    graph, found = predicted(tmp_path, MOVED)
    first = parts_of(graph, replace(found, warnings=("too few workers",)))["How far to trust the prediction"].sections[
        0
    ]
    assert (first.title, list(first.lines)) == ("Warnings", ["too few workers"])


def test_without_a_graph_nothing_of_it_is_in_the_page(tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    assert run(report_command, "report", PROFILE, "--out", out).exception is None
    assert not re.search("Predicted|Call graph|Critical path|The profile behind it", out.read_text())


def test_foreign_names_are_escaped(tmp_path: Path) -> None:
    attack = "<script>alert(1)</script>'\"&"
    text = MOVED.replace("slow", json.dumps(attack)).replace("name: shop", f"name: {json.dumps(attack)}")
    profile = structs.replace(load_profile(PROFILE), cells=[], anchor=None, probes=[])
    page = html.render_page(page_of(profile, None, Predicted(*predicted(tmp_path, text), Prices())))
    assert "<script" not in page
    assert attack in Page(page).text


def refused(*arguments: object) -> str:
    error = run(report_command, "report", *arguments).exception
    assert isinstance(error, UsageError)
    assert error.exit_code == 2
    assert "\n" not in str(error)
    return str(error)


def test_what_cannot_be_predicted_is_one_line_and_writes_nothing(tmp_path: Path) -> None:
    graph, out = tmp_path / "graph.yaml", tmp_path / "report.html"
    graph.write_text(MOVED.replace("callee: slow", "callee: slow, protocol: grpc"))
    assert "meshinsight profile --protocol grpc" in refused(PROFILE, "--graph", graph, "--out", out)
    assert "no such file" in refused(PROFILE, "--graph", tmp_path / "missing.yaml", "--out", out)
    graph.write_text("services: [")
    refused(PROFILE, "--graph", graph, "--out", out)
    assert not out.exists()


def test_a_profile_without_usable_cells_says_what_to_measure(tmp_path: Path) -> None:
    (tmp_path / "graph.yaml").write_text(MOVED)
    profile = load_profile(PROFILE)
    cells = [structs.replace(cell, connections=7) for cell in profile.cells]
    save_profile(structs.replace(profile, cells=cells), tmp_path)
    message = refused(tmp_path, "--graph", tmp_path / "graph.yaml", "--out", tmp_path / "report.html")
    assert "--connections 1 --rate max" in message


@pytest.mark.parametrize(
    "wrong", [("--proxy", "x"), ("--transport", "uds"), ("--price-per-vcpu-hour", -1), ("--price-per-gib-hour", "nan")]
)
def test_wrong_options_are_refused(tmp_path: Path, wrong: tuple[object, ...]) -> None:
    (tmp_path / "graph.yaml").write_text(MOVED)
    refused(PROFILE, "--out", tmp_path / "report.html", *wrong)  # without --graph
    refused(PROFILE, "--out", tmp_path / "report.html", "--graph", tmp_path / "graph.yaml", *wrong)


def test_thickness_is_cpu_and_colour_what_a_request_waits_for(tmp_path: Path) -> None:
    graph, found = predicted(tmp_path, MOVED)
    drawing = draw(graph, found, choose(graph, found))
    vcpu = {edge.id: edge.vcpu.value for edge in found.edges}
    thickness = {edge.id: float(edge.thickness) for edge in drawing.edges}
    ingress = "ingress->front"
    assert max(thickness.values()) == 10.0
    assert thickness[ingress] == pytest.approx(1.5 + 8.5 * vcpu[ingress] / max(vcpu.values()), abs=0.05)
    heats = {edge.id: edge.heat for edge in drawing.edges}
    assert heats["front->audit"] == 0
    assert heats["front->slow"] == 1  # it is the longer branch now and then
    assert max(heats.values()) in (HEAT_STEPS - 1, HEAT_STEPS)
    labels = {edge.id: [text for _, _, text in edge.labels] for edge in drawing.edges}
    assert labels["front->audit"] == ["not waited for", f"{numbers.vcpus(vcpu['front->audit'])} vCPU"]


def test_each_colour_reads_on_its_paper() -> None:
    text = (CSS / "page.css").read_text()
    light, dark, printed = (dict(re.findall(r"--heat-(\d): (#\w{6})", block)) for block in text.split(":root {")[1:])
    assert light == printed
    papers = re.findall(r"--paper: (#\w{6})", text)
    for colours, paper in ((light, papers[0]), (dark, papers[1])):
        assert sorted(colours) == [str(heat) for heat in range(HEAT_STEPS + 1)]
        assert all(contrast(colour, paper) >= 3 for colour in colours.values())


# What is drawn


def test_a_small_graph_is_drawn_whole(tmp_path: Path) -> None:
    chosen = choose(*predicted(tmp_path, MOVED))
    assert (len(chosen.edges), chosen.left_out) == (6, 0)
    assert chosen.layers == {INGRESS: 0, "front": 1, "slow": 2, "deep": 2, "audit": 2, "deeper": 3, "deepest": 4}


def test_of_a_wide_graph_the_calls_with_most_overhead_are_drawn(tmp_path: Path) -> None:
    calls = [("hub", f"leaf-{number:02}") for number in range(60)]
    graph, found = predicted(
        tmp_path, graph_text(calls).replace("callee: leaf-59", "callee: leaf-59, calls_per_request: 3")
    )
    chosen = choose(graph, found)
    assert len(chosen.edges) == MOST_EDGES
    assert chosen.left_out == 61 - MOST_EDGES
    drawn = {call.id for call, _ in chosen.edges}
    assert {"ingress->hub", "hub->leaf-59"} <= drawn
    rest = [edge for edge in found.edges if edge.id not in drawn]
    cpu = sum(edge.vcpu.value for edge in rest) / sum(edge.vcpu.value for edge in found.edges)
    assert chosen.cpu_share == pytest.approx(cpu)


def test_the_way_to_a_heavy_call_is_drawn_before_light_calls(tmp_path: Path) -> None:
    light = [("a", f"x{number:02}") for number in range(60)]
    text = graph_text([("a", "b"), *light, ("b", "c"), ("c", "heavy")])
    text = text.replace("callee: heavy", "callee: heavy, calls_per_request: 50").replace(
        "callee: b", "callee: b, calls_per_request: 0.5"
    )
    drawn = {call.id for call, _ in choose(*predicted(tmp_path, text)).edges}
    assert {"a->b", "b->c", "c->heavy"} <= drawn


def test_a_deep_chain_stays_within_the_page(tmp_path: Path) -> None:
    names = [f"s{number:03}" for number in range(200)]
    chosen = choose(*predicted(tmp_path, graph_text(list(pairwise(names)))))
    assert max(chosen.layers.values()) <= MOST_LAYERS
    assert 1 < len(chosen.edges) <= MOST_EDGES


def test_calls_of_a_large_graph_are_told_to_be_left_out(tmp_path: Path) -> None:
    graph, found = predicted(tmp_path, graph_text([("hub", f"leaf-{number:03}") for number in range(150)]))
    parts = parts_of(graph, found)
    (line,) = parts["Where the overhead is"].sections[0].lines
    assert "40 of 151 calls are drawn" in line
    assert "The other 111 hold" in line
    calls = parts["The prediction in figures"].sections[-1]
    assert (calls.title, len(calls.rows)) == ("By edge, 100 of 151", graph_view.MOST_ROWS)


def test_a_long_path_tells_how_many_steps_are_left_out(tmp_path: Path) -> None:
    names = [f"s{number:03}" for number in range(50)]
    (path,) = where(tmp_path, graph_text(list(pairwise(names))))["Critical path"].lines
    assert path.startswith("the same without and with sidecars: ingress->s000")
    assert path.count("->") == 30
    assert path.endswith("and 20 more")


def test_the_legend_has_all_classes_of_colour_up_to_the_highest(tmp_path: Path) -> None:
    (graph,) = where(tmp_path, MOVED)["Call graph"].figures()
    assert isinstance(graph, Graph)
    heats = [heat for heat, _ in graph.heats]
    highest = max(edge.heat for edge in graph.drawing.edges)
    assert heats == [*range(1, highest + 1), 0]
    assert [key.colour for key in legend(graph)][: len(heats)] == [f"var(--heat-{heat})" for heat in heats]


# Where it is drawn

Rectangle = tuple[float, float, float, float]


def boxes_of(placed: Layout) -> list[Rectangle]:
    return [
        (p.x - p.width / 2, p.y - p.height / 2, p.x + p.width / 2, p.y + p.height / 2) for p in placed.places.values()
    ]


def labels_of(placed: Layout, links: list[Link]) -> list[Rectangle]:
    found = []
    for link, route in zip(links, placed.routes, strict=True):
        (x, y), across, down = route.label, link.label_width / 2, link.label_height / 2
        found.append((x - across, y - down, x + across, y + down))
    return found


def overlap(one: Rectangle, other: Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@st.composite
def drawings(draw_: st.DrawFn) -> tuple[dict[str, Box], list[Link]]:
    """Boxes in layers with a link into each from an earlier layer, and some more."""
    count = draw_(st.integers(2, 14))
    layers = [0]
    pairs = []
    for number in range(1, count):
        source = draw_(st.integers(0, number - 1))
        layers.append(layers[source] + draw_(st.integers(1, 3)))
        pairs.append((source, number))
    everywhere = [pair for pair in combinations(range(count), 2) if layers[pair[0]] < layers[pair[1]]]
    pairs += draw_(st.lists(st.sampled_from(everywhere), max_size=12))
    sizes = st.floats(10, 150)
    boxes = {str(n): Box(draw_(sizes), draw_(st.floats(20, 60)), layer) for n, layer in enumerate(layers)}
    links = [Link(str(a), str(b), draw_(st.floats(1, 10)), draw_(sizes), draw_(st.floats(20, 40))) for a, b in pairs]
    return boxes, links


@settings(max_examples=40)
@given(drawings())
def test_boxes_and_labels_never_overlap(drawing: tuple[dict[str, Box], list[Link]]) -> None:
    boxes, links = drawing
    placed = layout(boxes, links)
    rectangles = [*boxes_of(placed), *labels_of(placed, links)]
    assert not [pair for pair in combinations(rectangles, 2) if overlap(*pair)]
    for left, top, right, bottom in rectangles:
        assert left >= -0.01
        assert top >= -0.01
        assert right <= placed.width + 0.01
        assert bottom <= placed.height + 0.01


def straight_parts(placed: Layout) -> Iterator[tuple[int, Rectangle]]:
    """The parts of each line that are not bent, by link, as flat rectangles."""
    for number, route in enumerate(placed.routes):
        for start, end in zip(route.points[1:-1:2], route.points[2:-1:2], strict=True):
            assert start[1] == end[1]
            yield number, (start[0], start[1] - 0.1, end[0], end[1] + 0.1)


@settings(max_examples=40)
@given(drawings())
def test_lines_pass_beside_boxes_and_labels_of_others(drawing: tuple[dict[str, Box], list[Link]]) -> None:
    boxes, links = drawing
    placed = layout(boxes, links)
    labels = labels_of(placed, links)
    for number, part in straight_parts(placed):
        assert not any(overlap(part, box) for box in boxes_of(placed))
        assert not any(overlap(part, label) for other, label in enumerate(labels) if other != number)


@settings(max_examples=40)
@given(drawings())
def test_lines_go_from_caller_to_callee_and_to_the_right(drawing: tuple[dict[str, Box], list[Link]]) -> None:
    boxes, links = drawing
    placed = layout(boxes, links)
    for link, route in zip(links, placed.routes, strict=True):
        source, target = placed.places[link.source], placed.places[link.target]
        assert route.points[0][0] == pytest.approx(source.x + source.width / 2)
        assert route.points[-1][0] == pytest.approx(target.x - target.width / 2)
        assert abs(route.points[0][1] - source.y) <= source.height / 2
        assert abs(route.points[-1][1] - target.y) <= target.height / 2
        assert [x for x, _ in route.points] == sorted(x for x, _ in route.points)


def test_lines_that_need_not_cross_do_not() -> None:
    boxes = {name: Box(50, 30, layer) for name, layer in (("o", 0), ("a", 1), ("b", 1), ("c", 2), ("d", 2))}
    ways = [("o", "a"), ("o", "b"), ("a", "d"), ("b", "c")]
    placed = layout(boxes, [Link(source, target, 2, 60, 30) for source, target in ways])
    y = {name: place.y for name, place in placed.places.items()}
    assert (y["a"] < y["b"]) == (y["d"] < y["c"])


def test_a_chain_is_a_straight_line() -> None:
    boxes = {name: Box(50, 30, layer) for layer, name in enumerate("abc")}
    placed = layout(boxes, [Link("a", "b", 2, 60, 30), Link("b", "c", 9, 60, 50)])
    assert len({round(place.y, 6) for place in placed.places.values()}) == 1


def test_parts_that_do_not_hang_together_are_close() -> None:
    boxes = {name: Box(50, 30, layer) for name, layer in (("a", 0), ("b", 1), ("c", 0), ("d", 1))}
    placed = layout(boxes, [Link("a", "b", 2, 60, 30), Link("c", "d", 2, 60, 30)])
    assert placed.height <= 2 * 30 + 10
