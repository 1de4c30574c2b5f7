"""Events of the message timeline, by kind. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

SYSCALL_ENTER, SYSCALL_EXIT, SOFTIRQ_ENTER, SOFTIRQ_EXIT, WAKING, SWITCH_OUT, SWITCH_IN = range(1, 8)


@dataclass(frozen=True)
class CpuTopology:
    """The core and the last-level cache of each CPU, as numbers. CPUs of which it is not known are left out."""

    cores: Mapping[int, int] = field(default_factory=dict)
    caches: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class TimelineEvents:
    """Events of one window in time order. The arrays have one entry per event.

    `value` is the system call number, the return value, the waking thread or the state, by `kind`. `cpu` is where the
    event was recorded: of a wake-up the waker's CPU. With `wired` the events come from two machines, joined by
    attribution/two_clocks.py.
    """

    stamp_ns: npt.NDArray[np.int64]
    tid: npt.NDArray[np.int64]
    kind: npt.NDArray[np.int64]
    value: npt.NDArray[np.int64]
    cpu: npt.NDArray[np.int64]
    places: dict[int, str]
    dropped: int
    topology: CpuTopology = field(default_factory=CpuTopology)
    wired: bool = False

    def __len__(self) -> int:
        return len(self.stamp_ns)

    def between(self, start_ns: int, end_ns: int) -> "TimelineEvents":
        """The events stamped in [start_ns, end_ns)."""
        first, last = np.searchsorted(self.stamp_ns, [start_ns, end_ns])
        return self._part(slice(int(first), int(last)))

    def _part(self, part: slice) -> "TimelineEvents":
        return replace(
            self,
            stamp_ns=self.stamp_ns[part],
            tid=self.tid[part],
            kind=self.kind[part],
            value=self.value[part],
            cpu=self.cpu[part],
        )
