"""What one window of load gave: latencies, exchanges, CPU times. Pure."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from profiler.attribution.latency import ExchangeTable
from profiler.attribution.statistics import spread_ties
from profiler.host.accounting import Noise, Reschedulings
from profiler.probes.cputime import CpuTimes
from profiler.probes.perf_sampling import SampledTimes

GUARD_NS: Final = 3_000_000
"""Left out after a phase's beginning and before its end, where probes are being attached."""

CLOCK_RESOLUTION_NS: Final = 1000
"""That of the load generators."""


@dataclass(frozen=True)
class Phase:
    """A part of a window in monotonic time, guards already off.

    In a probed one the timeline is attached for short bursts, which `bursts_ns` lists; the CPU probes stay attached.
    `counts` are readings of rescheduling interrupts in order: at both ends of each time without probes, and of each
    burst between two of them.
    """

    probed: bool
    start_ns: int
    end_ns: int
    bursts_ns: tuple[tuple[int, int], ...] = ()
    counts: tuple[Reschedulings, ...] = ()

    @property
    def seconds(self) -> float:
        return (self.end_ns - self.start_ns) / 1e9

    def gaps_ns(self) -> list[tuple[int, int]]:
        """The times between bursts, guards off on both sides."""
        ends = [last_ns for _, last_ns in self.bursts_ns]
        next_starts = [*(first_ns for first_ns, _ in self.bursts_ns[1:]), self.end_ns]
        gaps = [(end + GUARD_NS, start - GUARD_NS) for end, start in zip(ends, next_starts, strict=False)]
        return [(start, end) for start, end in gaps if start < end]

    def counted(self, *, in_bursts: bool) -> list[tuple[Reschedulings, Reschedulings]]:
        """The readings at both ends of each burst, or of each time between bursts."""
        pairs = list(zip(self.counts[::2], self.counts[1::2], strict=True))
        return pairs[1::2] if in_bursts else pairs[::2]


@dataclass(frozen=True)
class LatencyWindow:
    """What a window told about latency.

    `unprobed_ns` and `probed_ns` are the requests of the two kinds of phases; `burst_ns` those of the probed ones that
    were sent while the timeline was attached, `gap_ns` those sent between its bursts, `free_ns` all of the window that
    no probe touched. `exchanges` is None where several requests are in flight. `at_s` counts from the machine's start.
    `fewer_reschedulings` is how many fewer interrupts for hand-overs to another CPU a request had in bursts than
    outside of them; 0 where they are not counted.
    """

    at_s: float
    unprobed_ns: npt.NDArray[np.int64]
    probed_ns: npt.NDArray[np.int64]
    burst_ns: npt.NDArray[np.int64]
    gap_ns: npt.NDArray[np.int64]
    unprobed_rps: float
    probed_rps: float
    failed: int
    exchanges: ExchangeTable | None
    steady: bool
    noise: Noise
    fewer_reschedulings: float = 0.0

    @property
    def free_ns(self) -> npt.NDArray[np.int64]:
        return np.concatenate([self.unprobed_ns, self.gap_ns])


@dataclass(frozen=True)
class CoolingWindow:
    """A window without probes: each request's latency, and by part of the window the proxies' CPU time."""

    latency_ns: npt.NDArray[np.int64]
    proxy_ns: npt.NDArray[np.float64]
    requests: npt.NDArray[np.float64]


@dataclass(frozen=True)
class CpuWindow:
    """What a window told about CPU: requests answered in its phases, and who used the CPUs for what.

    `busy_ns` is the CPU time of the mesh, its applications and the kernel in the phases without probes, in which
    `free_requests` were answered: what users see. In the phases with tracepoints `requests` were answered in
    `traced_busy_ns`, which `times` split; in the one with samples `sampled_requests`, of which `samples` tell.
    `problem` says why `busy_ns` is not to be trusted, empty if it is. `free_reschedulings` and `traced_reschedulings`
    are how often the CPUs were interrupted in these two kinds of phases for a thread that another CPU woke, None where
    that is not counted.
    """

    requests: float
    achieved_rps: float
    busy_ns: float
    times: CpuTimes
    free_requests: float
    traced_busy_ns: float
    sampled_requests: float
    samples: SampledTimes | None
    proxy_ns_unprobed: float
    proxy_ns_probed: float
    noise: Noise
    problem: str = ""
    free_reschedulings: float | None = None
    traced_reschedulings: float | None = None

    @property
    def counts_reschedulings(self) -> bool:
        """Whether they were counted in both."""
        return self.free_reschedulings is not None and self.traced_reschedulings is not None

    @property
    def fewer_reschedulings(self) -> float:
        """How many fewer there were with tracepoints than without, for `requests` requests; 0 where not counted."""
        if self.free_reschedulings is None or self.traced_reschedulings is None:
            return 0.0
        return self.free_reschedulings * self.requests / self.free_requests - self.traced_reschedulings


def median_latency_ns(latencies_ns: npt.NDArray[np.int64]) -> float:
    """The median of latencies that are whole steps of the generator's clock."""
    return float(np.median(spread_ties(latencies_ns, CLOCK_RESOLUTION_NS)))
