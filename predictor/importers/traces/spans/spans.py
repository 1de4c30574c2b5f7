"""Spans as columns, many traces at a time: what every trace format is turned into before anything is worked out.

A batch holds whole traces. Text is interned as small numbers by `Names`, which all batches of one import share.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from profiler.errors import UsageError

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]

INTERNAL: Final = 0
SERVER: Final = 1
CLIENT: Final = 2
PRODUCER: Final = 3
CONSUMER: Final = 4

UNKNOWN: Final = -1
NO_PARENT: Final = -1
"""A span that names no parent: the root of its trace."""
LOST_PARENT: Final = -2
"""A span whose parent is not in the file."""

MOST_NAMES: Final = 2**20
LONGEST_NS: Final = 2**46
"""About 19 hours; nothing that handles a request lasts longer."""


PARTS: Final = "client spans are look-ups, connects or handshakes; no calls of their own"
REPEATED: Final = "spans are there more than once; counted once"
UNTIMED: Final = "spans left out: neither they nor spans below them have times"


class Facts(NamedTuple):
    """What a span's attributes say, apart from sizes: `protocol` is an index into PROTOCOLS or UNKNOWN.

    `peer` names the other side, `system` the database or kind of broker. `forwards`: a proxy's span for a request that
    it passed on to `peer`. `sidecar`: recorded by the proxy next to a service, not by the service itself; `itself` is
    then the service that an inbound request was for. `gateway`: recorded by a gateway or a waypoint. `helper`: inside a
    call it is a part of that call (a connect, a handshake), and no call; `part`: that it is anywhere (a look-up).
    """

    kind: int = INTERNAL
    protocol: int = UNKNOWN
    peer: str = ""
    system: str = ""
    forwards: bool = False
    sidecar: bool = False
    gateway: bool = False
    helper: bool = False
    part: bool = False
    itself: str = ""


class Names:
    """Numbers for values, in order of first appearance."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._codes: dict[Any, int] = {}

    def code(self, value: Any) -> int:
        """The number of a value; new ones get the next. Raises `UsageError` beyond a million."""
        code = self._codes.get(value)
        if code is None:
            code = len(self.values)
            if code >= MOST_NAMES:
                raise UsageError(f"more than {MOST_NAMES} different names, as in {str(value)[:60]!r}; not a trace file")
            self._codes[value] = code
            self.values.append(value)
        return code


@dataclass(slots=True)
class Vocabulary:
    """The names of one import. A process is `(service, host)`; a host is text that tells clocks apart."""

    services: Names = field(default_factory=Names)
    processes: Names = field(default_factory=Names)
    facts: Names = field(default_factory=Names)
    operations: Names = field(default_factory=Names)
    adjacent: dict[int, int] = field(default_factory=dict)
    """By the name under which a sidecar reports, that of its service; codes of `services`."""
    gateways: set[int] = field(default_factory=set)
    """Codes of services that are gateways or waypoints: proxies, so they have none next to them."""
    unknown: set[int] = field(default_factory=set)
    """Codes of callees of whom no span says anything."""
    passed: Counter[str] = field(default_factory=Counter)
    """Spans that are no calls or are left out, by the text that says why."""
    skipped: Counter[str] = field(default_factory=Counter)
    """What a file holds next to traces, and how often."""
    _columns: dict[str, IntArray] = field(default_factory=dict)

    def fact_column(self, name: str, read: Callable[[Facts], int]) -> IntArray:
        """A number by code of facts. `name` is what it is kept under: only facts that are new since are read."""
        known = self._columns.get(name, np.zeros(0, dtype=np.int64))
        new = self.facts.values[known.size :]
        if new:
            known = np.concatenate((known, np.array([read(fact) for fact in new], dtype=np.int64)))
            self._columns[name] = known
        return known

    def fact_flags(self, name: str, read: Callable[[Facts], bool]) -> BoolArray:
        """As `fact_column`, for what is true or false."""
        return self.fact_column(name, lambda fact: int(read(fact))) > 0


@dataclass(frozen=True, slots=True)
class SpanBatch:
    """Columns of equal length, one row per span; the spans of a trace are neighbours.

    `trace` counts from 0 in the batch; `parent` is a row, NO_PARENT or LOST_PARENT; times are ns, by the clock of the
    span's own host, an end before its start is impossible; sizes are bytes or UNKNOWN; `facts` and `process` are codes
    of the vocabulary. `follows` marks spans that their parent does not wait for. `operation` is that of spans without a
    parent, elsewhere UNKNOWN.
    """

    trace: IntArray
    parent: IntArray
    process: IntArray
    facts: IntArray
    start_ns: IntArray
    end_ns: IntArray
    request_bytes: IntArray
    response_bytes: IntArray
    follows: BoolArray
    operation: IntArray

    def rows(self, chosen: BoolArray) -> "SpanBatch":
        """The rows of chosen traces. Whole traces must be chosen."""
        new = np.cumsum(chosen) - 1
        parent = self.parent[chosen]
        _, trace = np.unique(self.trace[chosen], return_inverse=True)
        return SpanBatch(
            trace=trace.astype(np.int64),
            parent=np.where(parent >= 0, new[np.maximum(parent, 0)], parent),
            process=self.process[chosen],
            facts=self.facts[chosen],
            start_ns=self.start_ns[chosen],
            end_ns=self.end_ns[chosen],
            request_bytes=self.request_bytes[chosen],
            response_bytes=self.response_bytes[chosen],
            follows=self.follows[chosen],
            operation=self.operation[chosen],
        )


@dataclass(slots=True)
class SpanBuffer:
    """Gathers the spans of traces; readers append to the lists, one element of each dense list per span.

    `durations` and `starts` are in ns. `sizes`, `follows` and `operations` are sparse, by row.
    """

    parents: list[int] = field(default_factory=list)
    processes: list[int] = field(default_factory=list)
    facts: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    """Spans of each trace."""
    sizes: dict[int, tuple[int, int]] = field(default_factory=dict)
    follows: list[int] = field(default_factory=list)
    operations: dict[int, int] = field(default_factory=dict)

    def batch(self, origin: str, unit_ns: int = 1) -> SpanBatch:
        """The columns of what was gathered, its times in units of `unit_ns`.

        Raises `UsageError` for times no clock shows.
        """
        start = _column(self.starts, origin, unit_ns)
        duration = _column(self.durations, origin, unit_ns)
        duration = np.where(duration > LONGEST_NS, -1, duration)
        count = start.size
        request, response = np.full(count, UNKNOWN), np.full(count, UNKNOWN)
        for row, (request_bytes, response_bytes) in self.sizes.items():
            request[row], response[row] = request_bytes, response_bytes
        follows = np.zeros(count, dtype=np.bool_)
        follows[self.follows] = True
        operation = np.full(count, UNKNOWN)
        operation[list(self.operations)] = list(self.operations.values())
        trace = np.repeat(np.arange(len(self.lengths)), self.lengths)
        parent = np.array(self.parents, dtype=np.int64)
        return SpanBatch(
            trace=trace,
            parent=np.where((parent >= 0) & (trace[np.maximum(parent, 0)] != trace), LOST_PARENT, parent),
            process=np.array(self.processes, dtype=np.int64),
            facts=np.array(self.facts, dtype=np.int64),
            start_ns=start,
            end_ns=start + duration,
            request_bytes=request,
            response_bytes=response,
            follows=follows,
            operation=operation,
        )


def _column(values: Sequence[int], origin: str, unit_ns: int) -> IntArray:
    """Numbers as a column of ns; those that no clock shows are refused."""
    try:
        column = np.array(values, dtype=np.int64)
    except (OverflowError, ValueError, TypeError) as error:
        raise UsageError(f"{origin}: a span with a time beyond all bounds; correct or remove its trace") from error
    if column.size and (np.abs(column).max() > 2**62 // unit_ns or column.min() < -(2**62)):
        raise UsageError(f"{origin}: a span with a time beyond all bounds; correct or remove its trace")
    return column * unit_ns
