"""`meshinsight show` and the text, JSON and CSV it prints."""

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner, Result

from meshinsight import numbers
from meshinsight.commands import show
from meshinsight.reports.subjects import profile, profile_rows, summaries
from profiler.attribution import bounds
from profiler.errors import MeshInsightError, ProfileError, UsageError
from profiler.profile.document import load_profile, save_profile

DATA = Path(__file__).parents[2] / "data"
EXAMPLE = DATA / "example-profile.json"
PARTIAL = DATA / "example-partial-profile.json"


@pytest.fixture
def document() -> dict[str, Any]:
    return load_profile(EXAMPLE)


@pytest.fixture
def partial() -> dict[str, Any]:
    return load_profile(PARTIAL)


def run_show(*arguments: str) -> Result:
    app = typer.Typer()
    app.callback()(lambda: None)
    show.register(app)
    return CliRunner().invoke(app, ["show", *arguments])


def shown(*arguments: str) -> str:
    result = run_show(*arguments)
    assert result.exception is None
    return result.output


def rendered(document: dict[str, Any], width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, highlight=False, markup=False)
    with console.capture() as capture:
        profile.render_profile(document, console)
    return capture.get().splitlines()


def csv_rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(shown(str(path), "-o", "csv"))))


def test_json_is_the_document_as_it_is(document: dict[str, Any]) -> None:
    assert json.loads(shown(str(EXAMPLE), "-o", "json")) == document


def test_json_passes_through_any_locale() -> None:
    assert shown(str(PARTIAL), "-o", "json").isascii()


@pytest.mark.parametrize("output", ["json", "csv", "table"])
def test_a_glob_chooses_cells_in_every_format(output: str) -> None:
    text = shown(str(EXAMPLE), "-o", output, "--cell", "http1-both-*")
    assert "http1" in text
    assert "tcp-client" not in text


def test_a_glob_without_match_names_the_cells_there_are() -> None:
    error = run_show(str(EXAMPLE), "--cell", "quic-*").exception
    assert isinstance(error, UsageError)
    assert "tcp-client-hot-q128-s1024-c1-max" in str(error)


def test_an_unknown_output_format_is_a_usage_error_in_one_line() -> None:
    error = run_show(str(EXAMPLE), "-o", "xml").exception
    assert isinstance(error, UsageError)
    assert str(error) == "-o xml: unknown output format; choose table, json or csv"


def test_a_profile_that_cannot_be_read_is_left_to_the_entry_point(tmp_path: Path) -> None:
    error = run_show(str(tmp_path)).exception
    assert isinstance(error, ProfileError)
    assert isinstance(error, MeshInsightError)
    assert error.exit_code == 2


def test_csv_has_one_row_per_cell_currency_and_component(document: dict[str, Any]) -> None:
    keys = [
        (row["cell"], row["currency"], row["component"])
        for row in csv_rows_of(EXAMPLE)
        if row["currency"] != "latency_by_place"
    ]
    assert len(keys) == len(set(keys)) == sum(3 * len(cell["cpu"]["components"]) for cell in document["cells"])


def test_csv_components_add_up_to_the_closure_they_state() -> None:
    rows = [row for row in csv_rows_of(EXAMPLE) if row["currency"] == "latency"]
    for cell in {row["cell"] for row in rows}:
        own = [row for row in rows if row["cell"] == cell]
        measured = float(own[0]["overhead_p50_ns"])
        residual = (sum(float(row["median_ns"]) for row in own) - measured) / measured
        assert residual == pytest.approx(float(own[0]["latency_closure_residual"]), abs=1e-4)


def test_csv_keeps_a_cell_that_holds_nothing() -> None:
    failed = [row for row in csv_rows_of(PARTIAL) if row["cell"].startswith("tcp-both-cold")]
    assert len(failed) == 1
    assert "interrupted" in failed[0]["errors"]


def test_csv_carries_every_number_of_a_component(document: dict[str, Any]) -> None:
    part = document["cells"][0]["latency"]["components"]["ipc"]
    row = next(row for row in profile_rows.rows(document) if row["currency"] == "latency")
    assert {key: row[key] for key in part if key != "ci95_ns"} == {k: v for k, v in part.items() if k != "ci95_ns"}
    assert [row["ci95_low_ns"], row["ci95_high_ns"]] == part["ci95_ns"]


@pytest.mark.parametrize("path", [EXAMPLE, PARTIAL], ids=["complete", "partial"])
@pytest.mark.parametrize("width", [80, 100, 160])
def test_the_table_stays_within_the_terminal(path: Path, width: int) -> None:
    # Errors and warnings are left whole where the output is no terminal, so that they can be searched for.
    lines = [line for line in rendered(load_profile(path), width) if not line.startswith(("error:", "warning:"))]
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize("width", [80, 100, 160])
def test_no_figure_is_cut_at_any_width(document: dict[str, Any], width: int) -> None:
    lines = rendered(document, width)
    text = "\n".join(lines)
    for cell in document["cells"]:
        assert numbers.micros(cell["latency"]["overhead_p50_ns"]) in text
    # rich marks what it cuts with an ellipsis at the end of a word; the ellipsis of an interval stands free.
    assert not re.search(r"\S…", text)


def test_output_that_is_no_terminal_is_plain_and_whole(partial: dict[str, Any]) -> None:
    text = shown(str(PARTIAL))
    assert "\x1b" not in text
    assert not any(line.endswith(" ") for line in text.splitlines())
    for _, problem in summaries.problems(partial):
        assert problem in text


def test_the_header_names_machine_proxy_and_status() -> None:
    text = shown(str(PARTIAL))
    for expected in ("partial", "Linux 6.18.0", "envoy 1.40.0", "noisy", "http1-both-hot drifted by"):
        assert expected in text


def test_a_rate_that_was_not_reached_is_an_error_in_the_table() -> None:
    text = shown(str(PARTIAL))
    assert "8,730 of 12,000 !" in text
    assert "ERROR offered 12,000 per s, achieved 8,730 with and 12,000 without sidecar" in text


def test_healthy_probes_take_one_line() -> None:
    text = shown(str(EXAMPLE))
    assert "Probes: 9 of 9 ok" in text
    assert "timeline/sys_enter" not in text


def test_a_probe_without_hits_is_an_error_and_listed() -> None:
    text = shown(str(PARTIAL))
    assert "error: probe timeline/sched_switch: attached but no hits" in text
    assert "error: probe cputime/sched_switch: perf_event_open: permission denied" in text


def test_both_cpu_methods_and_their_disagreement_are_printed(document: dict[str, Any]) -> None:
    cpu = document["cells"][0]["cpu"]
    cells = [line for line in shown(str(EXAMPLE)).splitlines() if line.startswith("socket_read")]
    expected = [
        numbers.micros(side["socket_read"]["cpu_ns_per_request"])
        for side in (cpu["components"], cpu["perf_components"])
    ]
    row = next(
        line for line in cells if line.rstrip().endswith(numbers.points(cpu["disagreement_points"]["socket_read"]))
    )
    assert all(figure in row for figure in expected)


def test_a_cell_without_sidecar_has_no_closure_to_judge(document: dict[str, Any]) -> None:
    document["cells"][0]["latency"]["closure_residual"] = 7.5
    assert summaries.closure(document["cells"][0], "latency") == 7.5
    assert summaries.closure(document["cells"][0] | {"topology": "none"}, "latency") is None


def test_a_residual_over_its_bound_is_marked(tmp_path: Path, document: dict[str, Any]) -> None:
    document["cells"][0]["latency"]["closure_residual"] = 0.123
    assert "+12.3 % !" in shown(str(save_profile(document, tmp_path)))


def test_a_profile_without_cells_can_be_shown(tmp_path: Path, document: dict[str, Any]) -> None:
    empty = save_profile(document | {"cells": [], "anchor": None, "probes": []}, tmp_path)
    assert "No cell was measured." in shown(str(empty))
    assert shown(str(empty), "-o", "csv").count("\n") == 1


def test_a_profile_cannot_drive_the_terminal(tmp_path: Path, document: dict[str, Any]) -> None:
    document["warnings"] = ["\x1b[2Jgone [bold]not markup[/bold]"]
    document["environment"]["cpu_model"] = "\x1b]0;title\x07 CPU"
    text = shown(str(save_profile(document, tmp_path)))
    assert "\x1b" not in text
    assert "[bold]not markup[/bold]" in text


def test_labels_name_what_differs_between_cells(document: dict[str, Any]) -> None:
    labels = summaries.cell_labels(document["cells"])
    assert labels["tcp-both-cold-q128-s1024-c1-max"] == "tcp-both-cold"


def test_labels_fall_back_to_ids_where_they_would_be_the_same(document: dict[str, Any]) -> None:
    twin = document["cells"][0] | {"id": "twin"}
    assert summaries.cell_labels([document["cells"][0], twin])["twin"] == "twin"


def test_cells_that_differ_only_in_temperature_stand_together(document: dict[str, Any]) -> None:
    shuffled = document["cells"][::-1]
    groups = summaries.by_temperature(shuffled)
    assert [[cell["temperature"] for cell in group] for group in groups] == [["hot", "cold"]] * 4


def test_other_components_come_before_other() -> None:
    assert summaries.ordered(["other", "tls", "parsing", "filter:lua", "ipc"]) == [
        "ipc", "parsing", "tls", "filter:lua", "other",
    ]  # fmt: skip


def test_components_that_are_zero_everywhere_are_left_out_but_other_never() -> None:
    assert summaries.nonzero([{"ipc": 1.0, "queueing": 0.0, "other": 0.0}]) == ["ipc", "other"]


def test_a_share_of_nothing_is_unknown() -> None:
    assert summaries.share(1.0, [1.0, -1.0]) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (numbers.micros(1234567), "1,234.6"),
        (numbers.micros(-20), "0.0"),
        (numbers.micros(None), "–"),
        (numbers.signed_percent(3.12), "+312 %"),
        (numbers.signed_percent(-0.029, 1), "-2.9 %"),
        (numbers.signed_percent(0.0), "0 %"),
        (numbers.change_percent(0.97), "-3.0 %"),
        (numbers.points(-0.04), "0.0"),
        (numbers.rate(12000), "12,000"),
        (numbers.rate(2.5), "2.5"),
        (numbers.size(1024), "1 KiB"),
        (numbers.size(1500), "1500 B"),
    ],
)
def test_numbers_read_as_people_write_them(text: str, expected: str) -> None:
    assert text == expected


def test_a_rate_counts_as_reached_only_with_and_without_sidecar(document: dict[str, Any]) -> None:
    cell = document["cells"][0] | {"rate_rps": 1000, "achieved_rps": 1000, "baseline_achieved_rps": 970}
    assert not bounds.rate_reached(cell)
    assert bounds.rate_reached(cell | {"baseline_achieved_rps": 990})


def test_starting_the_command_costs_no_heavy_import() -> None:
    code = "import sys, meshinsight.commands.show, meshinsight.commands.report; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"matplotlib", "jinja2", "jsonschema", "pandas", "numpy", "bcc"}.intersection(loaded)


def test_showing_works_without_root_bcc_and_heavy_libraries() -> None:
    blocked = "import sys; sys.modules.update(dict.fromkeys(['bcc', 'pandas', 'matplotlib', 'numpy', 'jinja2']))"
    code = (
        f"{blocked}\nfrom pathlib import Path\nfrom meshinsight.commands.show import show\nshow(Path({str(EXAMPLE)!r}))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Components of latency, http1-both" in result.stdout
