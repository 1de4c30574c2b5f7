"""The model's own error: how it is learnt, what it adds to intervals, and what it leaves out."""

import json
import math
from collections.abc import Callable, Mapping

import numpy as np
import pytest

from predictor.graph.types import Call, CallGraph, Ingress, Service
from predictor.hop_costs.options import Options
from predictor.predict import own_error
from predictor.predict.own_error import FIGURES, LEVELS, fewest, key, learnt, quantile, score, widened
from predictor.predict.predict import predict
from predictor.predict.types import Estimate, Prediction, estimate, headline
from tests.predictor.batch.random_graphs import model

GRAPH = CallGraph(
    (Service("a"), Service("b")),
    (Call("a->b", "a", "b"),),
    (Ingress("a", 5.0),),
    name="x",
)
MODEL = model()
Known = Callable[[Mapping[str, float]], None]


@pytest.mark.parametrize(
    ("count", "level", "rank"), [(18, 0.95, None), (19, 0.95, 19), (39, 0.95, 38), (20, 0.8, 17), (3, 0.8, None)]
)
def test_the_quantile_is_corrected_for_the_number_of_graphs(count: int, level: float, rank: int | None) -> None:
    assert quantile(list(range(count, 0, -1)), level) == rank
    assert (count >= fewest(level)) == (rank is not None)


def test_a_further_graph_is_inside_as_often_as_promised() -> None:
    random = np.random.default_rng(3)
    inside = dict.fromkeys(LEVELS, 0)
    for _ in range(2000):
        errors, doubts = random.standard_t(3, 21) * 0.1, random.uniform(0.01, 0.2, 21)
        scores = [
            {level: score(1.0, 1.0 - doubt, 1.0 + doubt, math.exp(error), level) for level in LEVELS}
            for error, doubt in zip(errors, doubts, strict=True)
        ]
        for level in LEVELS:
            least = quantile([one[level] for one in scores[:-1]], level)
            assert least is not None
            inside[level] += scores[-1][level] <= least
    assert inside[0.95] / 2000 == pytest.approx(20 / 21, abs=0.015)
    assert inside[0.8] / 2000 >= 0.79


@pytest.mark.parametrize("measured", [30.0, 95.0, 100.0, 108.0, 140.0, 400.0])
def test_a_score_is_the_least_error_that_holds_what_was_measured(measured: float) -> None:
    def holds(error: float) -> bool:
        low, high = widened(np.array([100.0]), np.array([90.0]), np.array([110.0]), error)
        return bool(low[0] <= measured <= high[0])

    least = score(100.0, 90.0, 110.0, measured)
    assert holds(least + 1e-9)
    assert least == 0.0 or not holds(least - 1e-6)


def test_an_error_is_a_factor_either_way_and_adds_up_in_squares() -> None:
    values = np.array([100.0, -100.0, 0.0])
    low, high = widened(values, values, values, math.log(1.25))
    assert low == pytest.approx([80.0, -125.0, 0.0])
    assert high == pytest.approx([125.0, -80.0, 0.0])
    low, high = widened(np.array([100.0]), np.array([85.0]), np.array([160.0]), math.log(1.25))
    assert (low[0], high[0]) == pytest.approx((75.0, 165.0))


def test_a_headline_holds_its_narrower_interval_and_is_never_below_zero(own_errors: Known) -> None:
    own_errors({"p50": 1.5})
    found = headline("mean", Estimate(100.0, 1.0, 130.0))
    assert 0.0 <= found.low < found.low80 < 100.0 < found.high80 < found.high
    assert headline("mean", Estimate(100.0, 1.0, 130.0), intervals=False).interval == (1.0, 130.0)


def test_all_figures_of_a_prediction_have_it(own_errors: Known) -> None:
    own_errors(dict.fromkeys(FIGURES, 1.0))
    before = predict(GRAPH, MODEL)
    own_errors({"p50": 1.5, "p90": 1.6, "p99": 1.7, "cpu": 1.4})
    after = predict(GRAPH, MODEL)

    def wider(name: str, one: Callable[[Prediction], Estimate], factor: float) -> None:
        assert one(after).value == one(before).value, name
        assert one(after).high - one(after).value == pytest.approx(
            math.hypot(one(before).high - one(before).value, (factor - 1.0) * one(after).value)
        ), name

    wider("mean", lambda found: found.latency["mean"].overhead_ns, 1.5)
    wider("p50", lambda found: found.latency["p50"].overhead_ns, 1.5)
    wider("p90", lambda found: found.latency["p90"].overhead_ns, 1.6)
    wider("p99", lambda found: found.latency["p99"].overhead_ns, 1.7)
    wider("cpu", lambda found: found.vcpu, 1.4)
    wider("edge", lambda found: found.edges[1].latency_ns, 1.5)
    wider("service", lambda found: found.services[0].vcpu, 1.4)
    wider("component", lambda found: found.vcpu_by_component["parsing"], 1.4)


def test_the_draws_have_nothing_of_it(own_errors: Known) -> None:
    own_errors(dict.fromkeys(FIGURES, 1.0))
    before = predict(GRAPH, MODEL, Options(samples=0))
    own_errors(dict.fromkeys(FIGURES, 2.0))
    after = predict(GRAPH, MODEL, Options(samples=0))
    assert estimate(after.vcpu.value, after.draws["cpu"], least=0.0).interval == pytest.approx(before.vcpu.interval)


@pytest.mark.parametrize(
    ("factors", "reason"),
    [
        ({"p50": 1.1, "p90": 1.1, "cpu": 1.1}, "p99: not known: too few graphs"),
        ({"p50": 1.1, "p90": 1.1, "p99": 5.0, "cpu": 1.1}, "p99: not known within a factor of 2"),
    ],
)
def test_a_percentile_that_is_not_known_is_not_shown(
    factors: Mapping[str, float], reason: str, own_errors: Known
) -> None:
    own_errors(factors)
    found = predict(GRAPH, MODEL)
    assert [text for text in found.warnings if text.startswith(reason)]
    p99 = found.latency["p99"]
    assert (p99.shown_overhead_ns, p99.shown_with_ns, p99.overhead_share) == (None, None, None)
    assert p99.document()["not_known"] == p99.not_known


def test_what_is_shipped_follows_from_the_graphs_that_it_names() -> None:
    shipped = json.loads(own_error.FILE.read_text())
    scores: dict[str, dict[float, list[float]]] = {}
    for graph in shipped["graphs"].values():
        for figure, (value, low, high, measured) in graph.items():
            for level in LEVELS:
                scores.setdefault(figure, {}).setdefault(level, []).append(score(value, low, high, measured, level))
    for figure, found in shipped["figures"].items():
        again = learnt({figure: scores[figure]})[figure]
        assert found == pytest.approx(again, rel=1e-3)
        assert found[key(0.8)] <= found[key(0.95)]
    assert {"p50", "cpu"} <= set(shipped["figures"])
    assert not {f"seed-{number}" for number in range(101, 121)} & set(shipped["graphs"])


def test_the_error_of_a_higher_level_is_no_smaller() -> None:
    found = learnt({"cpu": {0.95: [0.1] * 19, 0.8: [0.2] * 19}})["cpu"]
    assert (found[key(0.95)], found[key(0.8)]) == (0.2, 0.2)


def test_too_few_graphs_are_refused() -> None:
    with pytest.raises(ValueError, match="cpu: 18 graphs, at least 19"):
        learnt({"cpu": {0.95: [0.1] * 18}})
