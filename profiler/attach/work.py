"""How much a process works, by counters that are cheap to read: what bursts of milliseconds are scaled to the whole by.

Load is uneven, and the probes slow a busy proxy down while they are attached: what it does in one second of bursts is
further from its average than what it does for a number of TCP segments, or in a second of its CPU time.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from profiler.host.accounting import run_time_ns

_TCP: Final = re.compile(r"^Tcp: (.*)\nTcp: ([-\d ]+)$", re.MULTILINE)
_COUNTED: Final = ("InSegs", "OutSegs")
_LEAST_BURSTS: Final = 3
"""Of fewer it cannot be seen which counter goes with the messages; segments then count, where there are any."""


@dataclass(frozen=True)
class Work:
    """Time that passed and CPU time of a process, in nanoseconds, and TCP segments of its network namespace."""

    passed_ns: int = 0
    run_ns: int = 0
    segments: int = 0

    def since(self, earlier: "Work") -> "Work":
        """What came after an earlier reading."""
        pairs = zip(self.counters, earlier.counters, strict=True)
        return Work(*(max(0, now - before) for now, before in pairs))

    @property
    def counters(self) -> tuple[int, int, int]:
        return self.passed_ns, self.run_ns, self.segments


def read_work(pid: int, at_ns: int, proc: Path = Path("/proc")) -> Work:
    """The counters of a process now, `at_ns` by the monotonic clock; 0 segments where they are not shown."""
    try:
        text = (proc / str(pid) / "net" / "snmp").read_text(errors="replace")
    except OSError:
        text = ""
    return Work(at_ns, run_time_ns(pid), tcp_segments(text))


def tcp_segments(text: str) -> int:
    """The segments received and sent, in the text of a /proc/<pid>/net/snmp; 0 where it does not have them."""
    found = _TCP.search(text)
    if found is None:
        return 0
    numbers = dict(zip(found[1].split(), found[2].split(), strict=False))
    return sum(int(numbers[name]) for name in _COUNTED if re.fullmatch(r"\d{1,20}", numbers.get(name, "")))


def added(works: Iterable[Work]) -> Work:
    """The work of several processes at the same time."""
    rows = [work.counters for work in works]
    return Work(max(row[0] for row in rows), sum(row[1] for row in rows), sum(row[2] for row in rows))


def stand_for_s(messages: Sequence[int], bursts: Sequence[Work], whole: Work) -> float:
    """For how many seconds of the whole time bursts stand: by the counter that messages went with most closely.

    Args:
        messages: how many there were in each burst.
        bursts: the work in each burst, of the same processes.
        whole: the work in the whole time.
    """
    columns = [[burst.counters[number] for burst in bursts] for number in range(len(whole.counters))]
    known = [(column, total) for column, total in zip(columns, whole.counters, strict=True) if sum(column) and total]
    if not known or not sum(messages):
        return sum(columns[0]) / 1e9
    if len(bursts) < _LEAST_BURSTS:
        column, total = known[-1]
    else:
        column, total = min(known, key=lambda one: _distance(messages, one[0]))
    return sum(column) / total * whole.passed_ns / 1e9


def _distance(messages: Sequence[int], column: Sequence[int]) -> float:
    """How far the messages of bursts are from a constant number for each count of a counter."""
    each = sum(messages) / sum(column)
    return sum((count - each * part) ** 2 for count, part in zip(messages, column, strict=True))
