"""`meshinsight report`: one HTML file that stands alone, draws honestly and trusts nothing it is given."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from meshinsight.commands import report
from meshinsight.reports.figures import Bar, Bars, Panel
from meshinsight.reports.renderers import charts, html, palette
from meshinsight.reports.renderers.legends import legend
from meshinsight.reports.report import Report, Section
from meshinsight.reports.subjects.profile_page import page as page_of
from meshinsight.reports.subjects.profile_summary import answer
from profiler.errors import MeshInsightError, ProfileError, UsageError
from profiler.profile.document import load_profile, profile_of, save_profile
from profiler.profile.types import Profile
from profiler.vocabulary import components
from tests.meshinsight.reports.pages import Page, contrast

DATA = Path(__file__).parents[3] / "data"
EXAMPLE = DATA / "example-profile.json"
PARTIAL = DATA / "example-partial-profile.json"


@pytest.fixture
def document() -> dict[str, Any]:
    """The example in plain values, to be changed."""
    found: dict[str, Any] = json.loads(EXAMPLE.read_text())
    return found


def rendered(profile: Profile, title: str | None = None) -> str:
    return html.render_page(page_of(profile, title))


@pytest.fixture(scope="module")
def example_html() -> str:
    return rendered(load_profile(EXAMPLE))


@pytest.fixture(scope="module")
def partial_html() -> str:
    return rendered(load_profile(PARTIAL))


def run_report(*arguments: str) -> Result:
    app = typer.Typer()
    app.callback()(lambda: None)
    report.register(app)
    return CliRunner().invoke(app, ["report", *arguments])


def test_the_command_writes_the_file_and_says_where(tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    result = run_report(str(EXAMPLE), "--out", str(out), "--title", "Ours & theirs")
    assert result.exception is None
    assert str(out) in result.output
    assert "<h1>Ours &amp; theirs</h1>" in out.read_text(encoding="utf-8")


def test_a_folder_that_is_not_there_is_one_line_with_status_two(tmp_path: Path) -> None:
    error = run_report(str(PARTIAL), "--out", str(tmp_path / "no" / "such" / "folder.html")).exception
    assert isinstance(error, UsageError)
    assert error.exit_code == 2
    assert f"--out: directory {tmp_path / 'no' / 'such'} does not exist" in str(error)
    assert "\n" not in str(error)


def test_an_unwritable_place_is_one_line_with_status_one(tmp_path: Path) -> None:
    error = run_report(str(PARTIAL), "--out", str(tmp_path / ("x" * 300))).exception
    assert isinstance(error, MeshInsightError)
    assert error.exit_code == 1
    assert "cannot be written" in str(error)
    assert "\n" not in str(error)


def test_a_directory_as_output_is_refused(tmp_path: Path) -> None:
    error = run_report(str(PARTIAL), "--out", str(tmp_path)).exception
    assert "is a directory; name a file in it" in str(error)


def test_a_bad_profile_leaves_an_older_report_alone(tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    out.write_text("older", encoding="utf-8")
    error = run_report(str(tmp_path / "missing"), "--out", str(out)).exception
    assert isinstance(error, ProfileError)
    assert out.read_text(encoding="utf-8") == "older"


def test_the_page_loads_nothing_from_outside(example_html: str) -> None:
    page = Page(example_html)
    assert all(link.startswith("#") for link in page.links)
    assert not {"script", "link", "img", "iframe"}.intersection(page.tags)
    assert not re.search(r"@import|url\((?!#)", example_html)
    assert set(re.findall(r"https?://[^\"]*", example_html)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


@pytest.mark.parametrize("fixture", ["example_html", "partial_html"])
def test_tags_are_balanced_and_ids_unique(fixture: str, request: pytest.FixtureRequest) -> None:
    page = Page(request.getfixturevalue(fixture))
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))


def test_every_reference_inside_the_page_has_its_target(example_html: str) -> None:
    page = Page(example_html)
    wanted = {link[1:] for link in page.links} | set(re.findall(r"url\(#([^)]+)\)", example_html))
    assert wanted <= set(page.ids)


def test_the_same_profile_gives_the_same_bytes(example_html: str) -> None:
    assert rendered(load_profile(EXAMPLE)) == example_html


def test_the_headline_states_latency_and_cpu_per_protocol(example_html: str) -> None:
    text = Page(example_html).text
    sentences = answer(load_profile(EXAMPLE).cells)
    assert sentences[0].startswith("Two HTTP/1.1 sidecars add 0.12–0.15 ms and 0.10–0.13 vCPU per 1000 requests/s")
    assert sentences[1].startswith("Two TCP sidecars add 0.041–0.053 ms and 0.032–0.040 vCPU")
    assert all(sentence in text for sentence in sentences)
    assert text.index("The answer") < text.index("What to do about it") < text.index("How far to trust it")


def test_what_a_figure_is_quoted_with_is_at_the_top(example_html: str, document: dict[str, Any]) -> None:
    head = Page(example_html.split("<main>")[0]).text
    assert all(fact in head for fact in (document["run_id"], document["meshinsight_version"], document["created"][:10]))
    assert document["environment"]["cpu_model"] in head


def test_a_clear_saving_is_shown_with_what_it_gives_up(example_html: str) -> None:
    part = example_html[example_html.index('id="what-to-do-about-it"') :]
    text = Page(part[: part.index("</section>")].split(">", 1)[1]).text
    assert "HTTP/1.1: sidecars move HTTP/1.1 as TCP" in text
    assert "retries, routes and metrics by request" in text


def test_terms_in_tables_and_legends_lead_to_the_glossary(example_html: str) -> None:
    assert {"#term-ipc", "#term-parsing", "#term-closure"} <= set(Page(example_html).links)
    assert "user time for the protocol" in example_html[example_html.index('id="term-parsing"') :]


def test_a_percentile_of_few_requests_is_marked(document: dict[str, Any]) -> None:
    cell = document["cells"][0]
    few = cell["latency"] | {"with": cell["latency"]["with"] | {"count": 500}}
    page = rendered(profile_of(document | {"cells": [cell | {"latency": few}]}, "x"))
    assert len(re.findall(r'<td class="bad">[\d.,]+( ± [\d.,]+)? !</td>', page)) >= 2  # in the answer and in all tables
    assert "rests on fewer than" in page


def test_any_report_is_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    html.render(Report("A <b>", [Section("t", ("a", "b"), [("x", "1 !")])], [("Notes", ["n"])], dict), sys.stdout)
    page = Page(text := capsys.readouterr().out)
    assert page.open == []
    assert "<h1>A &lt;b&gt;</h1>" in text
    assert '<td class="bad">1 !</td>' in text


def test_charts_show_hot_and_cold_and_both_cpu_methods(example_html: str) -> None:
    drawn = "".join(re.findall(r'<svg role="img".*?</svg>', example_html, flags=re.DOTALL))
    for label in ("hot", "cold", "eBPF", "perf", "http1-both", "client sidecar", "request", "with sidecars"):
        assert f">{label}<" in drawn


def test_every_component_of_the_profile_is_explained(example_html: str, document: dict[str, Any]) -> None:
    text = Page(example_html).text
    names = {name for cell in document["cells"] for name in cell["latency"]["components"]}
    assert len(names) >= 8
    assert all(components.DESCRIPTIONS[name] in text for name in names)


def test_a_partial_profile_says_so_and_lists_its_problems(partial_html: str) -> None:
    text = Page(partial_html).text
    assert "The run ended early" in text
    assert "error: " in text
    assert "8,730 !" in text
    assert "attached but no hits" in text


def test_foreign_text_is_escaped_everywhere(tmp_path: Path, document: dict[str, Any]) -> None:
    attack = "<script>alert(1)</script>'\"&$x_$"
    document["warnings"] = [attack]
    document["environment"] |= {"cpu_model": attack, attack: [attack]}
    document["settings"] = {"note": {"deep": attack}}
    document["command"] = [attack]
    document["cells"][0] |= {"errors": [attack], "filters": [attack], "transport": attack}
    document["cells"][0]["latency"]["components"]["ipc"]["source"] = attack
    document["probes"][0]["name"] = attack
    page = rendered(load_profile(save_profile(profile_of(document, "x"), tmp_path)), title=attack)
    assert "<script" not in page
    assert "script" not in Page(page).tags
    assert attack in Page(page).text


@pytest.mark.parametrize("key", ["latency", "cpu"])
def test_a_profile_with_only_one_currency_has_a_report(tmp_path: Path, document: dict[str, Any], key: str) -> None:
    document["cells"] = [cell | {key: None} for cell in document["cells"]]
    assert Page(rendered(load_profile(save_profile(profile_of(document, "x"), tmp_path)))).open == []


def test_a_profile_without_cells_has_a_report(document: dict[str, Any]) -> None:
    page = Page(rendered(profile_of(document | {"cells": [], "anchor": None, "probes": []}, "x")))
    assert "No cell was measured." in page.text


def test_many_cells_get_one_chart_per_protocol(document: dict[str, Any]) -> None:
    more = [cell | {"id": f"{cell['id']}-{n}", "connections": n} for cell in document["cells"] for n in (1, 2)]
    page = Page(rendered(profile_of(document | {"cells": more}, "x")))
    assert "cpu-tcp-title" in page.ids
    assert "cpu-http1-title" in page.ids


def rectangles(svg: str, colour: str) -> list[tuple[float, float]]:
    """Left and right ends of the filled boxes of one colour, in the drawing's units."""
    found = []
    for path in re.findall(rf'<path d="([^"]+)"[^>]*style="fill: {colour}', svg):
        across = [float(x) for x in re.findall(r"[ML] ([-\d.]+)", path)]
        found.append((min(across), max(across)))
    return found


def test_a_negative_part_is_drawn_left_of_zero_with_its_own_width() -> None:
    parts = {"ipc": 10.0, "parsing": 20.0, "other": -5.0}
    svg = charts.draw(Bars("t", "title", [Panel([Bar("group", "bar", parts, total=25.0)])], list(parts), "µs"))
    (ipc,), (parsing,), (other,) = (rectangles(svg, palette.colour(name)) for name in parts)
    scale = (ipc[1] - ipc[0]) / 10
    assert other[1] == pytest.approx(ipc[0])
    assert other[1] - other[0] == pytest.approx(5 * scale, rel=1e-3)
    assert parsing == pytest.approx((ipc[1], ipc[1] + 20 * scale), rel=1e-3)


def test_chart_text_follows_the_page_and_is_text() -> None:
    svg = charts.draw(Bars("t", "<b>", [Panel([Bar("group", "bar", {"ipc": 10.0})])], ["ipc"], "µs"))
    assert svg.startswith('<svg role="img"')
    assert svg.endswith("</svg>")
    assert "currentColor" in svg
    assert ">group</text>" in svg
    assert '<title id="t-title">&lt;b&gt;</title>' in svg


def test_a_legend_has_each_series_and_the_total() -> None:
    bar = Bar("group", "bar", {"ipc": 10.0, "parsing": 1.0}, total=11.0)
    labels = [key.label for key in legend(Bars("t", "title", [Panel([bar])], ["ipc", "parsing"]))]
    assert labels == ["ipc", "parsing", "measured overhead with its 95 % interval"]


def test_every_fixed_component_has_a_colour_of_its_own() -> None:
    colours = [palette.colour(name) for name in components.COMPONENTS]
    assert len(set(colours)) == len(colours)


def test_an_unknown_filter_keeps_its_colour_in_every_run() -> None:
    assert palette.colour("filter:acme.rewriter") == "#661100"


@pytest.mark.parametrize("name", [*components.COMPONENTS, "tls", "filter:lua", "filter:unheard_of"])
def test_figures_on_bars_are_readable(name: str) -> None:
    assert contrast(palette.ink(name), palette.colour(name)) >= 4.5
