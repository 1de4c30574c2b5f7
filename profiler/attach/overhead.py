"""What attaching costs the processes it looks at, and the rule by which that stays below a bound. Pure: no I/O.

Three things cost: the probes while they are attached, sampling, and this tool's own CPU time. Each is told as a share,
and the largest of what it may be is taken: a probe hit costs the process it happens in, so the probes' share is the
larger one of that in the CPU time of the processes looked at and that in the CPU time of the whole machine.
"""

from dataclasses import dataclass
from typing import Final

from profiler.probes.calls import Hits
from profiler.probes.calls_calibration import HitCost

SAMPLE_NS: Final = 10_000
"""What one sample of perf costs the CPU it is taken on: a guess on the safe side."""

_MOST_SAMPLES: Final = 300_000
"""Of all CPUs together: a long look needs no more, and reading them takes time."""

_SAMPLING_PART: Final = 0.3
_AIM: Final = 0.85
"""The part of the bound that is aimed at; the rest is for the unforeseen, such as a burst that lasts longer."""
_FIRST_RATIO: Final = 0.2
_FIRST_TOOL_NS: Final = 4e6
"""What the first burst is expected to cost, before any was seen."""
_LEAST_VCPUS: Final = 0.05
"""Processes that use less than this are taken to use it: a share of next to nothing would forbid everything."""

MOST_HZ: Final = 997
LEAST_HZ: Final = 5


def sampling_hz(max_ratio: float, duration_s: float, cpus: int) -> int:
    """How often to sample each CPU under a bound; 0 where it allows no useful frequency."""
    frequency = int(_SAMPLING_PART * max_ratio * 1e9 / SAMPLE_NS)
    if frequency < LEAST_HZ:
        return 0
    return min(frequency, MOST_HZ, max(LEAST_HZ, int(_MOST_SAMPLES / (duration_s * cpus))))


def burst_ratio(cost: HitCost, hits: Hits, burst_ns: float, vcpus: float, cpus: int) -> float:
    """The probes' share of CPU time while a burst lasts.

    Args:
        cost: of one hit.
        hits: by the processes looked at and by all others, during the burst.
        burst_ns: how long the probes were attached.
        vcpus: what the processes looked at use.
        cpus: what the machine has.
    """
    theirs_ns = hits.chosen * cost.chosen_ns + hits.waking * cost.waking_ns
    others_ns = hits.other * cost.other_ns + hits.other_waking * cost.waking_ns
    of_theirs = theirs_ns / (max(vcpus, _LEAST_VCPUS) * burst_ns)
    return max(of_theirs, (theirs_ns + others_ns) / (cpus * burst_ns))


@dataclass
class Ledger:
    """Keeps account of the overhead since the measuring began, and says when the next burst may begin.

    `probes_ns` and `sampling_ns` are time weighted by what they take of it; `tool_cpu_ns` is this tool's CPU time, of
    which the share of the whole machine counts.
    """

    max_ratio: float
    cpus: int
    frequency_hz: int
    probes_ns: float = 0.0
    sampling_ns: float = 0.0
    tool_cpu_ns: float = 0.0
    _last_ratio: float = _FIRST_RATIO
    _last_tool_ns: float = _FIRST_TOOL_NS

    @property
    def sampling_ratio(self) -> float:
        """The share of CPU time that sampling takes while it is on."""
        return self.frequency_hz * SAMPLE_NS / 1e9

    def ratio(self, elapsed_ns: float) -> float:
        """The estimated overhead of everything until now."""
        return self._spent_ns / elapsed_ns if elapsed_ns > 0 else 0.0

    def note(self, passed_ns: float, tool_cpu_ns: float, *, sampling: bool) -> None:
        """Note that time has passed, and this tool's CPU time since the beginning."""
        self.sampling_ns += passed_ns * self.sampling_ratio * sampling
        self.tool_cpu_ns = tool_cpu_ns

    def add_burst(self, ratio: float, attached_ns: float, tool_cpu_ns: float) -> None:
        """Note the probes' share of CPU time in a burst, for how long that was, and the tool's CPU time for it."""
        self.probes_ns += ratio * attached_ns
        self._last_ratio, self._last_tool_ns = ratio, tool_cpu_ns

    def burst_in_ns(self, elapsed_ns: float, burst_ns: float) -> float:
        """In how much time a burst like the last, so long, keeps what is aimed at; infinite if never."""
        expected_ns = self._last_ratio * burst_ns + self._last_tool_ns / self.cpus
        lacking_ns = self._spent_ns + expected_ns - _AIM * self.max_ratio * elapsed_ns
        gained_per_ns = _AIM * self.max_ratio - self.sampling_ratio
        return max(0.0, lacking_ns / gained_per_ns) if gained_per_ns > 0 else float("inf")

    def may_sample(self, elapsed_ns: float, *, now: bool) -> bool:
        """Whether sampling may be on: what is on `now` until the bound is reached, then not before what is aimed at."""
        return self.ratio(elapsed_ns) <= self.max_ratio * (1 if now else _AIM)

    @property
    def _spent_ns(self) -> float:
        return self.probes_ns + self.sampling_ns + self.tool_cpu_ns / self.cpus
