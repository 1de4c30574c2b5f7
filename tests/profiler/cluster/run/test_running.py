"""What a run of given settings creates on a cluster, and what cannot be run there."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from profiler.cluster.api.errors import ClusterError
from profiler.cluster.api.session import Session
from profiler.cluster.run import running
from profiler.cluster.run.continuing import Where
from profiler.cluster.run.running import ClusterRun, cluster_plan, require_one_proxy
from profiler.errors import UsageError
from profiler.planning.cells import ANCHOR_HOP
from profiler.planning.settings import ProfileSettings
from profiler.vocabulary.hop import Hop
from tests.profiler.cluster.plans import plan

WHERE = Where(image="localhost/meshinsight:1")


def test_a_run_has_every_hop_of_its_settings_and_the_anchor() -> None:
    plan = cluster_plan(ProfileSettings(protocols=("tcp", "grpc"), topologies=("both",), temperatures=("hot",)), WHERE)
    names = {hop.name for hop in plan.hops}
    assert {ANCHOR_HOP.name, ANCHOR_HOP.baseline.name, "tcp-both", "grpc-both", "direct-grpc"} <= names
    assert (128, 1) not in plan.answers.sizes
    assert (1024, 1) in plan.answers.sizes
    assert plan.profiler_argv[-1] == "measure"
    assert 600 < plan.seconds_left <= 3600


def test_servers_may_be_on_a_node_of_their_own() -> None:
    one, two, same = (
        cluster_plan(ProfileSettings(), Where("image", node="a", server_node=servers)) for servers in ("", "b", "a")
    )
    assert (one.profiler_nodes(), two.profiler_nodes(), same.profiler_nodes()) == (("a",), ("a", "b"), ("a",))
    assert {pod.node for pod in two.pods()} == {"a", "b"}


def test_a_run_with_a_budget_is_ready_for_every_load_it_may_come_to() -> None:
    settings = ProfileSettings(
        protocols=("http1",), topologies=("both",), temperatures=("hot",), response_bytes=(1024, 65536), budget_s=600.0
    )
    plan = cluster_plan(settings, WHERE)
    assert {(1024, 1), (65536, 1)} <= set(plan.answers.sizes)
    assert 1200 <= plan.seconds_left <= 3600


@pytest.mark.parametrize(
    ("settings", "where", "message"),
    [
        (ProfileSettings(), Where("image", mesh="none"), "--mesh none: has no sidecars"),
        (ProfileSettings(budget_s=7200.0), WHERE, "expected to take 120 minutes, and a run on a cluster may take 50"),
        (ProfileSettings(topologies=("shared",)), WHERE, "--topology shared: not on a cluster"),
        (ProfileSettings(transports=("uds",), topologies=("both",)), WHERE, "--transport uds"),
        (ProfileSettings(), Where(""), "--image"),
        (ProfileSettings(), Where("image", server_node="b"), "--server-node b: say with --node where the clients are"),
    ],
)
def test_what_a_cluster_cannot_do_is_said_before_anything_is_created(
    settings: ProfileSettings, where: Where, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        cluster_plan(settings, where)


def test_a_run_that_ended_before_anything_was_measured_says_why_and_leaves_nothing(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(*_: object) -> ClusterError:
        return ClusterError("the node has no tracefs")

    monkeypatch.setattr(running, "existing", lambda *_: nullcontext())
    monkeypatch.setattr(ClusterRun, "_measured", measured)
    run = ClusterRun(session, ProfileSettings(), WHERE, ("meshinsight",), "0")
    with pytest.raises(ClusterError, match="the node has no tracefs"):
        run.run(tmp_path / "out", lambda *_: None)
    assert not (tmp_path / "out").exists()


def with_sidecar(image: str) -> dict[str, Any]:
    """A pod whose sidecar runs an image."""
    return {"status": {"containerStatuses": [{"name": "istio-proxy", "imageID": image}]}}


def test_sidecars_of_two_versions_are_not_measured_as_one() -> None:
    run = plan("istio", (Hop("none", "none"), Hop("http1", "both")))
    one, two = (pod.name for pod in run.pods() if pod.hop is not None)
    assert require_one_proxy(run, {one: with_sidecar("a"), two: with_sidecar("a")}) == "a"
    with pytest.raises(ClusterError, match=f"pod {two}: its sidecar runs b, that of pod {one} a; .* one revision"):
        require_one_proxy(run, {one: with_sidecar("a"), two: with_sidecar("b")})
    assert require_one_proxy(plan("none", (Hop("none", "none"),)), {}) == ""
