"""The own generator as the testbed starts it: open loops, and everything with a new connection per request.

Written here because none of the packaged generators keeps a schedule to the microsecond: h2load fires every 10 ms, wrk
has no rate, sockperf speaks no HTTP (see docs/explanation/method.md).
"""

import json
from pathlib import Path

import numpy as np

from profiler.errors import ProcessError
from profiler.files.folders import write_private
from profiler.host.interpreter import module_command
from profiler.vocabulary.load import Load
from profiler.workload.base import LoadResult, Target
from profiler.workload.generators.own_process import started_mark


class OwnGenerator:
    """HTTP/1.1, HTTP/2 and gRPC over any number of connections, timed from when each request was due."""

    name = "meshinsight-load"

    def version(self) -> str:
        return "2"

    def argv(self, target: Target, load: Load, duration_s: float, directory: Path) -> list[str]:
        out = directory / "load.bin"
        out.unlink(missing_ok=True)
        started_mark(out).unlink(missing_ok=True)
        body = directory / "load.body"
        write_private(body, target.body(load))
        address = target.address
        order = directory / "load.json"
        write_private(  # not readable by others: headers hold the run's token
            order,
            json.dumps(
                {
                    "address": str(address.socket) if address.socket else [address.host, address.port],
                    "application": target.application,
                    "path": target.path(load),
                    "headers": target.header_lines(load),
                    "body": str(body),
                    "connections": load.connections,
                    "rate_rps": load.rate_rps,
                    "duration_s": duration_s,
                    "new_connections": load.new_connections,
                    "out": str(out),
                }
            ),
        )
        return module_command("profiler.workload.generators.own_process", str(order))

    def started(self, directory: Path) -> bool:
        return started_mark(directory / "load.bin").exists()

    def result(self, directory: Path) -> LoadResult:
        out = directory / "load.bin"
        if not out.exists():
            raise ProcessError("the load generator left no samples")
        numbers = np.fromfile(out, "<i8")
        rows = numbers[: len(numbers) // 2 * 2].reshape(-1, 2)  # killed while it wrote, the last one is cut
        answered = rows[rows[:, 1] >= 0]
        answered = answered[np.argsort(answered[:, 0], kind="stable")]
        return LoadResult(answered[:, 0], answered[:, 1], len(rows) - len(answered))
