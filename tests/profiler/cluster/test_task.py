"""The task of the profiler's pod."""

import json

import pytest

from profiler.campaign.settings import ProfileSettings
from profiler.cluster.task import HopPlace, Task
from profiler.errors import MeshInsightError

TASK = Task(
    settings=ProfileSettings(protocols=("http1",), rates_rps=(None, 100.0), filters=((), ("rbac",))),
    command=("meshinsight", "profile", "--cluster"),
    version="1.0",
    proxy_process="envoy",
    places={"http1-both": HopPlace("10.0.0.1", 8080, "containerd://a", "containerd://b", "containerd://c")},
)


def test_a_task_survives_its_way_into_the_pod() -> None:
    assert Task.from_json(json.loads(json.dumps(TASK.to_json()))) == TASK


def test_a_task_of_another_version_is_refused() -> None:
    with pytest.raises(MeshInsightError, match=r"understands tasks of version 1, this is .* 2; use the image"):
        Task.from_json({**TASK.to_json(), "version": 2})
