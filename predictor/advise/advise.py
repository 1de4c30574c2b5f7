"""Advice for a graph: find the changes, predict what they give, say what each saves. Pure: no I/O.

The search works on fast figures; whatever is handed out was predicted by `predict` itself. Where a percentile of the
search and of the prediction differ, the search is set right and repeated.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from glob import escape
from typing import Final

import numpy as np

from predictor.advise.candidates import Candidates, Rules
from predictor.advise.changes import KINDS, Change, Edges, changed_graph, edges_of, given_up
from predictor.advise.figures import CPU, MEAN, MEMORY, Figures, State
from predictor.advise.limits import Limit
from predictor.advise.prices import Prices
from predictor.advise.search import LARGE, Found, Goal, Search
from predictor.advise.tail import Requests
from predictor.advise.types import Advice, Outcome, Step
from predictor.graph.types import CallGraph
from predictor.hop_costs.options import Options
from predictor.models.types import FittedModel
from predictor.predict.predict import predict, with_rate
from predictor.predict.types import Prediction, estimate
from profiler.errors import UsageError

MOST_PREDICTED: Final = 40
"""So many steps get a prediction each, with intervals; of more, the fast figures are shown."""

_MOST_WORK: Final = 20_000
_ROUNDS: Final = 5
_FEW_ROUNDS: Final = 3
_SAMPLES: Final = 2000
_DRAWN: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class _Case:
    """What was asked, and the prediction of the graph as it is."""

    graph: CallGraph
    model: FittedModel
    limits: Sequence[Limit]
    options: Options
    before: Prediction

    def predicted(self, changes: Sequence[Change]) -> Prediction:
        """The prediction with changes."""
        if not changes:
            return self.before
        transport = "uds" if Change("uds") in changes else self.options.transport
        return predict(changed_graph(self.graph, changes), self.model, replace(self.options, transport=transport))

    def excess(self, found: Prediction) -> float:
        """By how much a prediction misses the limits, as shares of them."""
        return sum(max(0.0, limit.value(found).value / limit.bound - 1.0) for limit in self.limits)


@dataclass(frozen=True, slots=True)
class _Answer:
    """The best choice that was predicted. `figures` are the mean (ns) and vCPU before its changes and after each.

    They are there only for answers whose steps are not predicted: too many, or some that make no sense alone.
    """

    changes: tuple[Change, ...]
    after: Prediction
    found: Found
    figures: tuple[tuple[float, float], ...] = ()


def advise(
    graph: CallGraph, model: FittedModel, limits: Sequence[Limit], rules: Rules, options: Options | None = None
) -> Advice:
    """The fewest changes that meet all limits. Raises `UsageError` where the profile lacks what the graph needs.

    A closed loop keeps the rate that it has as it is: figures with other changes are compared at one rate.
    """
    options = options or Options()
    if not limits:
        raise UsageError("no limit given; give one or more of --slo, --max-overhead, --max-cpu, --max-memory")
    if any(limit.timed and limit.statistic != "mean" for limit in limits) and options.samples < 1:
        raise UsageError("--samples 0: percentiles are limited, and they come from samples; leave it out")
    graph = with_rate(graph, model, options)
    case = _Case(graph, model, limits, options, predict(graph, model, options))
    missed = case.excess(case.before)
    candidates = _candidates(case, rules)
    nothing = Found(State((), [], np.zeros(0, dtype=np.intp)), True, True, 0, False)
    best = _Answer((), case.before, nothing)
    if missed > 0.0 and candidates.changes:
        best = _searched(case, candidates.changes, prove=True)
    met = case.excess(best.after) <= 0.0
    own = _own_times_too_long(case)
    return Advice(
        met=met,
        exact=best.found.exact,
        at_least=best.found.at_least,
        impossible=not met and (best.found.impossible or own or not candidates.changes),
        outcomes=tuple(_outcome(limit, case.before, best.after) for limit in limits),
        steps=_steps(case, best),
        before=case.before,
        after=best.after,
        graph=changed_graph(graph, best.changes),
        transport="uds" if Change("uds") in best.changes else options.transport,
        settings=_settings(graph, changed_graph(graph, best.changes)),
        sidecars=any(change.of_service for change in best.changes),
        not_considered=tuple(candidates.refused),
        further="" if met else _further(case, rules, own),
    )


def _candidates(case: _Case, rules: Rules) -> Candidates:
    transports = {item.transport for item in case.model.configurations}
    found = Candidates(case.graph, rules, transports if case.options.transport == "ip" else ())
    prices = Prices(case.model, case.options, memory=False)
    edges, kept = Edges(case.graph), []
    touched: dict[str, list[int]] = {}
    for index, call in enumerate(edges.calls):
        for name in dict.fromkeys((call.id, *edges.owners[index], "")):
            touched.setdefault(name or "", []).append(index)
    for change in found.changes:
        alone = [edges.under(i, {change}) for i in touched[change.target] if edges.touched(i, change)]
        lacks = [text for treated in alone if treated is not None and (text := prices.lacks(treated))]
        if lacks:
            found.lack(change.kind, lacks[0])
        if not lacks or change.kind in ("protocol", "tls", "filter"):  # others together may be in the profile
            kept.append(change)
    found.changes = kept
    return found


def _searched(case: _Case, changes: Sequence[Change], prove: bool) -> _Answer:
    """Search, predict what was found, set the search right where percentiles differ, and search again."""
    goals = [_goal(limit, case.before) for limit in case.limits]
    sampled = [goal for goal in goals if goal.sampled]
    figures = _figures(case, changes, bool(sampled), any(goal.name == MEMORY for goal in goals))
    search, start = Search(figures, goals), figures.start()
    anchors = {goal.name: _anchor(figures, start, goal.name, case.before) for goal in sampled}
    _set_right(goals, anchors, anchors)
    best: _Answer | None = None
    tried: set[frozenset[int]] = set()
    for _ in range(1 if not sampled else _ROUNDS if len(changes) < LARGE else _FEW_ROUNDS):
        found = search.run(start, prove)
        if frozenset(found.state.chosen) in tried:
            if best is not None and {changes[n] for n in found.state.chosen} == set(best.changes):
                best = replace(best, found=found)  # what is said of it now holds for the search set right
            break
        tried.add(frozenset(found.state.chosen))
        chosen = tuple(changes[number] for number in found.state.chosen)
        answer = _Answer(chosen, case.predicted(chosen), found)
        if best is None or _rank(case, answer) < _rank(case, best):
            best = answer
        _set_right(goals, anchors, {g.name: _anchor(figures, found.state, g.name, answer.after) for g in sampled})
    if best is None:
        raise ValueError("no round was run")
    if not prove:
        return best
    best = _told(case, best, figures, _ordered(figures, search, start, best.found.state))
    return _trimmed(case, best) if sampled and len(changes) < LARGE else best


def _told(case: _Case, answer: _Answer, figures: Figures, way: Sequence[State]) -> _Answer:
    """The answer with its changes in order, and fast figures where its steps are not predicted."""
    changes = tuple(figures.changes[number] for number in way[-1].chosen)
    many = len(changes) > MOST_PREDICTED or len(changes) * len(case.before.edges) > _MOST_WORK
    fast = many or not all(state.possible for state in way)
    return replace(answer, changes=changes, figures=_fast(figures, way) if fast else ())


def _trimmed(case: _Case, answer: _Answer) -> _Answer:
    """Without the changes that, by prediction, are not needed: the search is no more exact than its samples."""
    if case.excess(answer.after) > 0.0 or answer.found.exact or answer.figures:
        return answer
    for change in reversed(answer.changes):
        fewer = tuple(item for item in answer.changes if item != change)
        try:
            after = case.predicted(fewer)
        except (ValueError, UsageError):  # others make no sense, or cannot be predicted, without it
            continue
        if case.excess(after) <= 0.0:
            answer = replace(answer, changes=fewer, after=after)
    return answer


def _rank(case: _Case, answer: _Answer) -> tuple[float, int, float]:
    ratios = sum(limit.value(answer.after).value / limit.bound for limit in case.limits)
    return case.excess(answer.after), len(answer.changes), ratios


def _goal(limit: Limit, before: Prediction) -> Goal:
    """A limit of overhead is one of latency, since the services' own share does not change."""
    if not limit.timed:
        return Goal({"cpu": CPU, "memory": MEMORY}[limit.figure], limit.bound)
    own = before.latency[limit.statistic].without_ns if limit.figure == "overhead" else 0.0
    return Goal(limit.statistic, limit.bound + own)


def _figures(case: _Case, changes: Sequence[Change], sampled: bool, memory: bool) -> Figures:
    ratios = [item.mean_ratio for item in case.model.configurations]
    sigma = float(np.sqrt(2.0 * np.log(max(float(np.median(ratios)), 1.0))))
    count = min(_SAMPLES, max(400, _DRAWN // len(edges_of(case.graph))))
    requests = Requests(case.graph, count, sigma, case.options.seed) if sampled else None
    cold = {edge.id: edge.cold_weights for edge in case.before.edges}
    workers = min(item.workers for item in case.model.configurations)
    return Figures(case.graph, changes, Prices(case.model, case.options, memory), cold, requests, workers)


def _anchor(figures: Figures, state: State, name: str, predicted: Prediction) -> tuple[float, float]:
    """A percentile as the search has it, and as it was predicted."""
    return figures.values(state.rows, [name])[name], predicted.latency[name].with_ns


def _set_right(
    goals: Sequence[Goal], first: dict[str, tuple[float, float]], last: dict[str, tuple[float, float]]
) -> None:
    """Make the search agree with the predictions: through the last one, with the slope between it and the first."""
    for goal in goals:
        if goal.name in last:
            (here, there), (rough, real) = first[goal.name], last[goal.name]
            slope = (there - real) / (here - rough) if abs(here - rough) > 1e-4 * abs(here) else 1.0
            goal.slope = min(max(slope, 0.5), 2.0)
            goal.offset = real - goal.slope * rough


def _ordered(figures: Figures, search: Search, start: State, chosen: State) -> list[State]:
    """The way to the chosen changes: what saves most first, then what saves most after that, and so on."""
    left, way = list(chosen.chosen), [start]
    if len(left) > MOST_PREDICTED:  # then by what each saves alone
        gains = search.worth(start)
        left.sort(key=lambda number: -float(gains[number]))
    while left:
        if len(chosen.chosen) > MOST_PREDICTED:
            way.append(figures.with_(way[-1], left.pop(0)))
            continue
        after = {number: figures.with_(way[-1], number) for number in left}
        possible = [number for number in left if after[number].possible] or left
        best = min(possible, key=lambda number: float(search.ratios(after[number]).sum()))
        left.remove(best)
        way.append(after[best])
    return way


def _fast(figures: Figures, way: Sequence[State]) -> tuple[tuple[float, float], ...]:
    """Mean latency and vCPU along a way; changes that make no sense without the next ones save with them."""
    found: list[tuple[float, float]] = []
    for state in way:
        if state.possible:
            values = figures.values(state.rows, (MEAN, CPU))
            found.append((values[MEAN], values[CPU]))
        else:
            found.append(found[-1])
    return tuple(found)


def _own_times_too_long(case: _Case) -> bool:
    """Whether services alone exceed a limit of latency."""
    return any(
        limit.figure == "latency" and case.before.latency[limit.statistic].without_ns > limit.bound
        for limit in case.limits
    )


def _outcome(limit: Limit, before: Prediction, after: Prediction) -> Outcome:
    own = before.latency[limit.statistic].without_ns if limit.figure == "latency" else None
    finite = limit.finite(before), limit.finite(after)
    return Outcome(limit, limit.value(before), limit.value(after), own, *finite)


def _steps(case: _Case, answer: _Answer) -> tuple[Step, ...]:
    """What each change saves after those before it: predicted, or where that would take long, by the fast figures."""
    changes = answer.changes
    if answer.figures:
        return _fast_steps(case, answer)
    names = [limit.statistic for limit in case.limits if limit.timed and limit.statistic != "mean"]
    lighter = case if names else replace(case, options=replace(case.options, samples=0))
    last, steps = case.before, []
    for number, change in enumerate(changes, start=1):
        found = lighter.predicted(changes[:number])
        steps.append(_step(case.graph, change, last, found, names))
        last = found
    return tuple(steps)


def _fast_steps(case: _Case, answer: _Answer) -> tuple[Step, ...]:
    last, steps = answer.figures[0], []
    for change, figures in zip(answer.changes, answer.figures[1:], strict=True):
        mean, vcpu = (before - after for before, after in zip(last, figures, strict=True))
        finite = answer.after.latency["mean"].finite and case.before.latency["mean"].finite
        steps.append(Step(change, given_up(case.graph, change), mean if finite else None, None, vcpu, None, None, {}))
        last = figures
    return tuple(steps)


def _step(graph: CallGraph, change: Change, last: Prediction, found: Prediction, names: Sequence[str]) -> Step:
    memory = None
    if last.memory_bytes is not None and found.memory_bytes is not None:
        memory = last.memory_bytes - found.memory_bytes
    finite = last.latency["mean"].finite and found.latency["mean"].finite
    return Step(
        change=change,
        gives_up=given_up(graph, change),
        mean_ns=last.latency["mean"].with_ns - found.latency["mean"].with_ns if finite else None,
        mean_interval_ns=_interval(last, found, "latency") if finite else None,
        vcpu=last.vcpu.value - found.vcpu.value,
        vcpu_interval=_interval(last, found, "cpu"),
        memory_bytes=memory,
        percentiles_ns={name: last.latency[name].with_ns - found.latency[name].with_ns for name in names if finite},
    )


def _interval(last: Prediction, found: Prediction, currency: str) -> tuple[float, float] | None:
    """95 % interval of a difference: the imagined runs behind both predictions are the same."""
    if currency not in last.draws or currency not in found.draws:
        return None
    before, after = (one.vcpu if currency == "cpu" else one.latency["mean"].overhead_ns for one in (last, found))
    draws = last.draws[currency] - found.draws[currency]
    return estimate(before.value - after.value, draws, error=last.own_errors[currency]).interval


def _settings(graph: CallGraph, after: CallGraph) -> tuple[str, ...]:
    """What `--set` makes of edges: one text per field that changed."""
    found = []
    for old, new in zip(edges_of(graph), edges_of(after), strict=True):
        name = escape(old.id).replace("=", "?")
        if new.protocol != old.protocol:
            found.append(f"{name}.protocol={new.protocol}")
        if new.tls != old.tls:
            found.append(f"{name}.tls={new.tls}")
        if new.filters != old.filters:
            found.append(f"{name}.filters={'+'.join(new.filters)}")
    return tuple(found)


def _further(case: _Case, rules: Rules, own: bool) -> str:
    """What all kinds of changes together would bring, where those allowed are not enough."""
    if own or set(rules.kinds) == set(KINDS):
        return ""
    candidates = _candidates(case, replace(rules, kinds=tuple(kind for kind in KINDS if kind not in rules.kept)))
    if not candidates.changes:
        return ""
    best = _searched(case, candidates.changes, prove=False)
    needed = {change.kind for change in best.changes}
    pairs = list(zip(edges_of(case.graph), edges_of(changed_graph(case.graph, best.changes)), strict=True))
    needed |= {"tls"} if any(old.tls != new.tls for old, new in pairs) else set()
    needed |= {"filter"} if any(old.filters != new.filters for old, new in pairs) else set()
    kinds = [kind for kind in KINDS if kind in needed and kind not in rules.kinds]
    if case.excess(best.after) > 0.0:
        return "with all kinds of changes allowed, no choice was found either"
    allow = f" with --allow {','.join(kinds)}" if kinds else ""
    return f"{len(best.changes)} changes would meet all limits{allow}"
