"""The task of the profiler's pod."""

import json
from dataclasses import replace

import pytest

from profiler.cluster.objects.mesh import load_mesh
from profiler.cluster.run.task import HopPlace, MeshProxy, SidecarPlace, Task
from profiler.errors import MeshInsightError
from profiler.planning.settings import ProfileSettings

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
    begun={"cluster": "0123", "node": "worker-1"},
    finished={"run.json": "{}", "000-a.json": "{}"},
)


def test_a_task_survives_its_way_into_the_pod() -> None:
    for task in (TASK, replace(TASK, assistant=None)):
        assert Task.from_json(json.loads(json.dumps(task.to_json()))) == task


def test_a_task_of_another_version_is_refused() -> None:
    with pytest.raises(MeshInsightError, match=r"understands tasks of version 4, this is .* 3; use the image"):
        Task.from_json({**TASK.to_json(), "version": 3})


@pytest.mark.parametrize("value", [None, 7, "x", [1], {"a": 1}])
@pytest.mark.parametrize("key", sorted(set(TASK.to_json()) - {"format", "version"}))
def test_a_task_with_values_of_other_types_is_one_error(key: str, value: object) -> None:
    allowed = [("assistant", None), ("assistant", "x"), ("meshinsight_version", "x"), ("cluster", {"a": 1})]
    if (key, value) not in allowed:
        with pytest.raises(MeshInsightError, match=r"^[^\n]+$"):
            Task.from_json({**TASK.to_json(), key: value})


@pytest.mark.parametrize("document", [None, 7, [], {}, "x"])
def test_what_is_no_task_is_refused(document: object) -> None:
    with pytest.raises(MeshInsightError, match="understands tasks of version 4"):
        Task.from_json(document)
