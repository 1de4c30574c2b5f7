"""Files by which the commands of a profiler's container talk to each other.

`begin` leaves the task that `measure` or `look` waits for; `stop` and `done` end `measure`. This imports little, since
each command is a process and the container ends soon after `done`.
"""

import math
import sys
from pathlib import Path
from typing import Any, Final

from profiler.errors import MeshInsightError
from profiler.files.json_text import json_line, parse_json
from profiler.host.waiting import wait_until

FOLDER: Final = Path("/run/meshinsight-task")
TASK: Final = FOLDER / "task.json"
RESULT: Final = FOLDER / "result"
FETCHED: Final = FOLDER / "fetched"
PID: Final = FOLDER / "pid"
_POLL_S: Final = 0.2


def wait_for(path: Path, within_s: float = math.inf) -> None:
    """Return once the file is there, or `within_s` is over."""
    wait_until(path.exists, within_s, every_s=_POLL_S)


def awaited_task() -> Any:
    """The task, once it is there. Raises MeshInsightError for one that is damaged."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    wait_for(TASK)
    return parse_json(TASK.read_bytes(), "the task", "use the image of this release", MeshInsightError)


def say(what: dict[str, Any]) -> None:
    """Tell who follows the container's log, one document a line."""
    sys.stdout.write(json_line(what))
    sys.stdout.flush()
