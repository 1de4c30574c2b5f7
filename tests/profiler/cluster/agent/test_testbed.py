"""What a run's pods are asked for, with a node that answers as a test says."""

import pytest

from profiler.cluster.agent.node import OnNode
from profiler.cluster.agent.testbed import InPods
from profiler.cluster.objects.mesh import Reading, load_mesh
from profiler.cluster.run.task import HopPlace, MeshProxy, SidecarPlace, Task
from profiler.planning.settings import ProfileSettings
from profiler.vocabulary.hop import Hop

HOP = Hop("http1", "both")
SERVER_INFO = '{"version": "5c4b/1.35.2-dev/Clean/RELEASE/BoringSSL", "ISTIO_VERSION": "1.27.1"}'


class FakeNode(OnNode):
    """A node whose proxies answer as Istio's do."""

    def ask(self, reading: Reading, sidecar: SidecarPlace, what: str) -> str:
        return reading.of_interest(SERVER_INFO)


def in_pods(proxy: MeshProxy, sidecar: SidecarPlace | None) -> InPods:
    place = HopPlace("10.0.0.1", 80, "containerd://l", "containerd://s", sidecar, sidecar)
    found = InPods(Task(ProfileSettings(), (), "0", proxy, {HOP.name: place}))
    found._near = FakeNode()
    return found


def test_functions_are_known_by_the_version_of_the_proxys_program_not_by_the_meshs() -> None:
    istio = load_mesh("istio")
    proxy = MeshProxy("envoy", istio.version, program_version=istio.program_version)
    found = in_pods(proxy, SidecarPlace("containerd://c", "istio/proxyv2"))
    assert found.program_version(HOP) == "1.35.2-dev"


def test_what_the_object_tells_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeNode, "ask", None)
    sidecar = SidecarPlace("containerd://c", "x", program_version="2.290.0")
    assert in_pods(MeshProxy("p", program_version=Reading(annotation="a")), sidecar).program_version(HOP) == "2.290.0"


def test_without_a_sidecar_there_is_no_version() -> None:
    assert in_pods(MeshProxy(""), None).program_version(HOP) == ""
