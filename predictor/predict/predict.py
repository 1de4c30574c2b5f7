"""A call graph and a model give a prediction. Pure: no I/O.

Latency follows the critical path recomputed with the overhead in it; CPU is rate × cost over all edges, asynchronous
and off the path alike, both sidecars. Intervals: see `predictor.models.fitting`; those of latency move along the path
of the point estimate.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

import numpy as np

from predictor.graph.plan import Plan, edge_rates, execution_plan, met_rates, sidecar_modes
from predictor.graph.types import Call, CallGraph, Service
from predictor.hop_costs import temperature
from predictor.hop_costs.costs import CostTable, EdgeCosts, kinds_of
from predictor.hop_costs.crossing import crossing_share, needed_placements, placements_of, share_note
from predictor.hop_costs.forms import worker_components
from predictor.hop_costs.hops import CLIENT, SERVER, Resolver
from predictor.hop_costs.load import (
    SATURATED,
    Indices,
    Load,
    Owners,
    at_work,
    carried_rps,
    graph_owners,
    overload_warnings,
    sidecar_load,
)
from predictor.hop_costs.options import Options
from predictor.hop_costs.prepared import Prepared
from predictor.models.types import CURRENCIES, FittedModel, Floats
from predictor.predict.closed_loop import at_its_rate, closed_loop_of
from predictor.predict.counts import check_counts, check_figures
from predictor.predict.intervals import FOREIGN_PLATFORM, doubt_draws
from predictor.predict.latency import Answer, Hops
from predictor.predict.longest import hop_variance, hop_waits
from predictor.predict.many_calls import answering
from predictor.predict.memory import memory_bytes, total
from predictor.predict.own_error import own_error
from predictor.predict.own_times import variance_ns2
from predictor.predict.sampling import Sampler
from predictor.predict.types import (
    EdgePrediction,
    Estimate,
    Headline,
    Latency,
    Prediction,
    ServicePrediction,
    estimate,
    estimates,
    headline,
    not_known,
)
from profiler.vocabulary.components import QUEUEING

PERCENTILES = (50, 90, 95, 99)
_TAIL = (90, 95, 99)
_LEAST_SAMPLES = 2000
_MOST_DRAWN = 4_000_000
"""Large graphs are sampled less often, so that an answer takes no more than a second: requests times edges."""

_NS = 1e-9


@dataclass(frozen=True, slots=True)
class _Work:
    """What all parts of a prediction share. `edges` include entries; tables are by their order.

    `before` is the answer without sidecars, `endless_ns` what is waited for at overloaded sidecars (sides × edges),
    which no figure but the answer has. `own_errors` are by currency.
    """

    graph: CallGraph
    plan: Plan
    answer_of: Callable[[Hops], Answer]
    before: Answer
    own_ns: Mapping[str, float]
    edges: tuple[Call, ...]
    rates: Floats
    costs: EdgeCosts
    load: Load
    busy: Floats
    utilisation: Mapping[str, float]
    hop_ns: Floats
    draws: int
    doubt: Floats
    endless_ns: Floats
    own_errors: Mapping[str, float]

    def answer(self, endless: bool) -> Answer:
        """The answer with sidecars, with or without waiting at those that are overloaded."""
        waits = self.load.waits_ns + (self.endless_ns if endless else 0.0)
        means = self.costs.values["latency"].sum(axis=2) - self.load.waits_ns.T
        variances = hop_variance(means, self.costs.spread, waits.T, self.busy.T)
        hops = self.hop_ns + (self.endless_ns.sum(axis=0) if endless else 0.0)
        waiting = dict(zip((call.id for call in self.edges), hop_waits(waits.T, self.busy.T).T.tolist(), strict=True))
        clients = means[:, CLIENT]
        shares = np.divide(clients, hops, out=np.zeros_like(hops), where=hops > 0.0)
        found = Hops(self.by_edge(hops), self.by_edge(variances), waiting, self.by_edge(shares))
        return self.answer_of(found)

    def by_edge(self, values: Floats) -> dict[str, float]:
        """Values in the order of edges by their ids."""
        return {call.id: value for call, value in zip(self.edges, values.tolist(), strict=True)}


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Draws of edges by side, as amounts (edges × 2 sides × terms) of terms with draws (terms × draws)."""

    amounts: Floats
    draws: Floats

    def of(self, amounts: Floats) -> Floats:
        """Draws of sums over edges, of which these are the amounts."""
        return np.asarray(amounts @ self.draws)


def predict(graph: CallGraph, model: FittedModel, options: Options | None = None) -> Prediction:
    """The overhead of `graph`, which `check_graph` accepts.

    Raises `UsageError` where the model lacks something, or figures are beyond what can be predicted.
    """
    plan = execution_plan(graph)
    graph = _with_rate(graph, plan, model, options)
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused, in words
        found = _predicted(graph, plan, model, options or Options())
    check_figures(found)
    return closed_loop_of(graph, found)


def with_rate(graph: CallGraph, model: FittedModel, options: Options | None = None) -> CallGraph:
    """The graph with the rate that its closed loop has, where it has one. Raises `UsageError` as `predict`."""
    return _with_rate(graph, execution_plan(graph), model, options)


def _with_rate(graph: CallGraph, plan: Plan, model: FittedModel, options: Options | None) -> CallGraph:
    check_counts(graph, plan)
    plain = replace(options or Options(), samples=0, intervals=False)
    with np.errstate(over="ignore", invalid="ignore"):
        return at_its_rate(graph, partial(_predicted, plan=plan, model=model, options=plain))


def _predicted(graph: CallGraph, plan: Plan, model: FittedModel, options: Options) -> Prediction:
    edges = (*(entry.as_call() for entry in graph.ingress), *graph.calls)
    rates = edge_rates(graph)
    prepared = Prepared.of(model, options)
    resolver = Resolver(prepared.model, options.proxy, options.transport, needed_placements(options.crossing_share))
    kinds = kinds_of(edges, sidecar_modes(graph))
    found = resolver.resolve(kinds)
    names, owners = graph_owners(graph, edges)
    each_rate = np.array([rates[call.id] for call in edges])
    own = {service.name: service.service_time.mean_ns for service in graph.services}
    varying = {service.name: variance_ns2(service.service_time) for service in graph.services}
    answer_of = answering(plan, graph.ingress, own, varying)
    before = answer_of(Hops(dict.fromkeys((call.id for call in edges), 0.0)))
    temperatures, cold_notes = temperature.of_graph(graph, plan, edges, each_rate, before.response_ns, prepared.cooling)
    table = CostTable(prepared.forms, edges, temperatures)
    for kind, chosen in kinds.items():
        table.add(chosen, found[kind])
    costs = table.costs()
    of_edge = {index: kind for kind, chosen in kinds.items() for index in chosen}
    parts = [found[of_edge[index]] for index in range(len(edges))]
    work_ns = np.maximum(costs.values["cpu"][:, :, worker_components(costs.components)].sum(axis=2), 0.0)
    load = sidecar_load(owners, each_rate, work_ns.T, costs.workers.T)
    met = _met(graph, owners, load, (work_ns.T, costs.workers.T))
    load = replace(load, waits_ns=met.waits_ns if options.load else np.zeros_like(met.waits_ns))
    # The requests of a closed loop cannot queue without end: there are no more of them than connections.
    full = (load.utilisation > SATURATED) & (graph.closed_loop is None)
    endless = load.waits_ns * at_work(owners, np.where(full, 1.0, 0.0), work_ns.T)
    load = replace(load, waits_ns=load.waits_ns - endless)
    costs.values["latency"][:, :, costs.components.index(QUEUEING)] += load.waits_ns.T
    busy = at_work(owners, np.minimum(met.utilisation, SATURATED), work_ns.T)
    utilisation = dict(zip(names, load.utilisation.tolist(), strict=True))
    foreign = options.cpu_model is not None and options.cpu_model != model.cpu_model
    work = _Work(
        graph, plan, answer_of, before, own, edges, each_rate, costs, load, busy, utilisation,
        costs.values["latency"].sum(axis=(1, 2)), prepared.draws, costs.doubt + (FOREIGN_PLATFORM if foreign else 0.0),
        endless, _own_errors(options),
    )  # fmt: skip
    memory, memory_notes = memory_bytes(graph, names, owners, parts)
    notes = [str(item) for item in graph.assumed] + list(dict.fromkeys(resolver.notes))
    placements = placements_of(chain.from_iterable(found.values()))
    share = crossing_share(found.values(), [float(each_rate[chosen].sum()) for chosen in kinds.values()])
    notes += [
        *((share_note(placements, share, options.crossing_share),) if placements else ()),
        *(cold_notes if any(parts) else ()),
        *memory_notes,
        "baseline CPU: a service is on the CPU for all of its service time",
    ]
    notes.append(
        f"platform: {options.cpu_model}, profiled on {model.cpu_model or 'an unknown CPU'}; the interval is wider"
        if foreign
        else f"platform: nodes like the profiled machine ({model.cpu_model or 'unknown CPU'})"
    )
    warnings = (*costs.warnings, *_overload(graph, utilisation))
    predicted = _prediction(work, options, temperatures.cold[0], memory, notes, warnings)
    return replace(predicted, placements=placements, crossing_share=share)


def _overload(graph: CallGraph, utilisation: Mapping[str, float]) -> tuple[str, ...]:
    """What to say of overloaded sidecars; a closed loop overloads none."""
    if graph.closed_loop is not None:
        return ()
    return overload_warnings(utilisation, sum(entry.rate_rps for entry in graph.ingress))


def _met(graph: CallGraph, owners: Owners, load: Load, proxies: tuple[Floats, Floats]) -> Load:
    """What a request meets of the load: all of it, unless it is one of a closed loop.

    `proxies` are the work of a call in ns and the workers, each sides × edges.
    """
    if graph.closed_loop is None:
        return load
    return sidecar_load(owners, np.array(list(met_rates(graph).values())), *proxies)


def _prediction(
    work: _Work,
    options: Options,
    temperatures: Floats,
    memory: Mapping[str, float] | None,
    notes: Sequence[str],
    warnings: tuple[str, ...],
) -> Prediction:
    own, before = work.own_ns, work.before
    after = work.answer(endless=False)
    # The figures of parts leave endless waiting out; the answer as a whole then has no finite mean.
    whole = work.answer(endless=True) if work.endless_ns.any() else after
    endless = _endless(work)
    weights = np.array([after.edge_weights[call.id] for call in work.edges])
    spread = doubt_draws(work.draws, options.intervals)
    latency_drawn, cpu_drawn = (_drawn(work, currency, spread) for currency in ("latency", "cpu"))
    latency = _components(work, "latency", weights, spread)
    hidden = sum(own[name] * after.service_weights[name] for name in own) - before.mean_ns
    overhead = after.mean_ns - before.mean_ns
    mean_draws = hidden + latency_drawn.of(weights @ latency_drawn.amounts.sum(axis=1))
    finite = not any(endless[entry.id] for entry in work.graph.ingress)
    beyond = whole.mean_ns - after.mean_ns
    profiled = estimate(overhead + beyond, mean_draws + beyond, least=0.0)
    mean = Latency(before.mean_ns, whole.mean_ns, headline("mean", profiled, intervals=options.intervals), finite)
    cpu_values = work.costs.values["cpu"].sum(axis=(1, 2))
    vcpu_draws = cpu_drawn.of(work.rates @ cpu_drawn.amounts.sum(axis=1)) * _NS
    vcpu = estimate(float(work.rates @ cpu_values) * _NS, vcpu_draws, least=0.0)
    percentiles = _percentiles(work, options, profiled, finite, after.delay_ns) if options.samples else {}
    rates = dict.fromkeys(own, 0.0)
    for call, rate in zip(work.edges, work.rates.tolist(), strict=True):
        rates[call.callee] += rate
    answers = _answers(work, whole, mean, endless)
    return Prediction(
        graph=work.graph.name,
        latency={"mean": mean, **percentiles},
        latency_by_component_ns=latency,
        hidden_ns=hidden,
        vcpu=headline("cpu", vcpu, intervals=options.intervals),
        baseline_vcpu=sum(rates[name] * own[name] for name in own) * _NS,
        vcpu_by_component={n: e.scaled(_NS) for n, e in _components(work, "cpu", work.rates, spread).items()},
        memory_bytes=total(memory),
        services=_services(work, weights, (latency_drawn, cpu_drawn), rates, temperatures, memory, answers),
        edges=_edges(work, before, after, (latency_drawn, cpu_drawn), temperatures),
        path_before=before.path,
        path_after=after.path,
        assumptions=tuple(notes),
        extrapolations=work.costs.extrapolations,
        warnings=(*warnings, *(part.not_known for part in percentiles.values() if part.not_known)),
        carried_rps=carried_rps(sum(entry.rate_rps for entry in work.graph.ingress), work.utilisation),
        draws={"latency": mean_draws, "cpu": vcpu_draws},
        own_errors=work.own_errors,
    )


def _endless(work: _Work) -> dict[str, bool]:
    """By edge and by service, whether who waits for it waits without end."""
    full = {call.id: waits > 0.0 for call, waits in zip(work.edges, work.endless_ns.sum(axis=0).tolist(), strict=True)}
    found: dict[str, bool] = {}
    for name in reversed(work.plan.order):
        stages = work.plan.handlings[name].stages
        found[name] = any(
            call.calls_per_request > 0.0 and (full[call.id] or found[call.callee])
            for stage in stages
            for call in stage.calls
        )
    entries = {entry.id: full[entry.id] or found[entry.service] for entry in work.graph.ingress}
    return {**found, **entries}


def _drawn(work: _Work, currency: str, spread: Floats) -> _Drawn:
    """Draws of each edge's total by side, doubt included, in ns."""
    amounts, draws = work.costs.drawn(currency, work.draws)
    doubt = work.doubt[:, None] * work.costs.values[currency].sum(axis=2)
    waits = work.load.waits_ns.T if currency == "latency" else np.zeros_like(doubt)
    amounts = np.concatenate([amounts, np.stack([doubt, waits], axis=2)], axis=2)
    return _Drawn(amounts, np.concatenate([draws, spread[None], np.ones((1, work.draws))]))


def _components(work: _Work, currency: str, weights: Floats, spread: Floats) -> dict[str, Estimate]:
    """Each component summed over the edges with their weights; those that are nowhere are left out."""
    table = work.costs.values[currency].sum(axis=1)
    values, doubt = weights @ table, (weights * work.doubt) @ table
    draws = work.costs.component_draws(currency, weights, work.draws) + spread[:, None] * doubt
    if currency == "latency":
        draws[:, work.costs.components.index(QUEUEING)] += float(weights @ work.load.waits_ns.sum(axis=0))
    used = np.abs(table).sum(axis=0) > 0.0
    return {
        name: estimate(float(values[index]), draws[:, index], error=work.own_errors[currency])
        for index, name in enumerate(work.costs.components)
        if used[index]
    }


def _own_errors(options: Options) -> dict[str, float]:
    """The model's own error by currency, that of latency being the mean's, and by percentile."""
    figures = {"latency": "mean", "cpu": "cpu", **{f"p{percent}": f"p{percent}" for percent in PERCENTILES}}
    return {name: (own_error(figure) or 0.0) if options.intervals else 0.0 for name, figure in figures.items()}


def _percentiles(work: _Work, options: Options, mean: Estimate, finite: bool, delay_ns: float) -> dict[str, Latency]:
    """By sampling. What the profile says of their intervals is what it says of the mean overhead, in proportion."""
    shown = work.load.waits_ns.T
    waits = shown + work.endless_ns.T
    shapes = (work.costs.values["latency"].sum(axis=2) - shown, work.costs.spread, waits, work.busy.T)
    count = min(options.samples, max(_LEAST_SAMPLES, _MOST_DRAWN // len(work.edges)))
    sampler = Sampler(count, options.seed, {c.id: i for i, c in enumerate(work.edges)}, shapes)
    services: dict[str, Service] = {service.name: service for service in work.graph.services}
    times = sampler.requests(work.plan, services, work.graph.ingress, (work.before.delay_ns, delay_ns))
    found = {}
    for percent, (without, with_) in zip(PERCENTILES, np.percentile(times, PERCENTILES, axis=1), strict=True):
        name, over = f"p{percent}", float(with_ - without)
        figure = headline(name, _in_proportion(over, mean), intervals=options.intervals)
        unknown = not_known(name, figure) if percent in _TAIL and options.intervals else ""
        found[name] = Latency(float(without), float(with_), figure, finite, unknown)
    return found


def _in_proportion(value: float, known: Estimate) -> Estimate:
    """A figure with the interval of another, in proportion."""
    low, high = (value * end / known.value if known.value > 0 else value for end in known.interval)
    return Estimate(value, min(low, value), max(high, value))


def _services(
    work: _Work,
    weights: Floats,
    drawn: tuple[_Drawn, _Drawn],
    rates: Mapping[str, float],
    temperatures: Floats,
    memory: Mapping[str, float] | None,
    answers: Mapping[str, Latency],
) -> tuple[ServicePrediction, ...]:
    """By service: what the sidecar beside it does, as the client's of its calls and the server's of its callers'."""
    index = {service.name: number for number, service in enumerate(work.graph.services)}
    names = work.costs.components
    parts = np.zeros((2, len(index), len(names)))
    amounts = [np.zeros((len(index), one.amounts.shape[2])) for one in drawn]
    tables = [work.costs.values[currency] for currency in ("latency", "cpu")]
    for side in (CLIENT, SERVER):
        sides = [call.caller if side == CLIENT else call.callee for call in work.edges]
        edges = np.array([edge for edge, name in enumerate(sides) if name in index], dtype=np.intp)
        owners = np.array([index[name] for name in sides if name in index], dtype=np.intp)
        for row, weight in enumerate((weights, work.rates)):
            parts[row] += _grouped(owners, weight[edges, None] * tables[row][edges, side], len(index))
            amounts[row] += _grouped(owners, weight[edges, None] * drawn[row].amounts[edges, side], len(index))
    totals = parts.sum(axis=2)
    cold = _cold(work, temperatures, index)
    split = [_by_component(names, parts[0]), _by_component(names, parts[1] * _NS)]
    latency, vcpu = (
        estimates(scale * total, one.of(scale * amount), error=work.own_errors[currency], least=0.0)
        for currency, scale, total, one, amount in zip(CURRENCIES, (1.0, _NS), totals, drawn, amounts, strict=True)
    )
    return tuple(
        ServicePrediction(
            name=service.name,
            answer=answers[service.name],
            latency_ns=latency[number],
            vcpu=vcpu[number],
            baseline_vcpu=rates[service.name] * service.service_time.mean_ns * _NS,
            memory_bytes=None if memory is None else memory.get(service.deployment, 0.0),
            utilisation=float(work.utilisation[service.deployment]),
            cold_weight=float(cold[number]),
            by_component_ns=split[0][number],
            vcpu_by_component=split[1][number],
        )
        for number, service in enumerate(work.graph.services)
    )


def _answers(work: _Work, after: Answer, mean: Latency, endless: Mapping[str, bool]) -> dict[str, Latency]:
    """How long each service takes with its calls. The interval is that of the mean overhead, in proportion."""
    known = mean.overhead_ns
    ends = (*known.interval, *known.inner)
    low, high, low80, high80 = (end / known.value if known.value > 0 else 1.0 for end in ends)
    found = {}
    for (name, without), with_ in zip(work.before.response_ns.items(), after.response_ns.values(), strict=True):
        value = with_ - without
        ends = (
            min(value * low, value),
            max(value * high, value),
            min(value * low80, value),
            max(value * high80, value),
        )
        found[name] = Latency(without, with_, Headline(value, *ends), not endless[name])
    return found


def _cold(work: _Work, temperatures: Floats, index: Mapping[str, int]) -> Floats:
    """How cold each service's sidecar is on average over its calls, both sides."""
    sums = np.zeros((2, len(index)))
    for side in (CLIENT, SERVER):
        names = (call.caller if side == CLIENT else call.callee for call in work.edges)
        owners = np.array([index.get(name, -1) for name in names], dtype=np.intp) + 1  # the first class is outside
        for row, weights in enumerate((work.rates * temperatures[side], work.rates)):
            sums[row] += np.bincount(owners, weights, len(index) + 1)[1:]
    return np.asarray(np.divide(sums[0], sums[1], out=np.zeros(len(index)), where=sums[1] > 0.0))


def _grouped(owners: Indices, values: Floats, count: int) -> Floats:
    """Sums of rows by owner: count × columns."""
    found = np.zeros((count, values.shape[1]))
    if len(owners):
        order = np.argsort(owners, kind="stable")
        starts = np.flatnonzero(np.diff(owners[order], prepend=-1))
        found[owners[order][starts]] = np.add.reduceat(values[order], starts, axis=0)
    return found


def _edges(
    work: _Work, before: Answer, after: Answer, drawn: tuple[_Drawn, _Drawn], temperatures: Floats
) -> tuple[EdgePrediction, ...]:
    latency, cpu = (work.costs.values[currency].sum(axis=1) for currency in ("latency", "cpu"))
    names = work.costs.components
    errors = work.own_errors
    amounts = [one.amounts.sum(axis=1) for one in drawn]
    overheads = estimates(latency.sum(axis=1), drawn[0].of(amounts[0]), error=errors["latency"], least=0.0)
    busy = work.rates * _NS
    cpus = estimates(busy * cpu.sum(axis=1), drawn[1].of(busy[:, None] * amounts[1]), error=errors["cpu"], least=0.0)
    split = [_by_component(names, table) for table in (latency, cpu)]
    found = []
    for edge, (call, rate) in enumerate(zip(work.edges, work.rates.tolist(), strict=True)):
        found.append(
            EdgePrediction(
                id=call.id,
                rate_rps=rate,
                latency_ns=overheads[edge],
                vcpu=cpus[edge],
                path_weight_before=before.edge_weights[call.id],
                path_weight=after.edge_weights[call.id],
                by_component_ns=split[0][edge],
                cpu_by_component_ns=split[1][edge],
                cold_weights=(float(temperatures[CLIENT, edge]), float(temperatures[SERVER, edge])),
                sigmas=(float(work.costs.spread[edge, CLIENT]), float(work.costs.spread[edge, SERVER])),
            )
        )
    return tuple(found)


def _by_component(names: Sequence[str], table: Floats) -> list[dict[str, float]]:
    """The components of each row of `table` that are not zero."""
    used = np.flatnonzero(table.any(axis=0)).tolist()
    kept = [names[column] for column in used]
    return [
        {name: value for name, value in zip(kept, row, strict=True) if value != 0.0}
        if 0.0 in row
        else dict(zip(kept, row, strict=True))
        for row in table[:, used].tolist()
    ]
