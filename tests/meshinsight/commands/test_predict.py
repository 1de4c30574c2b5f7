"""`meshinsight predict`: its output formats, what-if, and how it ends."""

import csv
import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from meshinsight.commands import predict
from meshinsight.models import load_model
from profiler.errors import UsageError

ROOT = Path(__file__).parents[3]
DATA = ROOT / "tests" / "data"
PROFILE = DATA / "example-profile.json"

GRAPH = """
format: meshinsight-graph
version: 1
name: two
services: [a, b]
calls: [{caller: a, callee: b}]
ingress: [{service: a, rate_rps: 100}]
"""
WHAT_IF = [("--set", "x->y.tls=none"), ("--set", "a->b.tls"), ("--drop-filter", "lua"), ("--topology", "x")]


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    file = tmp_path / "graph.yaml"
    file.write_text(GRAPH)
    return file


def run(*arguments: object, profile: Path = PROFILE) -> Result:
    app = typer.Typer()
    app.callback()(lambda: None)
    predict.register(app)
    return CliRunner().invoke(app, ["predict", str(profile), *map(str, arguments)])


def test_the_table_has_every_part(graph: Path) -> None:
    output = run(graph).output
    for text in ("p99", "By component", "By service", "By edge", "Critical path", "a->b", "Assumed", "parsing"):
        assert text in output


def test_json_has_the_whole_prediction(graph: Path) -> None:
    found = json.loads(run(graph, "-o", "json").output)
    assert found["format"] == "meshinsight-prediction"
    parts = sum(item["value"] for item in found["latency_by_component_ns"].values()) + found["hidden_ns"]
    assert parts == pytest.approx(found["latency"]["mean"]["overhead_ns"]["value"])


def test_csv_rows_of_components_add_up(graph: Path) -> None:
    rows = list(csv.DictReader(run(graph, "-o", "csv").output.splitlines()))
    cpu = [row for row in rows if row["scope"] == "graph" and row["quantity"] == "cpu"]
    whole, *parts = (float(row["overhead"]) for row in cpu)
    assert sum(parts) == pytest.approx(whole)


def test_markdown_has_tables(graph: Path) -> None:
    output = run(graph, "-o", "markdown").output
    assert output.startswith("## Predicted overhead of two")
    assert "|---|--:|" in output


def test_prices_give_money(graph: Path) -> None:
    found = json.loads(run(graph, "-o", "json", "--price-per-vcpu-hour", 0.05).output)
    assert found["money_per_month"]["cpu"] == pytest.approx(found["vcpu"]["value"] * 0.05 * 730)


def test_headline_figures_have_an_80_percent_interval_inside_the_95_percent_one(
    graph: Path, own_errors: Callable[[Mapping[str, float]], None]
) -> None:
    own_errors({"p50": 1.2, "p90": 1.3, "p99": 1.4, "cpu": 1.1})
    found = json.loads(run(graph, "-o", "json").output)
    for figure in (found["vcpu"], *(part["overhead_ns"] for part in found["latency"].values())):
        assert figure["low"] < figure["low80"] < figure["value"] < figure["high80"] < figure["high"]


@pytest.mark.parametrize("output", ["table", "markdown"])
def test_a_percentile_that_is_not_known_is_said_with_its_reason(
    output: str, graph: Path, own_errors: Callable[[Mapping[str, float]], None]
) -> None:
    own_errors({"p50": 1.2, "p90": 1.3, "p99": 4.0, "cpu": 1.1})
    text = run(graph, "-o", output).output
    assert "p99: not known within a factor of 2" in text
    (row,) = [line for line in text.splitlines() if line.strip(" |").startswith("p99") and ":" not in line]
    assert "not known" in row


def test_money_has_a_total_an_interval_and_a_unit(graph: Path) -> None:
    prices = ("--price-per-vcpu-hour", 0.05, "--price-per-gib-hour", 0.01, "--currency", "EUR")
    found = json.loads(run(graph, "-o", "json", *prices).output)
    money, (low, high) = found["money_per_month"], found["money_per_month_interval"]["total"]
    assert money["total"] == pytest.approx(money["cpu"] + money["memory"])
    assert high - low == pytest.approx((found["vcpu"]["high"] - found["vcpu"]["low"]) * 0.05 * 730)
    assert low <= money["total"] <= high
    assert found["currency"] == "EUR"
    table = run(graph, *prices).output
    row = next(line for line in table.splitlines() if line.startswith("total, EUR/month"))
    assert f"{money['total']:,.2f}" in row
    assert f"{low:,.2f} … {high:,.2f}" in row
    rows = list(csv.DictReader(run(graph, "-o", "csv", *prices).output.splitlines()))
    (total,) = (row for row in rows if row["quantity"] == "money_per_month_total")
    assert (float(total["overhead"]), total["unit"]) == (money["total"], "EUR/month")


def test_without_prices_there_is_no_money(graph: Path) -> None:
    found = json.loads(run(graph, "-o", "json").output)
    assert (found["money_per_month"], found["currency"]) == ({}, None)


def test_what_the_profile_lacks_is_told_with_its_command(graph: Path) -> None:
    graph.write_text(GRAPH.replace("callee: b", "callee: b, protocol: grpc"))
    error = run(graph).exception
    assert isinstance(error, UsageError)
    assert error.exit_code == 2
    assert "meshinsight profile --protocol grpc --topology both" in str(error)


def test_a_waypoint_that_the_profile_lacks_is_told_with_its_command(graph: Path) -> None:
    graph.write_text(GRAPH.replace("services: [a, b]", "services: [a, {name: b, sidecar: waypoint}]"))
    assert (
        "the profile lacks http1-waypoint-mtls; "
        "measure with: meshinsight profile --protocol http1 --topology waypoint --tls mtls"
    ) in str(run(graph).exception)


def test_what_the_graph_needs_can_be_planned_from_its_file_unless_it_was_changed(graph: Path) -> None:
    graph.write_text(GRAPH.replace("callee: b", "callee: b, protocol: grpc"))
    assert f"or all that the graph needs with: meshinsight profile --for {graph}" in str(run(graph).exception)
    assert "--for" not in str(run(graph, "--set", "a->b.tls=mtls").exception)


def test_a_command_for_mutual_tls_from_outside_asks_for_two_sidecars(graph: Path) -> None:
    graph.write_text(GRAPH.replace("rate_rps: 100", "rate_rps: 100, protocol: http2, tls: mtls"))
    error = str(run(graph).exception)
    assert "meshinsight profile --protocol http2 --topology both --tls mtls" in error


def test_what_cannot_be_measured_is_not_asked_for(graph: Path) -> None:
    document = json.loads(PROFILE.read_text())
    for cell in document["cells"]:
        cell["transport"] = "uds"
    (graph.parent / "profile.json").write_text(json.dumps(document))
    graph.write_text(GRAPH.replace("callee: b", "callee: b, protocol: grpc"))
    error = str(run(graph, "--transport", "uds", profile=graph.parent).exception)
    assert "the profile lacks grpc-both; grpc-both cannot be measured with envoy over uds" in error


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """Another run of the same machine, in which all took a tenth longer."""
    document = json.loads(PROFILE.read_text())
    document["run_id"] = "second"
    for cell in document["cells"]:
        latency = cell["latency"]
        latency["with_p50_ns"] += 0.1 * latency["overhead_p50_ns"]
        latency["overhead_p50_ns"] *= 1.1
    (tmp_path / "second.json").write_text(json.dumps(document))
    return tmp_path / "second.json"


def test_several_profiles_are_one_model(graph: Path, second: Path) -> None:
    alone, other = overhead(graph), overhead(graph, profile=second)
    assert alone < overhead(graph, "--profile", second) < other
    assert alone < overhead(graph, "--profile", PROFILE, profile=second) < other


def test_a_further_profile_gives_what_the_first_lacks(graph: Path, second: Path) -> None:
    document = json.loads(second.read_text())
    document["cells"] = [cell | {"protocol": "grpc", "application": "grpc"} for cell in document["cells"]]
    second.write_text(json.dumps(document))
    graph.write_text(GRAPH.replace("callee: b", "callee: b, protocol: grpc"))
    assert isinstance(run(graph).exception, UsageError)
    assert overhead(graph, "--profile", second) > 0.0


def test_profiles_of_two_machines_are_refused_by_what_differs(graph: Path, second: Path) -> None:
    second.write_text(second.read_text().replace('"kernel": "', '"kernel": "other-'))
    assert f"{PROFILE} and {second} differ in kernel (" in str(run(graph, "--profile", second).exception)


def test_the_same_profile_twice_and_models_are_not_joined(graph: Path, tmp_path: Path) -> None:
    assert f"{PROFILE}: is given twice" in str(run(graph, "--profile", PROFILE).exception)
    model = tmp_path / "stored.json"
    model.write_text(json.dumps(load_model(PROFILE).to_json()))
    assert f"{model}: is a model, which cannot be joined" in str(run(graph, "--profile", model).exception)


CALL = "calls: [{caller: a, callee: b}]"
MANY = "calls:\n" + "".join(f"  - {{caller: a, callee: b, name: c{number}, group: g}}\n" for number in range(10_000))


@pytest.mark.parametrize(
    ("before", "after", "doubt"),
    [
        (CALL, MANY, "they can carry about"),
        (CALL, CALL.replace("callee: b", "callee: b, calls_per_request: 10000, repeat: parallel"), "can carry about"),
        ("rate_rps: 100", "rate_rps: 1e9", "requests queue without end"),
        ("callee: b", "callee: b, request_bytes: 1TiB, response_bytes: 1TiB", "response_bytes outside what"),
    ],
    ids=["10,000 at the same time", "10,000 times", "a very high rate", "huge messages"],
)
def test_graphs_beyond_measure_are_answered_with_the_doubt(graph: Path, before: str, after: str, doubt: str) -> None:
    graph.write_text(GRAPH.replace(before, after))
    done = run(graph, "--samples", 0)
    assert done.exception is None
    assert doubt in " ".join(done.output.split())


@pytest.mark.parametrize(
    ("before", "after"),
    [("rate_rps: 100", "rate_rps: 0.000001"), ("callee: b", "callee: b, request_bytes: 0, response_bytes: 0")],
)
def test_graphs_with_very_little_are_answered_with_intervals(graph: Path, before: str, after: str) -> None:
    graph.write_text(GRAPH.replace(before, after))
    found = json.loads(run(graph, "-o", "json", "--samples", 0).output)["latency"]["mean"]["overhead_ns"]
    assert 0.0 < found["low"] < found["value"] < found["high"]


@pytest.mark.parametrize(
    "wrong", [("-o", "xml"), ("--samples", -1), ("--proxy", "x"), ("--price-per-vcpu-hour", -1), *WHAT_IF]
)
def test_wrong_options_are_refused(graph: Path, wrong: tuple[object, ...]) -> None:
    assert isinstance(run(graph, *wrong).exception, UsageError)


def overhead(*arguments: object, profile: Path = PROFILE) -> float:
    found = json.loads(run(*arguments, "-o", "json", "--samples", 0, profile=profile).output)
    return float(found["latency"]["mean"]["overhead_ns"]["value"])


def test_what_if_calls_were_tcp_or_had_no_sidecars(graph: Path) -> None:
    assert 0 < overhead(graph, "--set", "*.protocol=tcp") < overhead(graph)
    assert overhead(graph, "--topology", "none") == 0.0


def test_what_if_parsing_were_faster(graph: Path, tmp_path: Path) -> None:
    (tmp_path / "faster.yaml").write_text("parsing: {L: 0.5, l: 0.5}\n")
    (tmp_path / "same.yaml").write_text("parsing: 1\n")
    assert overhead(graph, "--speedup", tmp_path / "faster.yaml") < overhead(graph)
    assert overhead(graph, "--speedup", tmp_path / "same.yaml") == overhead(graph)


@pytest.mark.parametrize("text", ["nothing: {C: 1}", "parsing: {X: 1}", "parsing: {C: -1}", "- 1"])
def test_wrong_speed_ups_are_refused(graph: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "wrong.yaml").write_text(text)
    assert isinstance(run(graph, "--speedup", tmp_path / "wrong.yaml").exception, UsageError)


SCENARIOS = """
format: meshinsight-scenarios
version: 1
scenarios:
  - {name: bytes only, set: {"*.protocol": tcp}}
  - {name: "over | grpc", set: ["*.protocol=grpc"]}
  - {name: no sidecars, topology: none}
"""
PRICES = ("--price-per-vcpu-hour", 0.05, "--price-per-gib-hour", 0.01)


@pytest.fixture
def scenarios(tmp_path: Path) -> Path:
    file = tmp_path / "scenarios.yaml"
    file.write_text(SCENARIOS)
    return file


@pytest.mark.usefixtures("no_own_error")
def test_scenarios_stand_in_rows_below_the_graph_as_it_is(graph: Path, scenarios: Path) -> None:
    lines = run(graph, "--scenarios", scenarios, *PRICES, "--currency", "EUR").output.splitlines()
    head = next(index for index, line in enumerate(lines) if line.startswith("scenario"))
    assert " ".join(lines[head].split()) == "scenario mean ms p50 ms p90 ms p95 ms p99 ms vCPU MiB EUR/month"
    assert [line[:11].strip() for line in lines[head + 2 : head + 6]] == [
        "as it is",
        "bytes only",
        "over | grpc",
        "no sidecars",
    ]
    assert lines[head + 5].split()[2:7] == ["0.000"] * 5


def test_a_scenario_that_the_profile_lacks_says_what_to_measure_and_others_go_on(graph: Path, scenarios: Path) -> None:
    done = run(graph, "--scenarios", scenarios)
    assert done.exit_code == 0
    assert "over | grpc: the profile lacks grpc-" in done.output
    assert "meshinsight profile --protocol grpc" in done.output


def test_where_no_scenario_can_be_predicted_the_table_is_shown_and_the_request_was_wrong(
    graph: Path, scenarios: Path
) -> None:
    scenarios.write_text(SCENARIOS.replace("tcp", "grpc").replace("topology: none", 'set: ["*.protocol=http2"]'))
    done = run(graph, "--scenarios", scenarios)
    assert "as it is" in done.output
    assert isinstance(done.exception, UsageError)
    assert "no scenario could be predicted: the profile lacks grpc" in str(done.exception)


@pytest.mark.usefixtures("no_own_error")
def test_csv_of_scenarios_has_a_row_each(graph: Path, scenarios: Path) -> None:
    rows = list(csv.DictReader(run(graph, "--scenarios", scenarios, "-o", "csv", *PRICES).output.splitlines()))
    base, tcp, grpc, none = rows
    assert [row["scenario"] for row in rows] == ["as it is", "bytes only", "over | grpc", "no sidecars"]
    assert float(none["saved_vcpu"]) == float(base["vcpu"])
    assert float(none["saved_money_per_month"]) == pytest.approx(float(base["money_per_month"]))
    assert float(tcp["saved_latency_p99_ns"]) == pytest.approx(
        float(base["latency_p99_ns"]) - float(tcp["latency_p99_ns"])
    )
    assert grpc["vcpu"] == ""
    assert "measure with" in grpc["lacking"]


def test_json_of_scenarios_agrees_with_a_prediction_of_each(graph: Path, scenarios: Path) -> None:
    found = json.loads(run(graph, "--scenarios", scenarios, "-o", "json").output)
    assert found["format"] == "meshinsight-comparison"
    base, tcp, grpc, _ = found["scenarios"]
    for row, options in ((base, ()), (tcp, ("--set", "*.protocol=tcp"))):
        alone = json.loads(run(graph, "-o", "json", *options).output)
        assert {key: row[key] for key in ("latency", "vcpu", "memory_bytes")} == {
            key: alone[key] for key in ("latency", "vcpu", "memory_bytes")
        }
    assert "saving" not in base
    assert grpc["lacking"]


def test_markdown_of_scenarios_keeps_its_columns(graph: Path, scenarios: Path) -> None:
    lines = run(graph, "--scenarios", scenarios, "-o", "markdown").output.splitlines()
    head = lines.index("| scenario | mean ms | p50 ms | p90 ms | p95 ms | p99 ms | vCPU | MiB |")
    for line in lines[head : head + 6]:
        assert line.replace("\\|", "").count("|") == 9
    assert "over \\| grpc" in lines[head + 4]


def test_options_hold_for_all_scenarios(graph: Path, scenarios: Path) -> None:
    scenarios.write_text('format: meshinsight-scenarios\nversion: 1\nscenarios: [{name: x, set: ["*.tls=none"]}]')
    found = json.loads(
        run(graph, "--scenarios", scenarios, "--set", "*.protocol=tcp", "--samples", 0, "-o", "json").output
    )
    assert [row["latency"]["mean"]["overhead_ns"]["value"] for row in found["scenarios"]] == [
        overhead(graph, "--set", "*.protocol=tcp")
    ] * 2


def test_a_stored_model_needs_no_heavy_import(graph: Path, tmp_path: Path) -> None:
    (tmp_path / "profile.json").write_bytes(PROFILE.read_bytes())
    code = (
        "import sys; from meshinsight import cli; status = cli.run(); "
        "heavy = {'jsonschema', 'matplotlib', 'pandas', 'pyarrow', 'scipy', 'sklearn', 'jinja2', 'bcc'}; "
        "print('heavy:', *heavy.intersection(sys.modules), file=sys.stderr); sys.exit(status)"
    )
    command = [sys.executable, "-c", code, "predict", str(tmp_path), str(graph)]
    for _ in range(2):  # the first one fits and stores
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == "heavy:\n"


def test_columns_line_up_whatever_the_script(graph: Path) -> None:
    """A wide character takes two columns, so the lines of a table that differ in nothing else end in the same one."""
    graph.write_text(GRAPH.replace("services: [a, b]", "services: [a, 日本]").replace("callee: b", "callee: 日本"))
    lines = run(graph).output.splitlines()
    head = next(index for index, line in enumerate(lines) if line.startswith("edge "))
    wide = next(line for line in lines[head:] if line.startswith("a->日本"))
    assert len(wide) + 2 == len(lines[head])


def hostile(name: str, *arguments: object) -> Result:
    return run(DATA / "hostile" / name, *arguments)


def overloaded(*arguments: object) -> Result:
    return run(DATA / "field" / "predict-overloaded-sidecar.yaml", *arguments)


@pytest.mark.parametrize("output", ["table", "json", "csv", "markdown"])
def test_calls_that_multiply_without_bound_print_nothing(output: str) -> None:
    found = hostile("graph-overflow.yaml", "-o", output)
    assert isinstance(found.exception, UsageError)
    assert found.output == ""


def test_the_command_that_is_suggested_is_quoted() -> None:
    error = hostile("graph-shell-in-filter.json").exception
    assert "--filter 'x; touch pwned #'" in str(error)
    words = shlex.split(str(error).split("measure with: ")[1])
    assert words[words.index("--filter") + 1] == "x; touch pwned #"


def test_no_cell_of_csv_is_a_formula(graph: Path) -> None:
    formula = "=cmd|' /C calc'!A0"
    text = GRAPH.replace("[a, b]", f'["{formula}", b]').replace("caller: a", f'caller: "{formula}"')
    graph.write_text(text.replace("service: a", f'service: "{formula}"'))
    rows = list(csv.reader(run(graph, "-o", "csv").output.splitlines()))
    names = [row[1] for row in rows[1:]]
    assert "'=cmd|' /C calc'!A0" in names
    assert not any(name[:1] in set("=+-@\t\r") for name in names)


def test_markdown_cells_hold_no_bars(graph: Path) -> None:
    graph.write_text(GRAPH.replace("name: two", 'name: "a | b\\e[31m"'))
    heading = run(graph, "-o", "markdown").output.splitlines()[0]
    assert heading.endswith(r"a \| b \[31m")


def test_overloaded_sidecars_print_no_latency_but_the_rate_they_carry() -> None:
    output = overloaded().output
    mean = next(line for line in output.splitlines() if line.startswith("mean"))
    assert mean.split() == ["mean", "0.200", "–", "–", "–", "–"]
    assert "they can carry about" in output


def test_overloaded_sidecars_have_null_in_json_and_nothing_in_csv() -> None:
    found = json.loads(overloaded("-o", "json").output)
    nothing = {"with_ns": None, "overhead_ns": None, "not_known": None}
    assert found["latency"]["mean"] == {"without_ns": 200000.0, **nothing}
    assert 0 < found["carried_rps"] < 20000
    row = next(row for row in csv.DictReader(overloaded("-o", "csv").output.splitlines()))
    assert (row["quantity"], row["with"], row["overhead"]) == ("latency_mean", "", "")


@pytest.mark.parametrize("output", ["table", "json", "csv", "markdown"])
def test_scenarios_with_an_overloaded_one_are_compared(tmp_path: Path, output: str) -> None:
    scenarios = tmp_path / "scenarios.yaml"
    scenarios.write_text(
        "format: meshinsight-scenarios\nversion: 1\nscenarios: [{name: less, load: 0.1}, {name: more, load: 2}]\n"
    )
    found = overloaded("--scenarios", scenarios, "-o", output)
    assert found.exit_code == 0
    assert "inf" not in found.output.lower().replace("information", "")
    assert "nan" not in found.output.lower()


@pytest.fixture
def closed(graph: Path) -> Path:
    graph.write_text(GRAPH.replace("rate_rps: 100", "connections: 4"))
    return graph


def test_a_closed_loop_shows_its_rates_without_and_with_sidecars(closed: Path) -> None:
    assert "Closed loop, requests/s" in run(closed).output
    loop = json.loads(run(closed, "-o", "json").output)["closed_loop"]
    assert loop["with_rps"] < loop["without_rps"] == pytest.approx(4 / 2e-3)
    rows = [row for row in csv.DictReader(run(closed, "-o", "csv").output.splitlines()) if row["quantity"] == "rate"]
    assert [(row["without"], row["with"]) for row in rows] == [(str(loop["without_rps"]), str(loop["with_rps"]))]


def test_each_scenario_of_a_closed_loop_has_its_rate(closed: Path, scenarios: Path) -> None:
    assert "requests/s" in run(closed, "--scenarios", scenarios).output
    found = json.loads(run(closed, "--scenarios", scenarios, "-o", "json").output)["scenarios"]
    loops = {one["name"]: one.get("closed_loop") for one in found}
    assert loops["as it is"]["with_rps"] < loops["no sidecars"]["with_rps"]


def test_open_load_shows_no_closed_loop(graph: Path) -> None:
    assert "Closed loop" not in run(graph).output
    assert json.loads(run(graph, "-o", "json").output)["closed_loop"] is None
