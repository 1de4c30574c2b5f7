"""`measure`: wait for a task, measure it in the pods of the run, and hold the result until it has been fetched.

Told to stop (SIGINT of `stop`, or SIGTERM when its pod is evicted) it ends early with what is finished.

It prints one JSON object a line: `{"label", "left_s"}` before each step, and at last `{"result", "error"}`, where
`result` is a folder, and `error` what ended the run early or null.
"""

import json
import math
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from profiler.campaign.profiling import Invocation, Profiling
from profiler.cluster.pod.in_pods import InPods
from profiler.cluster.task import Task
from profiler.errors import MeshInsightError
from profiler.interrupts import Interrupted

FOLDER: Final = Path("/run/meshinsight-task")
TASK: Final = FOLDER / "task.json"
RESULT: Final = FOLDER / "result"
FETCHED: Final = FOLDER / "fetched"
PID: Final = FOLDER / "pid"
_POLL_S: Final = 0.2
_FETCHED_WITHIN_S: Final = 15.0
"""How long an evicted pod holds its result; its grace period is a little longer."""


def main(arguments: Sequence[str]) -> None:
    """Raises MeshInsightError where there is nothing to fetch."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    PID.write_text(str(os.getpid()))
    _wait_for(TASK)
    early = _measured(Task.from_json(json.loads(TASK.read_text())))
    error = None if early is None else str(early)
    if not RESULT.exists():
        raise MeshInsightError(error or "nothing was measured")
    _say({"result": str(RESULT), "error": error})
    evicted = isinstance(early, Interrupted) and early.signum == signal.SIGTERM
    _wait_for(FETCHED, _FETCHED_WITHIN_S if evicted else math.inf)  # or for the pod's deadline


def _measured(task: Task) -> BaseException | None:
    """Measure into RESULT. Returns what ended the run early, None if nothing did."""
    try:
        profiling = Profiling(task.settings, Invocation(task.command, task.version), testbed=InPods(task))
        outcome = profiling.run(RESULT, lambda label, left_s: _say({"label": label, "left_s": left_s}))
    except (MeshInsightError, Interrupted) as error:
        return error
    return outcome.interrupted


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def _wait_for(path: Path, within_s: float = math.inf) -> None:
    end_s = time.monotonic() + within_s
    while not path.exists() and time.monotonic() < end_s:
        time.sleep(_POLL_S)
