"""Memory of the sidecars of many graphs, as `predictor.predict.memory` says. Pure numpy."""

import numpy as np

from predictor.batch.decode import Booleans, Indices
from predictor.hop_costs.hops import Part
from predictor.hop_costs.load import Owners, taken
from predictor.models.types import Floats


class MemorySums:
    """Adds up what proxies hold. Holders are deployments and, behind them, each graph's shared proxies."""

    def __init__(self, owners: Owners, graph: Indices, graphs: int, shared: tuple[Booleans | None, ...]) -> None:
        self._owners = owners
        self._graph = graph
        self._shared = shared
        self._pairs = np.maximum(taken(owners.client, owners.replicas), 1.0) * taken(owners.server, owners.replicas)
        self._own = np.full(len(owners.replicas) + graphs, -1.0)
        self._connections = np.zeros(len(graph))
        self._needed = np.zeros(graphs, dtype=np.bool_)

    def add(self, edges: slice, parts: tuple[Part, ...]) -> None:
        """Add the proxies of neighbouring edges of one kind."""
        self._needed[self._graph[edges]] = True
        for part in parts:
            item = part.points[0][1]
            if part.only or item.rss_bytes is None or item.per_connection_bytes is None:
                continue
            owner = self._owners.sides[part.side][edges]
            shared = self._shared[part.side]
            if shared is not None:
                owner = np.where(shared[owner], len(self._owners.replicas) + self._graph[edges], owner)
            self._own[owner] = np.maximum(self._own[owner], item.rss_bytes)
            self._connections[edges] += self._pairs[edges] * item.per_connection_bytes

    def totals(self, deployment_graph: Indices, nodes: Floats) -> Floats:
        """Bytes by graph; NaN where the profile has none of its sidecars. `nodes` is by graph."""
        held = self._own >= 0.0
        number = np.concatenate((self._owners.replicas, nodes))
        of = np.concatenate((deployment_graph, np.arange(len(nodes))))
        found = np.bincount(of, np.where(held, self._own * number, 0.0), len(nodes))
        found += np.bincount(self._graph, self._connections, len(nodes))
        found[self._needed & (np.bincount(of, held, len(nodes)) == 0.0)] = np.nan
        return np.asarray(found)
