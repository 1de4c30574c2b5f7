"""`measure`: wait for a task, measure it in the pods of the run, and hold the result until it has been fetched.

Told to stop (SIGINT of `stop`, or SIGTERM when its pod is evicted) it ends early with what is finished.

It prints one JSON object a line: `{"label", "left_s"}` before each step, and at last `{"result", "error"}`, where
`result` is a folder, and `error` what ended the run early or null.
"""

import math
import os
import signal
from collections.abc import Sequence
from typing import Final

from profiler.cluster.agent.task_file import FETCHED, FOLDER, PID, RESULT, awaited_task, say, wait_for
from profiler.cluster.agent.testbed import InPods
from profiler.cluster.run.task import Task
from profiler.errors import MeshInsightError
from profiler.host.interrupts import Interrupted
from profiler.measuring.journal import Journal
from profiler.measuring.profiling import Invocation, Profiling
from profiler.profile.document import FILE_NAME

_FETCHED_WITHIN_S: Final = 15.0
"""How long an evicted pod holds its result; its grace period is a little longer."""


def main(arguments: Sequence[str]) -> None:
    """Raises MeshInsightError where there is nothing to fetch."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    PID.write_text(str(os.getpid()))
    early = _measured(Task.from_json(awaited_task()))
    error = None if early is None else str(early)
    if not (RESULT / FILE_NAME).exists():
        raise MeshInsightError(error or "nothing was measured")
    say({"result": str(RESULT), "error": error})
    evicted = isinstance(early, Interrupted) and early.signum == signal.SIGTERM
    wait_for(FETCHED, _FETCHED_WITHIN_S if evicted else math.inf)  # or for the pod's deadline


def _measured(task: Task) -> BaseException | None:
    """Measure into RESULT what is not finished. Returns what ended the run early, None if nothing did."""
    if task.finished:
        Journal(RESULT).restore(task.finished)
    try:
        profiling = Profiling(task.settings, Invocation(task.command, task.version), testbed=InPods(task))
        outcome = profiling.run(RESULT, lambda label, left_s: say({"label": label, "left_s": left_s}))
    except (MeshInsightError, Interrupted) as error:
        return error
    return outcome.interrupted
