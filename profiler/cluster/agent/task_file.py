"""Files by which the commands of a profiler's container talk to each other.

`begin` leaves the task that `measure` or `look` waits for; `stop` and `done` end `measure`. This imports little, since
each command is a process and the container ends soon after `done`.
"""

import math
import time
from pathlib import Path
from typing import Final

FOLDER: Final = Path("/run/meshinsight-task")
TASK: Final = FOLDER / "task.json"
RESULT: Final = FOLDER / "result"
FETCHED: Final = FOLDER / "fetched"
PID: Final = FOLDER / "pid"
_POLL_S: Final = 0.2


def wait_for(path: Path, within_s: float = math.inf) -> None:
    """Return once the file is there, or `within_s` is over."""
    end_s = time.monotonic() + within_s
    while not path.exists() and time.monotonic() < end_s:
        time.sleep(_POLL_S)


def awaited_task() -> bytes:
    """The task, once it is there."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    wait_for(TASK)
    return TASK.read_bytes()
