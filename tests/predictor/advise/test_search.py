"""The search against a second method: every choice of changes, predicted one by one."""

import random
from itertools import combinations

import pytest

from predictor.advise.advise import advise
from predictor.advise.candidates import Candidates, rules
from predictor.advise.changes import Change, changed_graph, edges_of
from predictor.advise.figures import CPU, MEAN, MEMORY, Figures
from predictor.advise.limits import Limit
from predictor.advise.prices import Prices
from predictor.advise.search import Goal, Search
from predictor.graph.types import Call, CallGraph
from predictor.hop_costs.options import Options
from predictor.predict.predict import predict
from tests.predictor.advise.cases import EXACT, MODEL, call, cpu, graph, overhead, service

POINT = Options(samples=0, intervals=False)
KINDS = ["protocol,tls,filter,client,none"]


def chooser(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 (test data, not secrets)


def random_graph(seed: int, services: int = 4, rate: float = 100.0) -> CallGraph:
    """Services in a tree, calls of all sorts."""
    choose = chooser(seed)
    calls: list[Call] = []
    for number in range(1, services):
        mtls = choose.random() < 0.4
        calls.append(
            call(
                f"s{choose.randrange(number)}",
                f"s{number}",
                tls="mtls" if mtls else "none",
                filters=() if mtls or choose.random() < 0.7 else ("lua",),
                stage=choose.randrange(2),
                calls_per_request=choose.choice([0.3, 1.0, 2.0]),
                repeat=choose.choice(["sequential", "parallel"]),
                request_bytes=choose.choice([0.0, 1000.0, 8000.0]),
                required=("mtls",) if mtls and choose.random() < 0.3 else (),
                asynchronous=choose.random() < 0.1,
            )
        )
    own = [service(f"s{n}", choose.uniform(0.1e6, 0.5e6), replicas=choose.choice([1, 2])) for n in range(services)]
    return graph(own, calls, rate)


def candidates(one: CallGraph, kinds: list[str] = KINDS) -> list[Change]:
    return Candidates(one, rules(one, kinds, ()), ()).changes


def figures_of(one: CallGraph, changes: list[Change], memory: bool = False) -> Figures:
    cold = {call.id: (0.0, 0.0) for call in edges_of(one)}
    return Figures(one, changes, Prices(MODEL, POINT, memory), cold, None, 1)


def excess(one: CallGraph, chosen: tuple[Change, ...], limits: list[Limit]) -> float:
    try:
        found = predict(changed_graph(one, chosen), MODEL, POINT)
    except ValueError:  # contradicting changes
        return float("inf")
    return sum(max(0.0, limit.value(found).value / limit.bound - 1.0) for limit in limits)


def fewest(one: CallGraph, changes: list[Change], limits: list[Limit]) -> int | None:
    """The size of the smallest choice that meets all limits, by trying all."""
    for size in range(len(changes) + 1):
        if any(excess(one, chosen, limits) <= 1e-9 for chosen in combinations(changes, size)):
            return size
    return None


@pytest.mark.parametrize("seed", range(25))
def test_fast_figures_are_those_of_predict(seed: int) -> None:
    one = random_graph(seed, services=7, rate=500.0)
    changes, choose = candidates(one), chooser(seed)
    figures = figures_of(one, changes, memory=True)
    state = figures.start()
    for number in choose.sample(range(len(changes)), min(4, len(changes))):
        after = figures.with_(state, number)
        state = after if after.possible else state
    found = predict(changed_graph(one, [changes[number] for number in state.chosen]), MODEL, POINT)
    values = figures.values(state.rows, (MEAN, CPU, MEMORY))
    assert values[MEAN] == pytest.approx(found.latency["mean"].with_ns, rel=1e-9)
    assert values[CPU] == pytest.approx(found.vcpu.value, rel=1e-9)
    assert values[MEMORY] == pytest.approx(found.memory_bytes, rel=1e-9)


@pytest.mark.parametrize("seed", range(16))
def test_no_smaller_choice_exists_where_it_says_so(seed: int) -> None:
    one = random_graph(seed)
    before = predict(one, MODEL, POINT)
    share = chooser(seed).choice([0.3, 0.5, 0.7, 0.9])
    limits = [overhead(max(share * before.latency["mean"].overhead_ns.value, 1.0)), cpu(share * before.vcpu.value)]
    allowed = rules(one, ["protocol,tls"], ("client", "uds"))
    found = advise(one, MODEL, limits, allowed, EXACT)
    changes = Candidates(one, allowed, ()).changes
    smallest = fewest(one, changes, limits)
    assert found.met == (smallest is not None)
    if smallest is not None:
        assert found.exact
        assert len(found.steps) == smallest
    else:
        assert found.impossible


def test_greedy_is_within_a_few_percent_of_exact() -> None:
    greedy_steps = exact_steps = 0
    for seed in range(30):
        one = random_graph(seed, services=5)
        changes = candidates(one)
        figures, choose = figures_of(one, changes), chooser(seed)
        start = figures.start()
        now = figures.values(start.rows, (MEAN, CPU))
        own = predict(one, MODEL, POINT).latency["mean"].without_ns
        goals = [Goal(MEAN, own + choose.uniform(0.1, 0.9) * (now[MEAN] - own)), Goal(CPU, choose.random() * now[CPU])]
        search = Search(figures, goals)
        exact = search.run(start, prove=True)
        if exact.met and exact.exact:
            greedy = search.greedy(start)
            assert search.excess(search.ratios(greedy)) <= 1e-9
            greedy_steps += len(greedy.chosen)
            exact_steps += len(exact.state.chosen)
    assert exact_steps > 50
    assert greedy_steps <= 1.05 * exact_steps


def test_bounds_of_large_graphs_are_close() -> None:
    """60 calls, CPU alone: the linear relaxation says how many changes are needed at least."""
    one = random_graph(1, services=61)
    before = predict(one, MODEL, POINT)
    found = advise(one, MODEL, [cpu(0.5 * before.vcpu.value)], rules(one, ["protocol,tls"], ("client", "uds")), EXACT)
    assert found.met
    assert found.at_least <= len(found.steps) <= 1.1 * found.at_least
