"""h2load as the closed-loop generator: it logs every request, with a resolution of one microsecond.

It is not used for open loops: its `--rps` fires in ticks of 10 ms, so requests come in bunches
(see docs/explanation/method.md).
"""

import time
import warnings
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from profiler.errors import ProcessError
from profiler.host.programs import first_line, require_program
from profiler.text import error_line
from profiler.vocabulary.load import Load
from profiler.vocabulary.protocols import HTTP1
from profiler.workload.base import LoadResult, Target, UnansweredError

_HALF_MICROSECOND_NS: Final = 500
_COLUMNS: Final = 3
_LEAST: Final = -1
"""The status of a request that failed."""
_MOST_US: Final = 1 << 52
"""In the year 2112; in nanoseconds it is still a 64-bit number."""
_WINDOW_BITS: Final = 30
"""Flow control out of the way: it would turn large answers into round trips."""


class H2load:
    """HTTP/1.1, HTTP/2 and gRPC over any number of connections, one request in flight on each."""

    name = "h2load"

    def version(self) -> str:
        return first_line(require_program("h2load", "nghttp2-client"), "--version").removeprefix("h2load ")

    def argv(self, target: Target, load: Load, duration_s: float, directory: Path) -> list[str]:
        program = require_program("h2load", "nghttp2-client")
        command = [program, f"--clients={load.connections}", f"--duration={round(duration_s * 1000)}ms"]
        if target.application == HTTP1:
            command.append("--h1")
        else:
            bits = str(_WINDOW_BITS)
            command += ["--max-concurrent-streams=1", "--window-bits", bits, "--connection-window-bits", bits]
        if body := target.body(load):
            file = directory / f"request-{target.application}-{load.request_bytes}"
            file.write_bytes(body)
            command.append(f"--data={file}")
        command += [f"--header={name}: {value}" for name, value in target.header_lines(load)]
        log = directory / "h2load.log"
        log.unlink(missing_ok=True)  # h2load appends
        address = target.address
        if address.socket:
            command.append(f"--base-uri=unix:{address.socket}")
        host = "localhost" if address.socket else f"{address.host}:{address.port}"
        return [*command, f"--log-file={log}", f"http://{host}{target.path(load)}"]

    def started(self, directory: Path) -> bool:
        return (directory / "h2load.log").exists()  # it is opened just before the first request

    def result(self, directory: Path) -> LoadResult:
        log = directory / "h2load.log"
        if not log.exists() or log.stat().st_size == 0:
            raise UnansweredError("h2load answered no request")
        rows = _logged(log)
        answered = rows[(rows[:, 1] >= 200) & (rows[:, 1] < 300)]
        clock_offset_ns = time.time_ns() - time.monotonic_ns()
        due_ns = answered[:, 0] * 1000 - clock_offset_ns
        order = np.argsort(due_ns, kind="stable")
        # h2load cuts to whole microseconds; the middle of the microsecond is the unbiased reading.
        latency_ns = answered[:, 2] * 1000 + _HALF_MICROSECOND_NS
        statuses, counts = np.unique(rows[rows[:, 1] >= 300, 1], return_counts=True)
        refused = dict(zip(statuses.tolist(), counts.tolist(), strict=True))
        return LoadResult(due_ns[order], latency_ns[order], len(rows) - len(answered), refused)


def _logged(log: Path) -> npt.NDArray[np.int64]:
    """Rows of start (µs since 1970), HTTP status and duration (µs). Raises ProcessError for anything else."""
    try:
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # about a log without rows
            rows = np.loadtxt(log, dtype=np.int64, ndmin=2, encoding="utf-8")
    except (ValueError, OverflowError) as error:
        raise ProcessError(
            f"{log.name}: not a log of h2load: {error_line(error)}; use the h2load of nghttp2"
        ) from error
    if not rows.size:
        raise UnansweredError("h2load answered no request")
    if rows.shape[1] != _COLUMNS:
        raise ProcessError(
            f"{log.name}: not a log of h2load: {rows.shape[1]} columns, expected {_COLUMNS}; use the h2load of nghttp2"
        )
    if not ((rows >= _LEAST) & (rows <= _MOST_US)).all():
        raise ProcessError(f"{log.name}: not a log of h2load: times beyond all bounds; use the h2load of nghttp2")
    return rows
