"""Traces in which both a service and the proxy next to it record spans. Pure arithmetic on columns.

Along one RPC stand: the caller's client span, its sidecar's client span, the callee's sidecar's server span, the
callee's server span. A sidecar reports under a name of its own (Istio: `reviews.default`); whose sidecar it is shows in
the spans next to it.
"""

from typing import Final

import numpy as np

from predictor.importers.traces.spans.names import NAMESPACE
from predictor.importers.traces.spans.spans import (
    CLIENT,
    CONSUMER,
    MOST_NAMES,
    PRODUCER,
    SERVER,
    BoolArray,
    IntArray,
    SpanBatch,
    Vocabulary,
)

_GENERAL: Final = frozenset(("istio-proxy", "envoy", "proxy", "unnamed"))
"""Under these names all sidecars of a mesh may report; whose they are is in what they say of requests."""


def with_sidecars(
    batch: SpanBatch, words: Vocabulary, service: IntArray, kind: IntArray, sidecar: BoolArray
) -> IntArray:
    """The service of each span: of a sidecar's, the one it stands next to. `words` remembers which that is."""
    if not sidecar.any():
        return service
    service = _of_general_names(batch, words, service, kind, sidecar)
    for name, adjacent in _neighbours(batch, words, service, kind, sidecar):
        words.adjacent.setdefault(name, adjacent)
    own = {words.services.values[code]: code for code in np.unique(service[~sidecar]).tolist()}
    names = np.arange(len(words.services.values))
    for code in np.unique(service[sidecar]).tolist():
        base, _, namespace = str(words.services.values[code]).partition(".")
        same = own.get(f"{base}{NAMESPACE}{namespace}", own.get(base, code))
        names[code] = words.adjacent.get(code, same)
    return np.where(sidecar, names[service], service)


def _of_general_names(
    batch: SpanBatch, words: Vocabulary, service: IntArray, kind: IntArray, sidecar: BoolArray
) -> IntArray:
    """Services of sidecars that all report under one name: inbound by the host of the request, outbound as inbound."""
    general = np.array([name in _GENERAL for name in words.services.values], dtype=np.bool_)
    rows = np.flatnonzero(sidecar & general[service])
    if not rows.size:
        return service
    hosts = [fact.itself for fact in words.facts.values]
    codes = np.array([words.services.code(host.replace(NAMESPACE, ".")) if host else -1 for host in hosts])
    service = service.copy()
    inbound = rows[(kind[rows] == SERVER) & (codes[batch.facts[rows]] >= 0)]
    service[inbound] = codes[batch.facts[inbound]]
    outbound = rows[(kind[rows] == CLIENT) & (batch.parent[rows] >= 0)]
    above = batch.parent[outbound]
    known = sidecar[above] & (kind[above] == SERVER)
    service[outbound[known]] = service[above[known]]
    return service


def _neighbours(
    batch: SpanBatch, words: Vocabulary, service: IntArray, kind: IntArray, sidecar: BoolArray
) -> list[tuple[int, int]]:
    """Name of a sidecar and of its service, as seen next to each other, the most frequent pairs first.

    A sidecar's client span lies in its service's, its server span around its service's. No sidecar stands next to a
    gateway.
    """
    gateway = words.fact_flags("gateway", lambda fact: fact.gateway)[batch.facts]
    below = np.flatnonzero((batch.parent >= 0) & ~gateway)
    above = batch.parent[below]
    below, above = below[~gateway[above]], above[~gateway[above]]
    leaving = sidecar[below] & ~sidecar[above] & (kind[below] == CLIENT)
    entering = sidecar[above] & ~sidecar[below] & (kind[above] == SERVER) & ~_asks(kind[below])
    names = np.concatenate((service[below[leaving]], service[above[entering]]))
    adjacent = np.concatenate((service[above[leaving]], service[below[entering]]))
    pairs, counts = np.unique(names * MOST_NAMES + adjacent, return_counts=True)
    return [divmod(pair, MOST_NAMES) for pair in pairs[np.argsort(-counts, kind="stable")].tolist()]


def _asks(kind: IntArray) -> BoolArray:
    asks: BoolArray = (kind == CLIENT) | (kind == PRODUCER)
    return asks


def within(batch: SpanBatch, kind: IntArray, sidecar: BoolArray, head: BoolArray) -> IntArray:
    """Spans of services that lie directly in their sidecar's server span, and so tell when the service began."""
    below = np.flatnonzero((batch.parent >= 0) & ~sidecar & ~_asks(kind) & ~head)
    above = batch.parent[below]
    found: IntArray = below[sidecar[above] & head[above] & ((kind[above] == SERVER) | (kind[above] == CONSUMER))]
    return found


def around(batch: SpanBatch, kind: IntArray, sidecar: BoolArray, seen_by: IntArray) -> IntArray:
    """For client spans of sidecars, the service's span around each, if around no other; elsewhere the span itself."""
    parent = batch.parent[seen_by]
    outer = np.where(parent >= 0, parent, seen_by)
    fits = sidecar[seen_by] & _asks(kind[seen_by]) & (parent >= 0) & ~sidecar[outer] & _asks(kind[outer])
    count = np.bincount(outer[fits], minlength=kind.size)
    fits &= count[outer] == 1
    return np.where(fits, outer, seen_by)
