"""All calls of a level at once give what call by call gives."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from predictor.graph.plan import execution_plan
from predictor.graph.types import Call, CallGraph, Ingress, Service
from predictor.predict import many_calls
from predictor.predict.latency import Answer, Hops
from predictor.predict.many_calls import answering
from tests.predictor.batch.random_graphs import call_graph, call_graphs

GRAPHS = call_graphs(11, 120)


def hops_of(graph: CallGraph, rng: np.random.Generator) -> Hops:
    """Hops of all edges that vary, some with waits."""
    ids = [*(entry.id for entry in graph.ingress), *(call.id for call in graph.calls)]
    means = {name: float(rng.uniform(1e4, 1e6)) for name in ids}
    variances = {name: (rng.uniform(0.0, 2.0) * mean) ** 2 for name, mean in means.items()}
    waits = {name: (chance, 1e5, 1e10, chance * 2e10) for name in ids if (chance := rng.choice([0.0, 0.01, 0.6]))}
    return Hops(means, variances, waits, {name: float(rng.random()) for name in ids})


def answers(graph: CallGraph, hops: Hops, many: float, monkeypatch: pytest.MonkeyPatch) -> Answer:
    monkeypatch.setattr(many_calls, "_MANY", many)
    names = [service.name for service in graph.services]
    variances = {name: 1e11 * (number % 3) for number, name in enumerate(names)}
    means = {service.name: service.service_time.mean_ns for service in graph.services}
    return answering(execution_plan(graph), graph.ingress, means, variances)(hops)


def approx(figures: Any) -> Any:
    return pytest.approx(figures, rel=1e-9, abs=1e-9)


def test_both_ways_give_the_same_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    delayed = 0
    for graph in GRAPHS:
        hops = hops_of(graph, rng)
        at_once, one_by_one = (answers(graph, hops, many, monkeypatch) for many in (0, 1e9))
        assert at_once.mean_ns == approx(one_by_one.mean_ns)
        assert at_once.delay_ns == approx(one_by_one.delay_ns)
        assert at_once.edge_weights == approx(one_by_one.edge_weights)
        assert at_once.service_weights == approx(one_by_one.service_weights)
        assert at_once.response_ns == approx(one_by_one.response_ns)
        assert at_once.path == one_by_one.path
        delayed += at_once.delay_ns > 0.0
    assert delayed > 10


def test_a_weight_times_its_time_adds_up_to_the_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = call_graph(random.Random(2), "x")  # noqa: S311 (the same graph each time)
    hops = hops_of(graph, np.random.default_rng(4))
    found = answers(graph, hops, 0, monkeypatch)
    own = {service.name: service.service_time.mean_ns for service in graph.services}
    parts = [own[name] * weight for name, weight in found.service_weights.items()]
    parts += [hops.means[name] * weight for name, weight in found.edge_weights.items()]
    assert sum(parts) == pytest.approx(found.mean_ns)


def graph_of(pairs: Sequence[tuple[str, str]]) -> CallGraph:
    names = dict.fromkeys(name for pair in pairs for name in pair)
    calls = tuple(Call(f"{caller}->{callee}", caller, callee) for caller, callee in pairs)
    return CallGraph(tuple(Service(name) for name in names), calls, (Ingress("s0", 1.0),), "x")


def test_only_wide_graphs_are_answered_by_level() -> None:
    wide = graph_of([("s0", f"s{number}") for number in range(1, 100)])
    deep = graph_of([(f"s{number - 1}", f"s{number}") for number in range(1, 100)])
    found = [answering(execution_plan(graph), graph.ingress, {}, {}) for graph in (wide, deep)]
    by_level = [getattr(one, "__self__", None) for one in found]
    assert [type(one) for one in by_level] == [many_calls._ManyCalls, type(None)]
