"""The answer of a graph with many calls: the arithmetic of `predictor.predict.latency`, all calls of a level at once.

With few calls in a level that takes longer than call by call.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

import numpy as np

from predictor.graph.plan import Plan
from predictor.graph.types import Call, Ingress
from predictor.predict.latency import NO_WAITS, Answer, Hops, answer, entry_shares, heights, path
from predictor.predict.levels import Entries, Requests, Times, find_levels, stage_begins

_MANY: Final = 20
"""Calls by level from which on numpy is faster."""


def answering(
    plan: Plan, entries: Sequence[Ingress], own_ns: Mapping[str, float], own_variances: Mapping[str, float]
) -> Callable[[Hops], Answer]:
    """What gives the answer from hops, as `answer` does. Variances are by the same names as own times."""
    calls = [call for handling in plan.handlings.values() for call in handling.calls]
    if len(calls) < _MANY * len(heights(plan)):
        return partial(answer, plan, entries, own_ns, own_variances=own_variances)
    return _ManyCalls(plan, calls, entries, (own_ns, own_variances)).answer


class _ManyCalls:
    """Requests through one graph."""

    def __init__(
        self,
        plan: Plan,
        calls: Sequence[Call],
        entries: Sequence[Ingress],
        own: tuple[Mapping[str, float], Mapping[str, float]],
    ) -> None:
        self._names, self._entries = plan.order, entries
        numbers = {name: number for number, name in enumerate(plan.order)}
        caller = np.array([numbers[call.caller] for call in calls], dtype=np.intp)
        callee = np.array([numbers[call.callee] for call in calls], dtype=np.intp)
        stage = np.array([call.stage for call in calls], dtype=float)
        times = np.array([call.calls_per_request for call in calls])
        levels = find_levels(caller, callee, stage, times, np.zeros(len(plan.order)))
        self._calls = [calls[place] for place in levels.order.tolist()]
        self._ids = [call.id for call in self._calls] + [entry.id for entry in entries]
        caller, stage, times = caller[levels.order], stage[levels.order], times[levels.order]
        self._stages = np.cumsum(stage_begins(caller, stage)) - 1
        asynchronous = np.array([call.asynchronous for call in self._calls], dtype=np.bool_)
        self._requests = Requests(
            levels.bounds,
            caller,
            callee[levels.order],
            stage,
            times,
            np.array([call.repeat == "parallel" for call in self._calls], dtype=np.bool_),
            asynchronous if asynchronous.any() else None,
            None if math.isinf(plan.cpus) else np.full(len(self._calls), plan.cpus),
            np.zeros(len(self._calls), dtype=np.intp),
            *(np.array([by_name.get(name, 0.0) for name in plan.order]) for by_name in own),
        )
        nodes = np.array([numbers[entry.service] for entry in entries], dtype=np.intp)
        shares = np.array(entry_shares(entries))
        self._from_outside = Entries(nodes, np.zeros(len(entries), dtype=np.intp), shares, 1)

    def answer(self, hops: Hops) -> Answer:
        """The answer with hops."""
        means = np.array([hops.means[name] for name in self._ids])
        count = len(self._calls)
        variances, shares = (
            np.array([by_edge.get(name, 0.0) for name in self._ids[:count]])
            for by_edge in (hops.variances, hops.client_shares)
        )
        waits = np.array([hops.waits.get(name, NO_WAITS) for name in self._ids[:count]]).T
        times = self._requests.times(means[:count], variances, waits, shares)
        found = self._requests.answers(times, means, self._from_outside)
        return Answer(
            float(found.mean_ns[0]),
            dict(zip(self._names, found.service_weights.tolist(), strict=True)),
            dict(zip(self._ids, found.edge_weights.tolist(), strict=True)),
            path(self._entries, self._main(times)),
            dict(zip(self._names, times.mean.tolist(), strict=True)),
            float(found.delays_ns[0]),
        )

    def _main(self, times: Times) -> Mapping[str, list[Call]]:
        """By service, the call that decides most of each stage, as far as it is waited for."""
        found: dict[str, list[Call]] = {name: [] for name in self._names}
        decided = times.factor * times.one + times.excess
        # Stages one after the other, in each the waited call with the largest share first, the others in their order.
        order = np.lexsort((-decided, times.factor <= 0.0, self._stages))
        firsts = order[np.flatnonzero(np.diff(self._stages[order], prepend=-1))]
        for place in firsts[times.factor[firsts] > 0.0].tolist():
            found[self._calls[place].caller].append(self._calls[place])
        return found
