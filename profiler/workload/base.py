"""What a load generator and a server are, and what a window of load returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from profiler.errors import MeshInsightError, ProcessError
from profiler.vocabulary.addresses import Address
from profiler.vocabulary.load import Load
from profiler.vocabulary.protocols import GRPC
from profiler.workload.generators.connections import grpc_frame


class UnansweredError(ProcessError):
    """Not one request of a window of load was answered."""


class RefusedError(MeshInsightError):
    """Most requests of a window of load were answered with an error status: to try again changes nothing."""


@dataclass(frozen=True)
class Target:
    """Where load is sent, and what the server there speaks."""

    address: Address
    application: str

    def path(self, load: Load) -> str:
        """The path of a request. A gRPC method has a name like any other; the ending is for the server's file types."""
        return f"/meshinsight.Echo{load.answer}.grpc" if self.application == GRPC else load.answer

    def body(self, load: Load) -> bytes:
        """The request's body: `request_bytes` long, and framed where that is a gRPC message."""
        payload = b"q" * load.request_bytes
        return grpc_frame(payload) if self.application == GRPC else payload

    def header_lines(self, load: Load) -> list[tuple[str, str]]:
        """The request's headers beyond those of the protocol."""
        grpc = [("content-type", "application/grpc"), ("te", "trailers")] if self.application == GRPC else []
        return [*grpc, *load.header_lines()]


@dataclass(frozen=True)
class LoadResult:
    """Every request of a window, in order of sending. Arrays have one entry per request that was answered.

    `due_ns` is the monotonic time a request was sent, or was due in an open loop; `latency_ns` counts from there.
    `refused` counts the failed ones by the HTTP status of their answer, as far as the generator knows it.
    """

    due_ns: npt.NDArray[np.int64]
    latency_ns: npt.NDArray[np.int64]
    failed: int
    refused: Mapping[int, int] = field(default_factory=dict)

    def between(self, start_ns: int, end_ns: int) -> npt.NDArray[np.int64]:
        """Latencies of the requests due in [start_ns, end_ns)."""
        first, last = np.searchsorted(self.due_ns, [start_ns, end_ns])
        return self.latency_ns[first:last]

    def rate_rps(self, start_ns: int, end_ns: int) -> float:
        """Requests answered per second of [start_ns, end_ns)."""
        done_ns = self.due_ns + self.latency_ns
        return float(np.count_nonzero((done_ns >= start_ns) & (done_ns < end_ns)) / ((end_ns - start_ns) / 1e9))

    def served(self, start_ns: int, end_ns: int) -> float:
        """Requests worked on in [start_ns, end_ns); one that goes on beyond an end counts by its part in there."""
        done_ns = self.due_ns + self.latency_ns
        within_ns = np.minimum(done_ns, end_ns) - np.maximum(self.due_ns, start_ns)
        return float((np.maximum(0, within_ns) / np.maximum(1, self.latency_ns)).sum())


class LoadGenerator(Protocol):
    """A program that sends requests to one address and keeps the time of each."""

    name: str

    def version(self) -> str:
        """Its version. Raises MissingError when it is not installed."""

    def argv(self, target: Target, load: Load, duration_s: float, directory: Path) -> list[str]:
        """The command that puts `load` on the target for `duration_s` and leaves its samples in `directory`."""

    def started(self, directory: Path) -> bool:
        """Whether the command has begun to send."""

    def result(self, directory: Path) -> LoadResult:
        """Read what the command left. Raises ProcessError when it is unusable."""


@dataclass(frozen=True)
class Answers:
    """All answers of the run, which servers are set up for: (bytes, messages) each, and the largest request."""

    sizes: tuple[tuple[int, int], ...]
    largest_request_bytes: int


class Server(Protocol):
    """A program that answers every request with a given number of bytes once it has read all of it."""

    name: str
    applications: tuple[str, ...]
    unix_sockets: bool
    """Whether it can listen on a Unix domain socket as well."""

    def version(self) -> str:
        """Its version. Raises MissingError when it is not installed."""

    def port(self, application: str) -> int:
        """The port that it serves the application's protocol on."""

    def socket(self, application: str, directory: Path) -> Path:
        """The Unix domain socket that it serves the same on, where it can."""

    def argv(self, directory: Path, answers: Answers) -> list[str]:
        """Write its configuration into `directory` and return the command that serves all its applications."""
