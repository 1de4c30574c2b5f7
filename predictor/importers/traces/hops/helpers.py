"""Client spans inside a call that are a part of it: look-ups, connects, handshakes. Pure arithmetic on columns."""

import numpy as np

from predictor.importers.traces.spans.names import is_address
from predictor.importers.traces.spans.spans import (
    CLIENT,
    CONSUMER,
    INTERNAL,
    PARTS,
    PRODUCER,
    SERVER,
    UNKNOWN,
    BoolArray,
    IntArray,
    SpanBatch,
    Vocabulary,
)


def without_helpers(batch: SpanBatch, words: Vocabulary, kind: IntArray, service: IntArray) -> IntArray:
    """The kind of each span, where a client span that is a part of the call around it counts as internal.

    It is one if its operation says so; or if no server span lies below it, its attributes name nobody (or only an
    address), and the call around it has a server span or names the callee itself.
    """
    words.passed[PARTS] += int(words.fact_flags("part", lambda fact: fact.part)[batch.facts].sum())
    weak = words.fact_flags("weak", lambda fact: not (fact.system or fact.sidecar) and is_unnamed(fact.peer))
    marked = words.fact_flags("helper", lambda fact: fact.helper)
    asks = (kind == CLIENT) | (kind == PRODUCER)
    rows = np.flatnonzero((kind == CLIENT) & (batch.parent >= 0) & (weak | marked)[batch.facts])
    if not rows.size:
        return kind
    answers = (kind == SERVER) | (kind == CONSUMER)
    parent = np.maximum(batch.parent, 0)
    crossing = (batch.parent >= 0) & ((service[parent] != service) | (asks[parent] & answers))
    head = crossing | (batch.parent < 0)
    rows = rows[~head[rows] & ~(head & ~asks)[parent[rows]]]  # most lie directly in what handles the request
    if not rows.size:
        return kind
    around = nearest(batch, batch.parent[rows], head, asks)
    rows, around = rows[around >= 0], around[around >= 0]
    if not rows.size:
        return kind
    heads = np.flatnonzero(crossing)
    answered = np.zeros(asks.size, dtype=np.bool_)
    above = nearest(batch, batch.parent[heads], head, asks)
    answered[above[above >= 0]] = True
    code, outer = batch.facts[rows], batch.facts[around]
    fits = marked[code] | (weak[code] & (answered[around] | ~weak[outer]))
    kind = kind.copy()
    inner = rows[fits & ~answered[rows]]
    words.passed[PARTS] += inner.size
    kind[inner] = INTERNAL
    return kind


def is_unnamed(peer: str) -> bool:
    """Whether this names no service: nothing, or an address."""
    return not peer or is_address(peer)


def nearest(batch: SpanBatch, start: IntArray, head: BoolArray, wanted: BoolArray) -> IntArray:
    """From each row of `start` up to the first `wanted` span, not beyond the head of its handling; -1 if none.

    By pointer doubling, so that no depth of nesting takes long.
    """
    up = np.where(wanted | head, np.arange(head.size), batch.parent)
    while (further := ~(wanted | head)[up]).any():
        up[further] = up[up[further]]
    found: IntArray = np.where(start >= 0, up[np.maximum(start, 0)], UNKNOWN)
    return np.where((found >= 0) & wanted[np.maximum(found, 0)], found, UNKNOWN)
