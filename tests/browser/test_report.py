"""The HTML report as a browser shows it: accessible, nothing cut off, and complete on paper."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from meshinsight.models import load_model
from meshinsight.reports.page import Page
from meshinsight.reports.renderers import html
from meshinsight.reports.subjects import history, profile_comparison, profile_page
from meshinsight.reports.subjects.graph_view import Predicted
from meshinsight.reports.subjects.prediction import Prices
from meshinsight.reports.subjects.validation import document
from meshinsight.reports.subjects.validation_document import read_validation
from predictor.graph.reader import load_graph
from predictor.hop_costs.options import Options
from predictor.predict.predict import predict
from profiler.comparison.compare import compare
from profiler.comparison.history import histories, run_of
from profiler.profile.document import load_profile
from tests.browser.chromium import Browser, browser
from tests.meshinsight.reports.validations import validation
from tests.profiler.comparison.profiles import drawn

pytestmark = pytest.mark.browser

AXE = "axe-core@4.14.1"
PROFILE = Path(__file__).parents[1] / "data" / "example-profile.json"
GRAPH = """
format: meshinsight-graph
version: 1
name: shop
services:
  - {name: front, service_time: 1ms}
  - {name: a-service-with-a-rather-long-name-that-does-not-break, service_time: 2ms}
  - {name: audit, service_time: 1ms}
calls:
  - {caller: front, callee: a-service-with-a-rather-long-name-that-does-not-break}
  - {caller: front, callee: audit, asynchronous: true}
ingress: [{service: front, rate_rps: 100}]
"""
WIDTHS = (1280, 390)
PAPER = 718
"""CSS pixels of A4 between margins of 1 cm."""

BEYOND = """
[...document.querySelectorAll("body *")].filter(item =>
  !item.parentElement.closest(".scroll, details:not([open])") && item.getBoundingClientRect().right > innerWidth + 1
).map(item => item.outerHTML.slice(0, 120))
"""
"""What reaches beyond the right edge and is not in a box that scrolls."""

UNNAMED = """
[...document.querySelectorAll("svg[role=img]")].filter(chart => {
  const ids = (chart.getAttribute("aria-labelledby") || "").split(" ");
  return ids.length !== 2 || ids.some(id => !(document.getElementById(id)?.textContent));
}).length
"""

VIOLATIONS = """
axe.run(document, {resultTypes: ["violations"]}).then(found => found.violations.map(item =>
  item.id + ": " + item.nodes.slice(0, 3).map(node => node.html.slice(0, 160) + " " + node.failureSummary).join("; ")))
"""


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The script of axe-core, from the package registry."""
    folder = tmp_path_factory.mktemp("axe")
    argv = ["npm", "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", f"--prefix={folder}", AXE]
    subprocess.run(argv, check=True, capture_output=True, timeout=100)
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with all its parts."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "graph.yaml").write_text(GRAPH)
    graph = load_graph(folder / "graph.yaml")
    predicted = Predicted(graph, predict(graph, load_model(PROFILE), Options()), Prices(0.04, 0.005))
    (folder / "validation.json").write_text(json.dumps(document(validation("shop"))))
    validations = [read_validation(folder / "validation.json")]
    out = folder / "report.html"
    out.write_text(html.render_page(profile_page.page(load_profile(PROFILE), None, predicted, validations)))
    return out


@pytest.fixture(scope="module")
def changes(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A comparison and a history, as pages."""
    folder = tmp_path_factory.mktemp("changes")
    start = datetime(2026, 1, 1, tzinfo=UTC)
    profiles = [drawn(day, injected={"parsing": 15_000.0} if day >= 8 else None) for day in range(14)]
    runs = [run_of(f"run-{day}", start + timedelta(days=day), profile) for day, profile in enumerate(profiles)]
    reports = {
        "comparison": profile_comparison.report("old", [("new", compare(profiles[0], profiles[-1], 0.02))]),
        "history": history.report("profiles", histories(runs), ["broken.json: damaged"]),
    }
    for name, made in reports.items():
        (folder / f"{name}.html").write_text(html.render_page(Page(made.title, [made])))
    return [folder / f"{name}.html" for name in reports]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as found:
        yield found


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_no_violations(chromium: Browser, page: Path, axe: str, width: int, dark: bool) -> None:
    chromium.show(page, width, dark=dark)
    chromium.run("document.querySelectorAll('details').forEach(item => item.open = true)")
    chromium.run(axe)
    assert chromium.run(VIOLATIONS) == []


def test_axe_would_find_a_violation(chromium: Browser, page: Path, axe: str) -> None:
    chromium.show(page, 1280)
    chromium.run("document.documentElement.removeAttribute('lang')")
    chromium.run(axe)
    assert any(found.startswith("html-has-lang") for found in chromium.run(VIOLATIONS))


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_reaches_beyond_the_page(chromium: Browser, page: Path, width: int) -> None:
    chromium.show(page, width)
    assert chromium.run("document.documentElement.scrollWidth") == width
    assert chromium.run(BEYOND) == []


def test_each_chart_has_a_name_a_description_and_its_data(chromium: Browser, page: Path) -> None:
    chromium.show(page, 1280)
    assert chromium.run("document.querySelectorAll('svg[role=img]').length") >= 7
    assert chromium.run(UNNAMED) == 0
    assert chromium.run("[...document.querySelectorAll('figure')].every(f => f.querySelector('details table'))")


def test_on_paper_closed_details_are_seen(chromium: Browser, page: Path) -> None:
    seen = {}
    for media in ("screen", "print"):
        chromium.show(page, PAPER, media=media)
        seen[media] = chromium.run(
            "[...document.querySelectorAll('details:not([open]) table')].map(item => item.checkVisibility())"
        )
    assert len(seen["print"]) > 10
    assert not any(seen["screen"])
    assert all(seen["print"])


def test_on_paper_nothing_is_cut_off(chromium: Browser, page: Path) -> None:
    chromium.show(page, PAPER, media="print")
    assert chromium.run(BEYOND.replace(".scroll, details:not([open])", "head")) == []


def test_the_page_asks_for_nothing(chromium: Browser, page: Path) -> None:
    chromium.show(page, 1280)
    assert chromium.run("performance.getEntriesByType('resource').map(item => item.name)") == []


def test_an_unfinished_profile_has_no_violations(chromium: Browser, tmp_path: Path, axe: str) -> None:
    partial = load_profile(PROFILE.with_name("example-partial-profile.json"))
    out = tmp_path / "partial.html"
    out.write_text(html.render_page(replace(profile_page.page(partial), title="Unfinished")))
    chromium.show(out, 390)
    chromium.run(axe)
    assert chromium.run(VIOLATIONS) == []


@pytest.mark.parametrize("width", WIDTHS)
def test_comparisons_and_histories_have_no_violations_and_named_charts(
    chromium: Browser, changes: list[Path], axe: str, width: int
) -> None:
    for page in changes:
        chromium.show(page, width)
        assert chromium.run("document.documentElement.scrollWidth") == width
        assert chromium.run(UNNAMED) == 0
        chromium.run("document.querySelectorAll('details').forEach(item => item.open = true)")
        chromium.run(axe)
        assert chromium.run(VIOLATIONS) == []
