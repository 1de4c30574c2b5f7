"""The plan of a run on a cluster, as it is printed."""

import io
import json
from typing import Any

import pytest

from meshinsight.reports.formats import FORMATS
from meshinsight.reports.subjects.cluster_plan import ClusterRunPlan, report
from profiler.cluster.objects.rendering import render
from profiler.cluster.run.continuing import Where
from profiler.cluster.run.permissions import needed
from profiler.cluster.run.running import cluster_plan
from profiler.measuring.profiling import Schedule
from profiler.planning.settings import ProfileSettings

EVERYTHING = ProfileSettings(protocols=("tcp", "http1", "http2", "grpc"), tls=("none", "mtls"), topologies=("both",))
LONG = "registry.example/a/long/name/of/an/image/that/somebody/has/in/a/registry/meshinsight:1.2.3-amd64"


def printed(form: str = "table", settings: ProfileSettings = EVERYTHING, **where: Any) -> str:
    plan = cluster_plan(settings, Where(**{"image": "image", **where}))
    schedule = Schedule(settings)
    text = io.StringIO()
    FORMATS[form](report(ClusterRunPlan(plan, render(plan), schedule.listing(), schedule.settings, needed(plan))), text)
    return text.getvalue()


@pytest.mark.parametrize(
    "where",
    [
        {},
        {"image": LONG, "mesh": "istio", "namespace": "a-namespace-with-quite-a-long-name"},
        {
            "node": "ip-10-0-0-1.eu-central-1.compute.internal",
            "server_node": "ip-10-0-0-2.eu-central-1.compute.internal",
        },
    ],
)
def test_it_is_one_screen(where: dict[str, Any]) -> None:
    lines = printed(**where).splitlines()
    assert len(lines) <= 24
    assert [line for line in lines if len(line) > 80 and LONG not in line] == []


def test_it_counts_what_is_rendered() -> None:
    document = json.loads(printed("json"))
    plan = cluster_plan(EVERYTHING, Where("image"))
    assert sum(document["objects"].values()) == len(render(plan))
    assert document["objects"]["Pod"] == len(plan.pods()) + 1


def test_it_says_what_is_root_and_on_which_parts_of_the_node() -> None:
    root = json.loads(printed("json"))["root"]
    assert set(root) == {"profiler", "capture"}
    assert root["capture"] == "NET_ADMIN, NET_RAW"
    assert "SYS_ADMIN" in root["profiler"]
    assert "hostPID, /sys/kernel/tracing of the node, /sys/fs/cgroup of the node" in root["profiler"]


def test_it_promises_a_time_and_a_deadline() -> None:
    document = json.loads(printed("json"))
    assert 0 < document["expected_s"] < document["deadline_s"] <= 3600


def test_across_nodes_it_names_both() -> None:
    assert "clients on a, servers on b" in printed(node="a", server_node="b")
