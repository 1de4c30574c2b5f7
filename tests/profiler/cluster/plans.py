"""Plans of small runs for tests."""

import time
from typing import Any, Final

from profiler.cluster.objects.mesh import load_mesh
from profiler.cluster.objects.plan import ClusterPlan
from profiler.vocabulary.hop import Hop
from profiler.workload.base import Answers

HOPS: Final = (
    Hop("none", "none"),
    Hop("tcp", "client"),
    Hop("http1", "server"),
    Hop("http1", "both"),
    Hop("grpc", "both", application="grpc"),
)


def plan(mesh: str = "builtin", hops: tuple[Hop, ...] = HOPS, run_id: str = "0a1b2c3d", **settings: Any) -> ClusterPlan:
    now_s = int(time.time())
    common: dict[str, Any] = {"image": "localhost/meshinsight:1", "now_s": now_s, "deadline_s": now_s + 600}
    answers = Answers(((1024, 1), (10, 5)), 4096)
    return ClusterPlan(run_id=run_id, mesh=load_mesh(mesh), hops=hops, answers=answers, **{**common, **settings})
