"""What a load generator and a server are, and what a window of load returns."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Load:
    """What is asked of a load generator.

    `rate_rps` None is a closed loop: each connection sends its next request when it has the answer to the last.
    A rate is an open loop over all connections: requests are due at fixed times whatever the answers do.
    """

    connections: int
    rate_rps: float | None
    request_bytes: int
    response_bytes: int

    @property
    def serial(self) -> bool:
        """Whether at most one request is in flight at a time."""
        return self.connections == 1


@dataclass(frozen=True)
class LoadResult:
    """Every request of a window, in order of sending. Arrays have one entry per request that was answered.

    `due_ns` is the monotonic time a request was sent, or was due in an open loop; `latency_ns` counts from there.
    """

    due_ns: npt.NDArray[np.int64]
    latency_ns: npt.NDArray[np.int64]
    failed: int

    def between(self, start_ns: int, end_ns: int) -> npt.NDArray[np.int64]:
        """Latencies of the requests due in [start_ns, end_ns)."""
        first, last = np.searchsorted(self.due_ns, [start_ns, end_ns])
        return self.latency_ns[first:last]

    def rate_rps(self, start_ns: int, end_ns: int) -> float:
        """Requests answered per second of [start_ns, end_ns)."""
        done_ns = self.due_ns + self.latency_ns
        return float(np.count_nonzero((done_ns >= start_ns) & (done_ns < end_ns)) / ((end_ns - start_ns) / 1e9))


class LoadGenerator(Protocol):
    """A program that sends requests to one address and keeps the time of each."""

    name: str

    def version(self) -> str:
        """Its version. Raises MissingError when it is not installed."""

    def argv(self, address: str, port: int, load: Load, duration_s: float, directory: Path) -> list[str]:
        """The command that puts `load` on the server for `duration_s` and leaves its samples in `directory`."""

    def started(self, directory: Path) -> bool:
        """Whether the command has begun to send."""

    def result(self, directory: Path) -> LoadResult:
        """Read what the command left. Raises ProcessError when it is unusable."""


class Server(Protocol):
    """A program that answers every request with a given number of bytes once it has read all of it."""

    name: str
    port: int

    def version(self) -> str:
        """Its version. Raises MissingError when it is not installed."""

    def argv(self, directory: Path, response_bytes: tuple[int, ...], largest_request_bytes: int) -> list[str]:
        """Write its configuration into `directory` and return the command that serves it."""
