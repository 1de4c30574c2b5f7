"""Order, rates and stages: against hand-computed graphs, and properties that hold for every graph."""

from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given

from predictor.graph.checks import check_graph
from predictor.graph.plan import (
    call_rates,
    edge_rates,
    execution_plan,
    met_rates,
    request_rates,
    sidecar_modes,
    topological_order,
)
from predictor.graph.reader import parse_graph
from predictor.graph.types import Call, CallGraph, Ingress, Service, Side, Sidecar
from predictor.graph.writer import graph_text
from profiler.errors import UsageError
from tests.counting import function_calls
from tests.predictor.graph.graphs import call_graphs

DIAMOND = CallGraph(
    services=tuple(map(Service, "abcd")),
    calls=(
        Call("a->b", "a", "b", calls_per_request=2.0, stage=0),
        Call("a->c", "a", "c", calls_per_request=0.5, stage=0),
        Call("b->d", "b", "d", calls_per_request=3.0),
        Call("c->d", "c", "d", asynchronous=True),
    ),
    ingress=(Ingress("a", 10.0), Ingress("c", 1.0)),
)


def test_rates_multiply_along_every_way() -> None:
    assert request_rates(DIAMOND) == {"a": 10.0, "b": 20.0, "c": 6.0, "d": 66.0}
    assert call_rates(DIAMOND) == {"a->b": 20.0, "a->c": 5.0, "b->d": 60.0, "c->d": 6.0}


def test_stages_hold_what_runs_together_and_asynchronous_calls_stand_beside() -> None:
    plan = execution_plan(DIAMOND)
    assert [[call.id for call in stage.calls] for stage in plan.handlings["a"].stages] == [["a->b", "a->c"]]
    assert plan.handlings["c"].stages == ()
    assert [call.id for call in plan.handlings["c"].background] == ["c->d"]


def test_an_http_sidecar_passes_tcp_calls_as_tcp_and_the_outside_has_none() -> None:
    graph = replace(
        DIAMOND,
        services=(Service("a", sidecar=Sidecar("none", "shared")), *DIAMOND.services[1:]),
        calls=(*DIAMOND.calls[:3], replace(DIAMOND.calls[3], protocol="tcp")),
    )
    modes = sidecar_modes(graph)
    assert modes["a->b"] == ("none", "http")
    assert modes["c->d"] == ("tcp", "tcp")
    assert modes["ingress->a"] == ("none", "shared")


def test_a_call_that_bypasses_a_sidecar_passes_the_other_ones_only() -> None:
    sides: list[tuple[Side, ...]] = [("client",), ("server",), ("client", "server"), ()]
    calls = tuple(replace(call, bypass=some) for call, some in zip(DIAMOND.calls, sides, strict=True))
    entries = tuple(replace(entry, bypass=("server",)) for entry in DIAMOND.ingress)
    modes = sidecar_modes(replace(DIAMOND, calls=calls, ingress=entries))
    assert list(modes.values())[:4] == [("none", "http"), ("http", "none"), ("none", "none"), ("http", "http")]
    assert modes["ingress->a"] == ("none", "none")


def test_a_cycle_has_no_order() -> None:
    with pytest.raises(ValueError, match="cycle"):
        topological_order(replace(DIAMOND, calls=(*DIAMOND.calls, Call("d->a", "d", "a"))))


def test_a_graph_made_in_memory_is_checked_in_words() -> None:
    with pytest.raises(UsageError, match=r"call graph: calls\[4\].*a -> b -> d -> a"):
        check_graph(replace(DIAMOND, calls=(*DIAMOND.calls, Call("d->a", "d", "a"))))


def chain(calls: int) -> CallGraph:
    names = [f"s{index}" for index in range(calls + 1)]
    edges = tuple(Call(f"{a}->{b}", a, b) for a, b in pairwise(names))
    return CallGraph(tuple(map(Service, names)), edges, (Ingress("s0", 1.0),))


def test_work_grows_linearly_with_the_calls() -> None:
    def work(graph: CallGraph) -> int:
        return sum(function_calls(partial(step, graph)) for step in (check_graph, execution_plan, call_rates))

    small, large = work(chain(1000)), work(chain(4000))
    assert large < 4.1 * small
    assert small < 50 * 1000


@given(call_graphs())
def test_callers_come_before_callees(graph: CallGraph) -> None:
    place = {name: index for index, name in enumerate(topological_order(graph))}
    assert all(place[call.caller] < place[call.callee] for call in graph.calls)


@given(call_graphs())
def test_requests_of_a_service_are_the_calls_to_it(graph: CallGraph) -> None:
    rates, edges = request_rates(graph), call_rates(graph)
    for service in graph.services[1:]:
        incoming = sum(edges[call.id] for call in graph.calls if call.callee == service.name)
        assert rates[service.name] == pytest.approx(incoming)


@given(call_graphs())
def test_rates_scale_with_the_ingress(graph: CallGraph) -> None:
    twice = replace(graph, ingress=tuple(replace(entry, rate_rps=2 * entry.rate_rps) for entry in graph.ingress))
    assert request_rates(twice) == pytest.approx({name: 2 * rate for name, rate in request_rates(graph).items()})


@given(call_graphs())
def test_a_further_call_lowers_no_rate(graph: CallGraph) -> None:
    more = replace(
        graph,
        services=(*graph.services, Service("new")),
        calls=(*graph.calls, Call("s0->new", "s0", "new"), Call(f"new->{graph.services[-1].name}", "new", "s0")),
    )
    if len(graph.services) > 1:
        last = graph.services[-1].name
        more = replace(more, calls=(*graph.calls, Call("s0->new", "s0", "new"), Call(f"new->{last}", "new", last)))
        before, after = request_rates(graph), request_rates(more)
        assert all(after[name] >= rate for name, rate in before.items())


@given(call_graphs())
def test_every_call_is_in_the_plan_once(graph: CallGraph) -> None:
    planned = [call.id for handling in execution_plan(graph).handlings.values() for call in handling.calls]
    assert sorted(planned) == sorted(call.id for call in graph.calls)


@given(call_graphs())
def test_a_written_graph_reads_back_with_the_same_rates_and_stages(graph: CallGraph) -> None:
    again = parse_graph(graph_text(graph), "again.yaml")
    assert call_rates(again) == pytest.approx(call_rates(graph))  # the order of a sum may differ
    stages = [[{call.id for call in stage.calls} for stage in handling.stages]
              for read in (graph, again)
              for handling in (execution_plan(read).handlings[service.name] for service in graph.services)]  # fmt: skip
    assert stages[: len(graph.services)] == stages[len(graph.services) :]


def test_a_connection_meets_the_load_of_the_others_only() -> None:
    closed = replace(DIAMOND, ingress=(Ingress("a", 10.0, connections=4),))
    assert edge_rates(closed)["ingress->a"] == 10.0
    assert met_rates(closed)["ingress->a"] == 7.5
    assert met_rates(closed)["a->b"] == 2.0 * 7.5
    assert met_rates(closed)["c->d"] == 0.5 * 7.5
    assert met_rates(DIAMOND) == edge_rates(DIAMOND)
