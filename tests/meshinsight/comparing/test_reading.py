"""Models, predictions and validations compared: what changed is found, and what cannot be compared is one line."""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from meshinsight.commands import compare
from meshinsight.comparing.models import documents_of
from meshinsight.comparing.predictions import GRAPH
from meshinsight.comparing.reading import common_kind, compare_documents, kind_of
from meshinsight.reports.subjects.prediction import Prices, document
from meshinsight.reports.subjects.validation import document as validation_document
from predictor.graph.reader import load_graph
from predictor.hop_costs.options import Options
from predictor.models.fitting import fit_profile
from predictor.models.types import FittedModel
from predictor.predict.predict import predict
from predictor.predict.types import Estimate
from predictor.validation.types import Score, Variant
from profiler.comparison.compare import Compared, Comparison
from profiler.comparison.figures import CPU, LATENCY, P50, PER_REQUEST, TOTAL, Key
from profiler.errors import UsageError
from profiler.profile.document import load_profile
from tests.meshinsight.reports.validations import validation
from tests.predictor.models.profiles import HTTP, LOADS
from tests.predictor.models.profiles import cell as known_cell
from tests.predictor.models.profiles import profile as known_profile

DATA = Path(__file__).parents[2] / "data"
GRAPH_TEXT = """
format: meshinsight-graph
version: 1
name: shop
services: [a, b]
calls: [{caller: a, callee: b}]
ingress: [{service: a, rate_rps: 100}]
"""
KINDS = ("model", "prediction", "validation")


@cache
def model() -> FittedModel:
    return fit_profile(load_profile(DATA / "example-profile.json"))


def dearer(factor: float) -> FittedModel:
    """The model with configurations that cost so many times as much, known ten times as well."""

    def certain(cost: Any) -> Any:
        return cost and replace(cost, draws=cost.coefficients + 0.1 * (cost.draws - cost.coefficients))

    items = [
        replace(each, latency=certain(each.latency), cpu=certain(each.cpu)).times(factor)
        for each in model().configurations
    ]
    return replace(model(), configurations=tuple(items), machine_error=0.0)


def values(kind: str, factor: float, folder: Path) -> Any:
    """A document of a kind in which all costs are multiplied by a factor."""
    if kind == "model":
        return dearer(factor).to_json()
    if kind == "validation":
        return validation_document(_validation(factor))
    file = folder / "graph.yaml"
    file.write_text(GRAPH_TEXT)
    found = document(predict(load_graph(file), dearer(1.0), Options(samples=200)), Prices())
    return _scaled(found, factor)


def _scaled(found: Any, factor: float) -> Any:
    """Costs of a prediction times a factor, with intervals of ±1 %."""
    if isinstance(found, Mapping):
        if {"value", "low", "high"} <= set(found):
            value = found["value"] * factor
            return {**found, "value": value, "low": value - 0.01 * abs(value), "high": value + 0.01 * abs(value)}
        return {key: _scaled(value, factor) for key, value in found.items()}
    return [_scaled(each, factor) for each in found] if isinstance(found, list | tuple) else found


def _validation(factor: float) -> Any:
    found = validation("shop")
    first, *others = found.variants
    steady = tuple(replace(anchor, rounds=anchor.rounds * 4) for anchor in found.anchors)

    def score(one: Score) -> Score:
        value = one.measured.value * factor
        return replace(one, measured=Estimate(value, 0.99 * value, 1.01 * value))

    def scaled(variant: Variant) -> Variant:
        return replace(
            variant,
            latency={name: score(one) for name, one in variant.latency.items()},
            latency_by_service={name: score(one) for name, one in variant.latency_by_service.items()},
            cpu=score(variant.cpu),
            cpu_by_service={name: score(one) for name, one in variant.cpu_by_service.items()},
            cpu_by_component={name: score(one) for name, one in variant.cpu_by_component.items()},
        )

    return replace(found, variants=(scaled(first), *map(scaled, others)), anchors=steady)


@pytest.fixture
def files(tmp_path: Path) -> dict[tuple[str, float], Path]:
    """Documents of each kind, as they are and at 1.5 times the cost."""
    made = {}
    for kind in KINDS:
        for factor in (1.0, 1.5):
            file = made[kind, factor] = tmp_path / f"{kind}-{factor}.json"
            file.write_text(json.dumps(values(kind, factor, tmp_path)))
    return made


Files = dict[tuple[str, float], Path]


def compared(files: Files, kind: str, *factors: float, pattern: str | None = None) -> Comparison:
    ((_, found),) = compare_documents(kind, [files[kind, factor] for factor in factors], 0.02, pattern)
    return found


def figures(found: Comparison, cell: str) -> Mapping[Key, Compared]:
    return next(each.figures for each in found.cells if each.id == cell)


@pytest.mark.parametrize("kind", KINDS)
def test_a_document_is_the_same_as_itself(files: Files, kind: str) -> None:
    found = compared(files, kind, 1.0, 1.0)
    assert not [entry for _, entry in found.figures() if entry.decided or entry.difference.value]
    assert found.changes == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_costs_more_is_worse_and_what_costs_less_is_better(files: Files, kind: str) -> None:
    for factors, verdict in (((1.0, 1.5), "worse"), ((1.5, 1.0), "better")):
        found = compared(files, kind, *factors)
        totals = [entry for _, entry in found.figures() if entry.key.component == TOTAL]
        assert {entry.verdict for entry in totals} == {verdict}
        costs = {
            entry.verdict for _, entry in found.figures() if entry.old > 0.0
        }  # what is unexplained can be negative
        assert costs <= {verdict, "same", "inconclusive", "unknown"}


def test_models_have_a_mean_over_configurations_with_its_ratio(files: Files) -> None:
    found = compared(files, "model", 1.0, 1.5)
    assert [mean.ratio for mean in found.means] == pytest.approx([1.5, 1.5])
    entry = found.cells[0].figures[Key(LATENCY, TOTAL, P50)]
    base = model().configurations[0]
    assert found.cells[0].id == base.name
    assert entry.new == pytest.approx(1.5 * entry.old)
    assert Key(CPU, TOTAL, PER_REQUEST) in found.cells[0].figures


def test_models_of_several_sizes_are_compared_with_the_largest_that_both_have() -> None:
    """20 µs of ipc and 1 ns per request byte in one, 3 ns in the other, which had smaller requests."""
    costlier = {**HTTP, "ipc": (20e3, 3.0, 2.0, 0.0, 0.0)}
    old = fit_profile(known_profile([known_cell(HTTP, load) for load in LOADS]))
    smaller = [(min(load[0], 3000), *load[1:]) for load in LOADS]
    new = fit_profile(known_profile([known_cell(costlier, load) for load in dict.fromkeys(smaller)]))
    one, two = (document.figures for document in documents_of(old, new))
    key = Key(LATENCY, "ipc", P50)
    at = {name: (one[name][key].value, two[name][key].value) for name in one if name in two}
    assert at["http1-both-hot"] == pytest.approx((20e3, 20e3), rel=0.01)
    assert at["http1-both-hot request_bytes 3000"] == pytest.approx((23e3, 29e3), rel=0.01)
    assert at["http1-both-hot response_bytes 8000"] == pytest.approx((36e3, 36e3), rel=0.01)


def test_configurations_measured_at_other_sizes_are_not_compared(files: Files) -> None:
    found = json.loads(files["model", 1.5].read_text())
    first = found["configurations"][0]
    first["ranges"]["request_bytes"] = [1e6, 1e6]
    files["model", 1.5].write_text(json.dumps(found))
    comparison = compared(files, "model", 1.0, 1.5)
    name = model().configurations[0].name
    assert name not in [cell.id for cell in comparison.cells]
    assert [each for each in comparison.only_new if each.startswith(f"{name} request_bytes 1e+06")]
    assert [each for each in comparison.only_old if each.startswith(f"{name} request_bytes ")]


def test_a_prediction_is_compared_as_a_whole_by_service_and_by_call(files: Files) -> None:
    found = compared(files, "prediction", 1.0, 1.5)
    assert [cell.id for cell in found.cells] == [
        GRAPH, "service a", "service b", "call ingress->a", "call a->b",
    ]  # fmt: skip
    mean = figures(found, GRAPH)[Key(LATENCY, TOTAL, "mean")]
    assert mean.effect == pytest.approx(0.5)
    parts = [
        entry for key, entry in figures(found, GRAPH).items() if key.statistic == "mean" and key.component != TOTAL
    ]
    assert parts
    service = figures(found, "service a")
    assert {entry.verdict for key, entry in service.items() if key.component != TOTAL} == {"unknown"}


def test_a_validation_is_compared_by_what_was_measured(files: Files) -> None:
    found = compared(files, "validation", 1.0, 1.5)
    assert [cell.id for cell in found.cells] == [GRAPH, "service a", "what-if plain"]
    entry = figures(found, GRAPH)[Key(LATENCY, TOTAL, P50)]
    assert (entry.old, entry.new) == pytest.approx((150e3, 225e3))
    assert Key(CPU, "network", "vCPU") in figures(found, GRAPH)


def test_the_drift_of_a_validation_is_in_its_intervals(files: Files) -> None:
    steady = figures(compared(files, "validation", 1.0, 1.5), GRAPH)[Key(LATENCY, TOTAL, P50)].difference.half
    for factor in (1.0, 1.5):
        found = json.loads(files["validation", factor].read_text())
        found["anchor"]["rounds_ns"] = [200e3, 260e3, 220e3, 280e3]
        files["validation", factor].write_text(json.dumps(found))
    drifted = figures(compared(files, "validation", 1.0, 1.5), GRAPH)[Key(LATENCY, TOTAL, P50)].difference.half
    assert steady is not None
    assert drifted is not None
    assert drifted > 5 * steady


def test_figures_that_one_prediction_does_not_know_are_left_out(files: Files) -> None:
    found = json.loads(files["prediction", 1.0].read_text())
    found["latency"]["p50"]["overhead_ns"] = None
    files["prediction", 1.0].write_text(json.dumps(found))
    keys = figures(compared(files, "prediction", 1.0, 1.5), GRAPH)
    assert Key(LATENCY, TOTAL, "p50") not in keys
    assert Key(LATENCY, TOTAL, "mean") in keys


def test_parts_are_chosen_by_name(files: Files) -> None:
    assert [cell.id for cell in compared(files, "prediction", 1.0, 1.5, pattern="service*").cells] == [
        "service a", "service b",
    ]  # fmt: skip
    with pytest.raises(UsageError, match="--cell x: no name matches; there are whole graph, service a"):
        compared(files, "prediction", 1.0, 1.5, pattern="x")


def test_kinds_are_told_by_the_format(files: Files, tmp_path: Path) -> None:
    assert [kind_of(files[kind, 1.0]) for kind in KINDS] == list(KINDS)
    assert kind_of(tmp_path) == "profile"
    with pytest.raises(UsageError, match=r"model-1.0.json is a model and .*prediction-1.0.json is a prediction"):
        common_kind([files["model", 1.0], files["prediction", 1.0]])
    (tmp_path / "x").write_text('{"format": "meshinsight-graph"}')
    with pytest.raises(UsageError, match="is a document of format meshinsight-graph; give profiles"):
        kind_of(tmp_path / "x")


def run(*arguments: object, status: int = 0) -> str:
    app = typer.Typer()
    app.callback()(lambda: None)
    compare.register(app)
    done = CliRunner().invoke(app, ["compare", *map(str, arguments)])
    if status:
        assert isinstance(done.exception, UsageError)
        assert done.exception.exit_code == status
        assert "\n" not in str(done.exception)
        return str(done.exception)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("output", ["table", "json", "csv", "markdown", "junit", "html"])
def test_every_kind_has_every_format(files: Files, kind: str, output: str) -> None:
    text = run(files[kind, 1.0], files[kind, 1.5], "-o", output)
    assert "worse" in text
    if output == "table":
        lines = text.partition("\n\nIntervals")[0].partition("\n\nMeans over")[0].splitlines()
        assert max(map(len, lines[1:])) <= 130
    if output == "json":
        found = json.loads(text)
        assert (found["kind"], found["units"]["cpu"]) == (kind, "ns" if kind == "model" else "vCPU")
    if output == "csv":
        units = {(row["currency"], row["unit"]) for row in csv.DictReader(io.StringIO(text))}
        assert units - {("latency", "overhead"), ("cpu", "overhead")} == {
            ("latency", "ns"), ("cpu", "ns" if kind == "model" else "vCPU"),
        }  # fmt: skip
    if output == "html":
        assert text.count('<svg role="img"') >= 2


def test_more_documents_are_each_compared_with_the_first(files: Files) -> None:
    first, second = files["prediction", 1.0], files["prediction", 1.5]
    found = json.loads(run(first, second, first, "-o", "json"))
    assert [each["new"] for each in found["comparisons"]] == [str(second), str(first)]


def test_other_graphs_machines_and_rates_are_refused_without_force(files: Files, tmp_path: Path) -> None:
    for kind, change, named in (
        ("prediction", {"graph": "other"}, "graph: shop → other"),
        ("validation", {"graph": "other"}, "graph: shop → other"),
        ("validation", {"rate_rps": 99.0}, "requests/s: 50.0 → 99.0"),
        ("model", {"cpu_model": "Other"}, "Other"),
    ):
        other = tmp_path / "other.json"
        other.write_text(json.dumps(json.loads(files[kind, 1.5].read_text()) | change))
        message = run(files[kind, 1.0], other, status=2)
        assert f"{files[kind, 1.0]} and {other} cannot be compared: " in message
        assert named in message
        assert f"! {named}" in run(files[kind, 1.0], other, "--force") or kind == "model"


def test_documents_with_nothing_in_common_name_both_sides(files: Files, tmp_path: Path) -> None:
    found = json.loads(files["model", 1.0].read_text())
    for item in found["configurations"]:
        item["application"] = "another"
    other = tmp_path / "other.json"
    other.write_text(json.dumps(found))
    message = run(files["model", 1.0], other, status=2)
    assert f"{files['model', 1.0]} and {other}: they have nothing in common: the old one has " in message
    assert "another" in message


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "text", ["", "[]", '{"format": "meshinsight-KIND"}', '{"format": "meshinsight-KIND", "version": 99}']
)
def test_damaged_documents_are_one_line(files: Files, tmp_path: Path, kind: str, text: str) -> None:
    file = tmp_path / "damaged.json"
    file.write_text(text.replace("KIND", kind))
    assert "damaged.json" in run(files[kind, 1.0], file, status=2)


def test_a_missing_field_is_named(files: Files) -> None:
    for kind, field in (("prediction", "vcpu"), ("validation", "cpu"), ("model", "configurations")):
        found = json.loads(files[kind, 1.5].read_text())
        del found[field]
        files[kind, 1.5].write_text(json.dumps(found))
        assert field in run(files[kind, 1.0], files[kind, 1.5], status=2)
