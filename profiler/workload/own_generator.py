"""The open-loop generator as the testbed starts it.

Written here because none of the packaged generators keeps a schedule to the microsecond: h2load fires every 10 ms, wrk
has no rate, sockperf speaks no HTTP (see docs/method.md).
"""

import sys
from pathlib import Path

import numpy as np

from profiler.errors import ProcessError
from profiler.workload.base import Load, LoadResult
from profiler.workload.openloop_process import started_mark


class OpenLoop:
    """HTTP/1.1 at a fixed rate over any number of connections, timed from when each request was due."""

    name = "meshinsight-openloop"

    def version(self) -> str:
        return "1"

    def argv(self, address: str, port: int, load: Load, duration_s: float, directory: Path) -> list[str]:
        out = directory / "openloop.bin"
        out.unlink(missing_ok=True)
        started_mark(out).unlink(missing_ok=True)
        numbers = (load.connections, load.rate_rps, duration_s, load.request_bytes)
        path = f"/{load.response_bytes}"
        return [
            *(sys.executable, "-m", "profiler.workload.openloop_process", address, str(port), path),
            *(str(number) for number in numbers),
            str(out),
        ]

    def started(self, directory: Path) -> bool:
        return started_mark(directory / "openloop.bin").exists()

    def result(self, directory: Path) -> LoadResult:
        out = directory / "openloop.bin"
        if not out.exists():
            raise ProcessError("the open-loop generator left no samples; see its log in the run's directory")
        rows = np.fromfile(out, "<i8").reshape(-1, 2)
        answered = rows[rows[:, 1] >= 0]
        answered = answered[np.argsort(answered[:, 0], kind="stable")]
        return LoadResult(answered[:, 0], answered[:, 1], len(rows) - len(answered))
