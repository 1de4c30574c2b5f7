"""The task of the profiler's pod."""

import json
from dataclasses import replace

import pytest

from profiler.campaign.settings import ProfileSettings
from profiler.cluster.mesh import load_mesh
from profiler.cluster.task import HopPlace, MeshProxy, SidecarPlace, Task
from profiler.errors import MeshInsightError

TASK = Task(
    settings=ProfileSettings(protocols=("http1",), rates_rps=(None, 100.0), filters=((), ("rbac",))),
    command=("meshinsight", "profile", "--cluster"),
    version="1.0",
    proxy=MeshProxy("envoy", load_mesh("istio").version, load_mesh("istio").configuration),
    places={
        "http1-server": HopPlace(
            "10.0.0.1", 8080, "containerd://a", "containerd://b", None, SidecarPlace("containerd://c", "proxy@sha256:0")
        )
    },
    cluster={"kubernetes": "v1.35.4", "mesh": "istio"},
    assistant="10.0.0.9",
)


def test_a_task_survives_its_way_into_the_pod() -> None:
    for task in (TASK, replace(TASK, assistant=None)):
        assert Task.from_json(json.loads(json.dumps(task.to_json()))) == task


def test_a_task_of_another_version_is_refused() -> None:
    with pytest.raises(MeshInsightError, match=r"understands tasks of version 3, this is .* 4; use the image"):
        Task.from_json({**TASK.to_json(), "version": 4})
