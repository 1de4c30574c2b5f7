"""Spans paired into hops. Pure arithmetic on columns.

A hop is one request from one service to another, however many spans tell of it: the client's and the server's span of
one RPC are one hop, spans inside a service are none. Either side may be missing: a callee that records nothing (a
database) is known by the client's span, a caller that records no client span by the server's. Where sidecars record
spans as well, these belong to their services, and times are the services' own. Every request, with the hop that brought
it, is one row of `Requests`.
"""

from dataclasses import dataclass

import numpy as np

from predictor.importers.traces.hops import sidecars
from predictor.importers.traces.hops.bounds import within_callers
from predictor.importers.traces.hops.helpers import nearest, without_helpers
from predictor.importers.traces.hops.skew import correct_clocks
from predictor.importers.traces.spans.spans import (
    CLIENT,
    CONSUMER,
    INTERNAL,
    PRODUCER,
    SERVER,
    UNKNOWN,
    BoolArray,
    IntArray,
    SpanBatch,
    Vocabulary,
)


@dataclass(frozen=True, slots=True)
class Requests:
    """One row per request that a service handled, and the hop it came by.

    `caller` is the row of the request that made this one, -1 for the first of a trace. `start_ns`, `end_ns`: in the
    callee; `hop_start_ns`, `hop_end_ns`: as the caller saw it; all by one clock per trace. `waited`: the caller waited
    for it. `protocol` is an index into PROTOCOLS or UNKNOWN; sizes are bytes or UNKNOWN. `recorded` is false for a
    callee that left no span, whose times are then those of the hop. `by_sidecar`: only its sidecar recorded it. `span`
    is the row of its first span. `moved_ns`: by how much its clock was moved. `cut`: a part that lies outside its call,
    or outside its caller, is left out. `late`: not waited for, as it lies outside its caller.
    """

    trace: IntArray
    caller: IntArray
    service: IntArray
    start_ns: IntArray
    end_ns: IntArray
    hop_start_ns: IntArray
    hop_end_ns: IntArray
    waited: BoolArray
    protocol: IntArray
    request_bytes: IntArray
    response_bytes: IntArray
    recorded: BoolArray
    by_sidecar: BoolArray
    span: IntArray
    moved_ns: IntArray
    cut: BoolArray
    late: BoolArray


@dataclass(frozen=True, slots=True)
class _Roles:
    """The part each span plays. `head`: begins the handling of a request; `client`: the client span of that hop."""

    kind: IntArray
    service: IntArray
    asks: BoolArray
    head: BoolArray
    owner: IntArray
    client: IntArray
    bare: BoolArray
    sidecar: BoolArray


def pair_spans(batch: SpanBatch, words: Vocabulary) -> Requests:
    """The requests in a batch whose parents form trees. Clocks of different hosts are brought together first."""
    roles = _roles(batch, words)
    batch, moved_ns = correct_clocks(batch, words, roles.head, roles.owner, roles.client, _unwaited(batch, roles))
    heads = np.flatnonzero(roles.head & (roles.owner == np.arange(roles.owner.size)))
    bare = np.flatnonzero(roles.bare)
    spans = np.concatenate((heads, bare))
    row = np.full(roles.owner.size, UNKNOWN)
    row[heads] = np.arange(heads.size)
    parent = batch.parent[heads]
    makers = np.concatenate((np.where(parent >= 0, roles.owner[np.maximum(parent, 0)], UNKNOWN), roles.owner[bare]))
    caller = np.where(makers >= 0, row[np.maximum(makers, 0)], UNKNOWN)
    seen_by = np.concatenate((np.where(roles.client[heads] >= 0, roles.client[heads], heads), bare))
    outer = sidecars.around(batch, roles.kind, roles.sidecar, seen_by)
    start, end, inner = _handling_times(batch, roles)
    start, end = start[spans], end[spans]
    start[heads.size :], end[heads.size :] = batch.start_ns[outer[heads.size :]], batch.end_ns[outer[heads.size :]]
    hop_start, hop_end = batch.start_ns[outer], batch.end_ns[outer]
    unseen = seen_by == spans
    hop_start, hop_end = np.where(unseen, start, hop_start), np.where(unseen, end, hop_end)
    waited, late = _waited(batch, roles, spans, seen_by, caller, (hop_start, hop_end), (start, end))
    (start, end), (hop_start, hop_end), cut = within_callers(caller, waited, (start, end), (hop_start, hop_end))
    protocols = _fact_columns(words)[1][batch.facts]
    service = np.concatenate((roles.service[heads], _bare_services(batch, roles, bare, outer[heads.size :], words)))
    return Requests(
        trace=batch.trace[spans],
        caller=caller,
        service=service,
        start_ns=start,
        end_ns=end,
        hop_start_ns=hop_start,
        hop_end_ns=hop_end,
        waited=waited,
        protocol=_first_known(protocols, seen_by, spans, outer),
        request_bytes=_first_known(batch.request_bytes, seen_by, spans, outer),
        response_bytes=_first_known(batch.response_bytes, seen_by, spans, outer),
        recorded=np.arange(spans.size) < heads.size,
        by_sidecar=roles.sidecar[spans] & ~inner[spans] & (np.arange(spans.size) < heads.size),
        span=spans,
        moved_ns=moved_ns[spans],
        cut=cut,
        late=late,
    )


def _fact_columns(words: Vocabulary) -> tuple[IntArray, IntArray, BoolArray, BoolArray]:
    """Kind, protocol, `forwards` and `sidecar` by code of facts."""
    return (
        words.fact_column("kind", lambda fact: fact.kind),
        words.fact_column("protocol", lambda fact: fact.protocol),
        words.fact_flags("forwards", lambda fact: fact.forwards),
        words.fact_flags("sidecar", lambda fact: fact.sidecar),
    )


def _roles(batch: SpanBatch, words: Vocabulary) -> _Roles:
    kinds, _, forwards, by_sidecars = _fact_columns(words)
    kind, sidecar = kinds[batch.facts], by_sidecars[batch.facts]
    services = np.array([words.services.code(service) for service, _ in words.processes.values], dtype=np.int64)
    service = sidecars.with_sidecars(batch, words, services[batch.process], kind, sidecar)
    _note_gateways(batch, words, service)
    kind = without_helpers(batch, words, kind, service)
    asks = (kind == CLIENT) | (kind == PRODUCER)
    answers = (kind == SERVER) | (kind == CONSUMER)
    top = batch.parent < 0
    parent = np.where(top, 0, batch.parent)
    crossing = ~top & ((service[parent] != service) | (asks[parent] & answers))
    head = top | crossing
    owner = _owners(batch, head, crossing, asks, answers, service)
    client = _clients(batch, head, crossing, asks, answers)
    outer = _outer_clients(batch, head, asks)
    taken = np.zeros(asks.size, dtype=np.bool_)
    taken[client[client >= 0]] = True
    taken[parent[crossing]] = True
    bare = asks & ~taken & ~outer
    busy = np.zeros(asks.size, dtype=np.bool_)
    busy[owner[bare]] = True
    busy[owner[parent[crossing]]] = True
    bare |= forwards[batch.facts] & head & ~busy
    return _Roles(kind, service, asks, head, owner, client, bare, sidecar)


def _note_gateways(batch: SpanBatch, words: Vocabulary, service: IntArray) -> None:
    """Remember the services whose spans were recorded by gateways."""
    gateway = words.fact_flags("gateway", lambda fact: fact.gateway)
    if gateway.any():
        words.gateways.update(np.unique(service[gateway[batch.facts]]).tolist())


def _owners(
    batch: SpanBatch, head: BoolArray, crossing: BoolArray, asks: BoolArray, answers: BoolArray, service: IntArray
) -> IntArray:
    """The head of the handling each span belongs to.

    Where a callee's server span is missing, several of its spans stand under one client span: they are one handling.
    """
    owner = np.where(head, np.arange(head.size), batch.parent)
    while not head[owner].all():
        owner = owner[owner]
    joined = np.flatnonzero(crossing & asks[np.where(crossing, batch.parent, 0)])
    if np.bincount(batch.parent[joined]).max(initial=0) > 1:
        owner = _stand_in(batch, joined, answers, service)[owner]
    return owner


def _stand_in(batch: SpanBatch, joined: IntArray, answers: BoolArray, service: IntArray) -> IntArray:
    """The head that stands for each span: for heads without server span, the first of theirs under one client span."""
    order = joined[np.lexsort((batch.start_ns[joined], ~answers[joined], service[joined], batch.parent[joined]))]
    first = np.ones(order.size, dtype=np.bool_)
    same = (batch.parent[order[1:]] == batch.parent[order[:-1]]) & (service[order[1:]] == service[order[:-1]])
    first[1:] = ~same
    leader = order[np.maximum.accumulate(np.where(first, np.arange(order.size), 0))]
    follower = ~first & ~answers[order]
    stands_for = np.arange(answers.size)
    stands_for[order[follower]] = leader[follower]
    return stands_for


def _clients(batch: SpanBatch, head: BoolArray, crossing: BoolArray, asks: BoolArray, answers: BoolArray) -> IntArray:
    """The client span of the hop to each head, -1 if none; each client span belongs to one hop, a server's first."""
    client = np.full(head.size, UNKNOWN)
    rows = np.flatnonzero(crossing)
    above = nearest(batch, batch.parent[rows], head, asks)
    rows, above = rows[above >= 0], above[above >= 0]
    if np.bincount(above).max(initial=0) <= 1:
        client[rows] = above
        return client
    order = np.lexsort((batch.start_ns[rows], ~answers[rows]))
    _, first = np.unique(above[order], return_index=True)
    chosen = order[first]
    client[rows[chosen]] = above[chosen]
    return client


def _outer_clients(batch: SpanBatch, head: BoolArray, asks: BoolArray) -> BoolArray:
    """Client spans around other client spans of the same handling: an outer layer of a library, no hop of its own."""
    outer = np.zeros(head.size, dtype=np.bool_)
    rows = np.flatnonzero(asks & ~head)
    around = nearest(batch, batch.parent[rows], head, asks)
    outer[around[around >= 0]] = True
    return outer


def _handling_times(batch: SpanBatch, roles: _Roles) -> tuple[IntArray, IntArray, BoolArray]:
    """Start and end of each handling at the row of its owner: of its head, or of all heads that stand for one; where a
    sidecar recorded that, of the service within, which the third column marks.

    Who takes a message often records that alone; what is then done with it is in the spans below.
    """  # noqa: D205 (one sentence)
    start, end = batch.start_ns.copy(), batch.end_ns.copy()
    inner = np.zeros(start.size, dtype=np.bool_)
    within = sidecars.within(batch, roles.kind, roles.sidecar, roles.head)
    inside = roles.owner[within]
    inner[inside] = True
    start[inside], end[inside] = np.iinfo(np.int64).max, np.iinfo(np.int64).min
    other = roles.owner != np.arange(roles.owner.size)
    more = other & (roles.head | ((roles.kind[roles.owner] == CONSUMER) & (roles.kind == INTERNAL)))
    more[within] = True
    rows = np.flatnonzero(more)
    np.minimum.at(start, roles.owner[rows], batch.start_ns[rows])
    np.maximum.at(end, roles.owner[rows], batch.end_ns[rows])
    return start, end, inner


def _unwaited(batch: SpanBatch, roles: _Roles) -> BoolArray:
    """Spans that say of themselves that nobody waits for them."""
    free: BoolArray = batch.follows | (roles.kind == PRODUCER) | (roles.kind == CONSUMER)
    return free


def _waited(
    batch: SpanBatch,
    roles: _Roles,
    spans: IntArray,
    seen_by: IntArray,
    caller: IntArray,
    hop: tuple[IntArray, IntArray],
    handling: tuple[IntArray, IntArray],
) -> tuple[BoolArray, BoolArray]:
    """Whether the caller waited: nothing says otherwise, and it did not answer before the hop was done.

    What the caller's own clock shows may end a tenth of the hop after the caller: clocks are coarse. What only the
    callee's clock shows may do so by half. The second column marks those that are not waited for by their times alone.
    """
    free = _unwaited(batch, roles)
    called = caller >= 0
    begin = np.where(called, handling[0][np.maximum(caller, 0)], hop[0])
    bound = np.where(called, handling[1][np.maximum(caller, 0)], hop[1])
    late, length = hop[1] - bound, hop[1] - hop[0]
    outlasts = np.where(seen_by != spans, late * 10 > length, late * 2 > length) | ((hop[0] >= bound) & (late > 0))
    outlasts |= (hop[1] <= begin) & (hop[0] < begin)
    stated = (free[seen_by] | free[spans]) & called
    waited: BoolArray = np.logical_not(stated | (outlasts & called))
    return waited, outlasts & called & ~stated


def _bare_services(batch: SpanBatch, roles: _Roles, bare: IntArray, outer: IntArray, words: Vocabulary) -> IntArray:
    """Callees that left no span, by what the client's span says of them, or the one around it."""
    names = []
    for row, around in zip(bare.tolist(), outer.tolist(), strict=True):
        own = words.services.values[roles.service[row]]
        stated = [words.facts.values[batch.facts[each]] for each in (row, around)]
        known = [fact.peer for fact in stated if fact.peer not in ("", own)] + [
            fact.system for fact in stated if fact.system
        ]
        names.append(words.services.code(known[0] if known else f"{own}-external"))
        if not known:
            words.unknown.add(names[-1])
    return np.array(names, dtype=np.int64)


def _first_known(values: IntArray, *rows: IntArray) -> IntArray:
    """At each place the first value that is known, among those of some rows."""
    found = values[rows[0]]
    for each in rows[1:]:
        found = np.where(found >= 0, found, values[each])
    return found
