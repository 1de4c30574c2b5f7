"""`look`: wait for an order, attach to containers of this node as it says, and print what was found.

It prints one JSON object a line: `{"say"}`, and at last `{"attached", "stacks"}`.
"""

import os
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from profiler.attach.attach import attach
from profiler.attach.measuring import Settings
from profiler.attach.targets import Target
from profiler.cluster.agent.containers import container_pids, named
from profiler.cluster.agent.task_file import awaited_task, say
from profiler.errors import MeshInsightError
from profiler.profile.stacks import packed


def main(arguments: Sequence[str]) -> None:
    """Raises MeshInsightError where nothing could be looked at."""
    order = awaited_task()
    cgroups = Path(os.environ.get("MESHINSIGHT_CGROUPS", "/sys/fs/cgroup"))
    targets = [_target(one, cgroups) for one in order["targets"]]
    found, _ = attach(targets, Settings(order["duration_s"], order["max_ratio"]), lambda text: say({"say": text}))
    say({"attached": found.as_json(), "stacks": b64encode(packed(found.stacks)).decode()})


def _target(order: Mapping[str, Any], cgroups: Path) -> Target:
    pids = container_pids(order["container_id"], cgroups)
    chosen = named(pids, order["process"]) if order["process"] else pids
    if not chosen:
        raise MeshInsightError(f"{order['label']}: has no process called {order['process']}")
    return Target(order["label"], tuple(chosen))
