"""`meshinsight show` and the text, JSON and CSV it prints."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from msgspec.structs import replace
from typer.testing import CliRunner, Result

from meshinsight import numbers
from meshinsight.commands import show
from meshinsight.reports.renderers import terminal
from meshinsight.reports.subjects import profile, profile_rows, summaries
from profiler.errors import MeshInsightError, ProfileError, UsageError
from profiler.profile import bounds
from profiler.profile.document import load_profile, plain, profile_of, save_profile
from profiler.profile.types import VERSION, Cell, Cpu, HandOvers, Latency, Profile
from tests.meshinsight.reports.profiles import quick_profile

DATA = Path(__file__).parents[2] / "data"
EXAMPLE = DATA / "example-profile.json"
PARTIAL = DATA / "example-partial-profile.json"


@pytest.fixture
def document() -> dict[str, Any]:
    """The example as it lies on disk, of format version 1."""
    found: dict[str, Any] = json.loads(EXAMPLE.read_text())
    return found


@pytest.fixture
def example() -> Profile:
    return load_profile(EXAMPLE)


def measured(cell: Cell) -> tuple[Latency, Cpu]:
    assert cell.latency is not None
    assert cell.cpu is not None
    return cell.latency, cell.cpu


def run_show(*arguments: str) -> Result:
    app = typer.Typer()
    app.callback()(lambda: None)
    show.register(app)
    return CliRunner().invoke(app, ["show", *arguments])


def shown(*arguments: str) -> str:
    result = run_show(*arguments)
    assert result.exception is None
    return result.output


def rendered(found: Profile, width: int) -> list[str]:
    return [bold + rest for bold, rest in terminal.text_lines(profile.report(found), width)]


def csv_rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(shown(str(path), "-o", "csv"))))


def test_json_is_the_whole_profile_with_what_its_model_says(example: Profile) -> None:
    found = json.loads(shown(str(EXAMPLE), "-o", "json"))
    assert {key: found[key] for key in plain(example)} == plain(example)
    assert found.keys() - plain(example).keys() == {"coefficients", "model_error"}
    assert plain(profile_of(found, "shown")) == found


def test_json_is_the_document_as_it_is_in_the_newest_version(document: dict[str, Any]) -> None:
    found = json.loads(shown(str(EXAMPLE), "-o", "json"))
    assert (document.pop("version"), found["version"]) == (1, VERSION)
    for before, after in zip(document["cells"], found["cells"], strict=True):
        for name, part in before["latency"]["components"].items():
            assert "anchored_median_ns" not in after["latency"]["components"][name]
            anchored_ns = after["anchor_factor"] * after["latency"]["components"][name]["median_ns"]
            assert anchored_ns == pytest.approx(part.pop("anchored_median_ns"), rel=1e-4, abs=1)
        del before["latency"]["overhead_ci95_ns"]  # intervals had another meaning
        parts = (before["latency"]["components"], before["cpu"]["components"], before["cpu"]["perf_components"])
        for part in (part for side in parts for part in side.values()):
            del part["ci95_ns"]
    assert holds(found, document)


def holds(found: Any, wanted: Any) -> bool:
    """Whether all that is in `wanted` is in `found`, which may have more keys."""
    if isinstance(wanted, dict):
        return all(key in found and holds(found[key], value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(holds, found, wanted))
    return bool(found == wanted)


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
    assert str(error) == "--output: expected one of table, json, csv, markdown, html; found 'xml'"


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
    found = profile_of(document, "x")
    row = next(row for row in profile_rows.rows(found) if row["currency"] == "latency")
    assert row["component"] == "ipc"
    del part["ci95_ns"]  # of another meaning in that version
    assert row["anchored_median_ns"] == pytest.approx(part.pop("anchored_median_ns"), rel=1e-12)
    assert [row["ci95_low_ns"], row["ci95_high_ns"]] == measured(found.cells[0])[0].components["ipc"].ci95_ns
    assert {key: row[key] for key in part} == part


def test_csv_has_the_overhead_of_each_currency_raw_and_anchored_with_its_interval(example: Profile) -> None:
    row, cell = next(profile_rows.rows(example)), example.cells[0]
    latency, cpu = measured(cell)
    assert cell.anchor_factor is not None
    assert row["anchored_overhead_p50_ns"] == latency.overhead_p50_ns * cell.anchor_factor
    assert [row["overhead_ci95_low_ns"], row["overhead_ci95_high_ns"]] == latency.overhead_ci95_ns
    assert row["cpu_overhead_ns"] == cpu.overhead_ns
    assert [row["cpu_overhead_ci95_low_ns"], row["cpu_overhead_ci95_high_ns"]] == cpu.overhead_ci95_ns


def test_csv_has_what_is_added_to_the_99th_percentile_with_its_interval() -> None:
    found = quick_profile()
    latency, _ = measured(found.cells[0])
    row = next(profile_rows.rows(found))
    assert row["overhead_p99_ns"] == latency.with_sidecars.p99_ns - latency.baseline.p99_ns
    assert [row["overhead_p99_ci95_low_ns"], row["overhead_p99_ci95_high_ns"]] == latency.overhead_p99_ci95_ns


def test_an_interval_says_what_it_holds_and_how_many_rounds_it_rests_on() -> None:
    assert (
        "95 % of other runs of the same command on this machine; n = 5 rounds of latency, 5 rounds of CPU"
        in " ".join(shown(str(EXAMPLE), "--full").split())
    )


def test_csv_of_a_profile_that_lacks_dimensions_has_what_was_taken_for_granted(
    tmp_path: Path, document: dict[str, Any]
) -> None:
    further = ("proxy", "tls", "filters", "transport", "workers", "reference", "headers", "header_bytes", "messages")
    for cell in document["cells"]:
        for name in (*further, "application", "new_connections"):
            del cell[name]
    (tmp_path / "profile.json").write_text(json.dumps(document))
    assert csv_rows_of(tmp_path) == csv_rows_of(EXAMPLE)
    row = csv_rows_of(tmp_path)[0]
    assert (row["proxy"], row["application"], row["tls"], row["messages"]) == ("envoy", "http1", "none", "1")


def test_csv_of_a_cell_whose_speed_is_not_known_has_no_anchored_median(example: Profile) -> None:
    unknown = replace(example, cells=[replace(cell, anchor_factor=None) for cell in example.cells])
    found = [row for row in profile_rows.rows(unknown) if row["currency"] == "latency"]
    assert {row["anchored_median_ns"] for row in found} == {None}
    assert all(row["median_ns"] is not None for row in found)


@pytest.mark.parametrize("path", [EXAMPLE, PARTIAL], ids=["complete", "partial"])
@pytest.mark.parametrize("width", [80, 100, 120])
def test_all_stays_within_the_terminal(path: Path, width: int) -> None:
    assert max(map(len, rendered(load_profile(path), width))) <= width


@pytest.mark.parametrize("width", [80, 100, 120])
def test_no_figure_and_no_column_is_dropped_at_any_width(example: Profile, width: int) -> None:
    words, narrow = (" ".join(rendered(example, each)).split() for each in (1000, width))
    assert set(words) - {word for word in words if set(word) == {"─"}} <= set(narrow)


def test_output_that_is_no_terminal_is_plain_and_whole() -> None:
    text = shown(str(PARTIAL), "--full")
    assert "\x1b" not in text
    assert not any(line.endswith(" ") for line in text.splitlines())
    problems = summaries.problems(load_profile(PARTIAL))
    assert len(problems) == 7
    for _, problem in problems:
        assert problem in text


def test_the_header_names_machine_proxy_and_status() -> None:
    text = shown(str(PARTIAL), "--full")
    for expected in ("partial", "Linux 6.18.0", "envoy 1.40.0", "noisy", "http1-both-hot drifted by"):
        assert expected in text


def test_a_rate_that_was_not_reached_is_an_error_in_the_table() -> None:
    text = shown(str(PARTIAL), "--full")
    assert "8,730 of 12,000 !" in text
    assert "ERROR offered 12,000 per s, achieved 8,730 with and 12,000 without sidecar" in text


def test_healthy_probes_take_one_line() -> None:
    text = shown(str(EXAMPLE), "--full")
    assert "Probes: 9 of 9 ok" in text
    assert "timeline/sys_enter" not in text


def test_a_probe_without_hits_is_an_error_and_listed() -> None:
    text = shown(str(PARTIAL))
    assert "error: probe timeline/sched_switch: attached but no hits" in text
    assert "error: probe cputime/sched_switch: perf_event_open: permission denied" in text


def test_both_cpu_methods_and_their_disagreement_are_printed(document: dict[str, Any]) -> None:
    cpu = document["cells"][0]["cpu"]
    cells = [line for line in shown(str(EXAMPLE), "--full").splitlines() if line.startswith("socket_read")]
    expected = [
        numbers.micros(side["socket_read"]["cpu_ns_per_request"])
        for side in (cpu["components"], cpu["perf_components"])
    ]
    row = next(
        line for line in cells if line.rstrip().endswith(numbers.points(cpu["disagreement_points"]["socket_read"]))
    )
    assert all(figure in row for figure in expected)


def with_hand_overs(example: Profile) -> Profile:
    """The example with hand-overs in its first cell."""
    cell, *others = example.cells
    latency, _ = measured(cell)
    found = HandOvers(count=6.0, crossed=3.0, cores=1.5, caches=None)
    baseline = HandOvers(count=2.0, crossed=2.0, cores=0.0, caches=0.0)
    return replace(
        example,
        cells=[replace(cell, latency=replace(latency, hand_overs=found, baseline_hand_overs=baseline)), *others],
    )


def test_hand_overs_are_shown_with_the_share_that_crossed_where_they_were_counted(example: Profile) -> None:
    text = "\n".join(rendered(with_hand_overs(example), 120))
    table = text.partition("Hand-overs between threads")[2].partition("\n\n")[0]
    assert re.search(r"2\.0 +100 % +6\.0 +50 % +25 % +–", table)
    assert "Hand-overs" not in shown(str(EXAMPLE), "--full")


def test_csv_has_the_hand_overs_of_each_cell(example: Profile) -> None:
    first, *_ = profile_rows.rows(with_hand_overs(example))
    assert (first["hand_overs_count"], first["hand_overs_crossed"], first["hand_overs_cores"]) == (6.0, 3.0, 1.5)
    assert (first["baseline_hand_overs_crossed"], first["hand_overs_caches"]) == (2.0, None)


def test_a_cell_without_sidecar_has_no_closure_to_judge(example: Profile) -> None:
    first = example.cells[0]
    cell = replace(first, latency=replace(measured(first)[0], closure_residual=7.5))
    assert summaries.closure(cell, "latency") == 7.5
    assert summaries.closure(replace(cell, topology="none"), "latency") is None


def test_a_residual_over_its_bound_is_marked(tmp_path: Path, document: dict[str, Any]) -> None:
    document["cells"][0]["latency"]["closure_residual"] = 0.123
    assert "+12.3 % !" in shown(str(save_profile(profile_of(document, "x"), tmp_path)), "--full")


def test_a_profile_without_cells_can_be_shown(tmp_path: Path, example: Profile) -> None:
    empty = save_profile(replace(example, cells=[], anchor=None, probes=[]), tmp_path)
    assert "No cell was measured." in shown(str(empty))
    assert "No cell was measured." in shown(str(empty), "--full")
    assert shown(str(empty), "-o", "csv").count("\n") == 1


def test_a_profile_cannot_drive_the_terminal(tmp_path: Path, document: dict[str, Any]) -> None:
    document["warnings"] = ["\x1b[2Jgone [bold]not markup[/bold]"]
    document["environment"]["cpu_model"] = "\x1b]0;title\x07 CPU"
    text = shown(str(save_profile(profile_of(document, "x"), tmp_path)))
    assert "\x1b" not in text
    assert "[bold]not markup[/bold]" in text


def test_labels_name_what_differs_between_cells(example: Profile) -> None:
    labels = summaries.cell_labels(example.cells)
    assert labels["tcp-both-cold-q128-s1024-c1-max"] == "tcp-both-cold"


def test_labels_fall_back_to_ids_where_they_would_be_the_same(example: Profile) -> None:
    twin = replace(example.cells[0], id="twin")
    assert summaries.cell_labels([example.cells[0], twin])["twin"] == "twin"


def test_cells_that_differ_only_in_temperature_stand_together(example: Profile) -> None:
    shuffled = example.cells[::-1]
    groups = summaries.by_temperature(shuffled)
    assert [[cell.temperature for cell in group] for group in groups] == [["hot", "cold"]] * 4


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


def test_a_rate_counts_as_reached_only_with_and_without_sidecar(example: Profile) -> None:
    cell = replace(example.cells[0], rate_rps=1000, achieved_rps=1000, baseline_achieved_rps=970)
    assert not bounds.rate_reached(cell)
    assert bounds.rate_reached(replace(cell, baseline_achieved_rps=990))


def test_starting_the_command_costs_no_heavy_import() -> None:
    code = "import sys, meshinsight.commands.show, meshinsight.commands.report; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"matplotlib", "jinja2", "jsonschema", "pandas", "numpy", "bcc"}.intersection(loaded)


def test_showing_a_run_works_without_root_bcc_and_heavy_libraries(tmp_path: Path) -> None:
    """What is stored with a run is enough; a profile alone is fitted first, with scikit-learn."""
    (tmp_path / "profile.json").write_bytes(EXAMPLE.read_bytes())
    shown(str(tmp_path), "--full")
    heavy = ["bcc", "pandas", "matplotlib", "scipy", "sklearn", "jinja2"]
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({heavy}))\nfrom pathlib import Path\n"
        f"from meshinsight.commands.show import show\nshow(Path({str(tmp_path)!r}), full=True)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Components of latency, http1-both" in result.stdout


@pytest.mark.parametrize(("output", "expected"), [("csv", "cpu_ebpf"), ("table", "Two HTTP/1.1 sidecars add ")])
def test_csv_and_the_screen_need_no_model(output: str, expected: str) -> None:
    blocked = "import sys; sys.modules.update(dict.fromkeys(['bcc', 'pandas', 'numpy', 'sklearn']))"
    code = f"{blocked}\nfrom pathlib import Path\nfrom meshinsight.commands.show import show\n"
    code += f"show(Path({str(EXAMPLE)!r}), output={output!r})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert expected in result.stdout


@pytest.mark.parametrize(("encoding", "micros"), [("ascii", b"p50, us"), ("cp1252", b"p50, \xb5s")])
def test_an_encoding_without_our_characters_is_no_defect(encoding: str, micros: bytes) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-m", "meshinsight", "show", str(EXAMPLE)]
    done = subprocess.run(command, capture_output=True, env=environment, check=True)
    assert micros in done.stdout
    assert b"?" not in done.stdout


FORTIO = {
    "RunType": "HTTP", "RequestedQPS": "max", "ActualQPS": 5000.0, "NumThreads": 1,
    "DurationHistogram": {"Count": 9, "Avg": 0.0002, "Percentiles": [{"Percentile": 50, "Value": 0.0002}]},
}  # fmt: skip


@pytest.mark.parametrize("output", ["table", "markdown", "html", "csv", "json"])
def test_what_a_load_generator_measured_is_shown_next_to_a_cell(output: str, tmp_path: Path) -> None:
    file = tmp_path / "fortio.json"
    file.write_text(json.dumps(FORTIO))
    assert "http1-both-hot-q128-s1024-c1-max" in shown(str(EXAMPLE), "--measured", str(file), "-o", output)
    only = shown(str(EXAMPLE), "--measured", str(file), "--cell", "http1-client-cold*", "-o", output)
    assert "http1-client-cold-q128-s1024-c1-max" in only


def test_a_file_of_no_load_generator_is_refused(tmp_path: Path) -> None:
    error = run_show(str(EXAMPLE), "--measured", str(EXAMPLE)).exception
    assert isinstance(error, UsageError)
    assert f"{EXAMPLE}: neither a result of fortio nor of Nighthawk" in str(error)
    assert "--full" in str(run_show(str(EXAMPLE), "--measured", str(EXAMPLE), "--full").exception)
