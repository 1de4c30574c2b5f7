"""What an edge costs under each treatment, asked of `predict` for many at once. Pure.

The edges are put side by side into one graph: each between two services of its own, hot or cold as the real ones, one
call per second. So an edge costs here what it costs in any prediction.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from predictor.advise.changes import Treatment
from predictor.graph.types import Call, CallGraph, Ingress, Service, Sidecar
from predictor.hop_costs.options import Options
from predictor.models.types import FittedModel, Floats
from predictor.predict.predict import predict
from predictor.predict.types import Prediction
from profiler.errors import UsageError

_AT_ONCE: Final = 4000
"""Edges in one graph: what bounds memory."""


@dataclass(frozen=True, slots=True)
class Priced:
    """All that the cost of an edge depends on; `cold` are the temperatures of its sidecars."""

    treatment: Treatment
    request_bytes: float
    response_bytes: float
    headers: float | None
    new_connections: float | None
    cold: tuple[float, float]


class Prices:
    """Prices as they are asked for. Row 0 of the tables stands for what cannot be: it costs infinitely much.

    By row and side: `latency_ns`, `cpu_ns` and `busy` (utilisation of a worker) for one call per second; `sigmas` are
    the lognormal sigmas of the latency; `rss_bytes` and `connection_bytes` of a proxy and of one connection, `shared`
    where the proxy is the node's.
    """

    def __init__(self, model: FittedModel, options: Options, memory: bool) -> None:
        self._model = model
        self._options = replace(options, samples=0, load=False, intervals=False)
        self._memory = memory
        self._rows: dict[Priced, int] = {}
        self._lacks: dict[Treatment, str] = {}
        self._memories: dict[Treatment, Floats] = {}
        self.latency_ns, self.cpu_ns = np.full((1, 2), np.inf), np.full((1, 2), np.inf)
        self.busy, self.sigmas, self.rss_bytes, self.connection_bytes = (np.zeros((1, 2)) for _ in range(4))
        self.shared = np.zeros((1, 2), dtype=bool)

    def lacks(self, treatment: Treatment) -> str:
        """Why a treatment cannot be predicted, empty if it can."""
        if treatment not in self._lacks:
            try:
                self._predict([Priced(treatment, 0.0, 0.0, None, None, (0.0, 0.0))], treatment.transport, (1, 1))
                self._lacks[treatment] = ""
            except UsageError as error:
                self._lacks[treatment] = str(error)
        return self._lacks[treatment]

    def rows(self, wanted: Sequence[Priced | None]) -> list[int]:
        """The rows of edges, 0 where they cannot be predicted; priced now where they are new."""
        unknown = dict.fromkeys(item for item in wanted if item is not None and item not in self._rows)
        for item in unknown:
            if self.lacks(item.treatment):
                self._rows[item] = 0
        known = [item for item in unknown if item not in self._rows]
        for transport in dict.fromkeys(item.treatment.transport for item in known):
            self._add([item for item in known if item.treatment.transport == transport], transport)
        return [0 if item is None else self._rows[item] for item in wanted]

    def _add(self, items: Sequence[Priced], transport: str) -> None:
        for first in range(0, len(items), _AT_ONCE):
            part = items[first : first + _AT_ONCE]
            predicted = self._predict(part, transport, (1, 1))
            found = predicted.services
            sigmas = {edge.id: edge.sigmas for edge in predicted.edges}
            sides = [found[0::2], found[1::2]]
            count = len(part)
            latency = np.array([[item.latency_ns.value * count for item in side] for side in sides]).T
            cpu = np.array([[item.vcpu.value * 1e9 for item in side] for side in sides]).T
            busy = np.array([[item.utilisation for item in side] for side in sides]).T
            for index, item in enumerate(part):
                self._rows[item] = len(self.latency_ns) + index
            self.latency_ns = np.vstack([self.latency_ns, latency])
            self.cpu_ns, self.busy = np.vstack([self.cpu_ns, cpu]), np.vstack([self.busy, busy])
            self.sigmas = np.vstack([self.sigmas, [sigmas[f"e{index}"] for index in range(count)]])
            memories = np.array([self._memory_of(item.treatment) for item in part])
            self.rss_bytes = np.vstack([self.rss_bytes, memories[:, 0]])
            self.connection_bytes = np.vstack([self.connection_bytes, memories[:, 1]])
            self.shared = np.vstack([self.shared, memories[:, 2] > 0])

    def _predict(self, items: Sequence[Priced], transport: str, replicas: tuple[int, int]) -> Prediction:
        options = replace(self._options, transport=transport or self._options.transport)
        return predict(_side_by_side(items, replicas), self._model, options)

    def _memory_of(self, treatment: Treatment) -> Floats:
        """Memory of a proxy, of a connection, and whether the proxy is shared, by side (3 × 2).

        A proxy holds one connection per replica at the other end, so one more there tells what a connection takes.
        """
        if treatment in self._memories:
            return self._memories[treatment]
        found = np.zeros((3, 2))
        if self._memory:
            item = Priced(treatment, 0.0, 0.0, None, None, (0.0, 0.0))
            asked = [self._predict([item], treatment.transport, pair) for pair in ((1, 1), (1, 2), (2, 1))]
            for side, mode in enumerate((treatment.client, treatment.server)):
                one, other = asked[0], asked[1 + side]
                found[2, side] = mode == "shared" and (side == 1 or treatment.server != "shared")
                first, more = (_held(each, side, found[2, side] > 0) for each in (one, other))
                found[1, side] = more - first
                found[0, side] = first - found[1, side]
        self._memories[treatment] = found
        return found


def _held(found: Prediction, side: int, shared: bool) -> float:
    """Memory of the proxy at one side; what is no service's is the node's."""
    own = [service.memory_bytes or 0.0 for service in found.services]
    return (found.memory_bytes or 0.0) - sum(own) if shared else own[side]


def _side_by_side(items: Iterable[Priced], replicas: tuple[int, int]) -> CallGraph:
    services, calls, entries = [], [], []
    for index, item in enumerate(items):
        how, caller, callee = item.treatment, f"c{index}", f"s{index}"
        services.append(Service(caller, replicas[0], Sidecar(how.client, "none"), cold_weight=item.cold[0]))
        services.append(Service(callee, replicas[1], Sidecar("none", how.server), cold_weight=item.cold[1]))
        entries.append(Ingress(caller, 1.0))
        calls.append(
            Call(
                f"e{index}", caller, callee, how.protocol, how.tls, how.filters, item.request_bytes,
                item.response_bytes, headers=item.headers, new_connections=item.new_connections,
            )
        )  # fmt: skip
    return CallGraph(tuple(services), tuple(calls), tuple(entries))
