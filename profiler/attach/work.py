"""How much a process works, by counters that are cheap to read: what bursts of milliseconds are scaled to the whole by.

Load is uneven, and the probes slow a busy proxy down while they are attached: what it does in one second of bursts is
further from its average than what it does for a number of TCP segments, or in a second of its CPU time.
"""

import os
import re
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from profiler.host.accounting import run_time_ns

_TCP: Final = re.compile(r"^Tcp: (.*)\nTcp: ([-\d ]+)$", re.MULTILINE)
_COUNTED: Final = ("InSegs", "OutSegs")
_AT_ONCE_NS: Final = 300_000
"""What reading takes at most where it was not interrupted, with a margin: 20 to 100 µs."""
_MOST_READINGS: Final = 3
_LONGEST_TABLE: Final = 1 << 16
_LEAST_BURSTS: Final = 3
"""Of fewer it cannot be seen which counter goes with the messages; segments then count, where there are any."""
_CLEARLY: Final = 4.0
"""So many times as far from the messages as another must a counter be to be given up: a burst's ends cut requests."""


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


def read_work(pid: int, proc: Path = Path("/proc")) -> Work:
    """The counters of a process, and when they were read by the monotonic clock; 0 segments where they are not shown.

    On a busy machine another process may have the CPU during a reading, for longer than a burst: then it is repeated,
    and the shortest one counts.
    """
    readings = []
    with suppress(OSError), (proc / str(pid) / "net" / "snmp").open("rb", buffering=0) as table:
        for _ in range(_MOST_READINGS):
            before_ns = time.monotonic_ns()
            text = os.pread(table.fileno(), _LONGEST_TABLE, 0).decode(errors="replace")
            run_ns = run_time_ns(pid)
            took_ns = time.monotonic_ns() - before_ns
            readings.append((took_ns, Work(before_ns + took_ns // 2, run_ns, tcp_segments(text))))
            if took_ns <= _AT_ONCE_NS:
                break
    return min(readings, key=lambda one: one[0])[1] if readings else Work(time.monotonic_ns(), run_time_ns(pid))


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
    """For how many seconds of the whole time bursts stand, by the counter that messages went with.

    That is TCP segments, unless CPU time goes with them clearly more closely, then that, unless time does: the probes
    make each message take more time and CPU time, but no more segments.

    Args:
        messages: how many there were in each burst.
        bursts: the work in each burst, of the same processes.
        whole: the work in the whole time.
    """
    columns = [[burst.counters[number] for burst in bursts] for number in range(len(whole.counters))]
    known = [(column, total) for column, total in zip(columns, whole.counters, strict=True) if sum(column) and total]
    if not known or not sum(messages):
        return sum(columns[0]) / 1e9
    far = [_distance(messages, column) for column, _ in known]
    near = [one for one, distance in zip(known, far, strict=True) if distance <= _CLEARLY * min(far)]
    column, total = (known if len(bursts) < _LEAST_BURSTS else near)[-1]
    return sum(column) / total * whole.passed_ns / 1e9


def _distance(messages: Sequence[int], column: Sequence[int]) -> float:
    """How far the messages of bursts are from a constant number for each count of a counter."""
    each = sum(messages) / sum(column)
    return sum((count - each * part) ** 2 for count, part in zip(messages, column, strict=True))
