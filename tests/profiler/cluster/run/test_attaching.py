"""Which containers `attach --pod` and `--selector` look at."""

from typing import Any

import pytest

from profiler.attach.results import FORMAT, VERSION
from profiler.cluster.api.session import Session
from profiler.cluster.run.attaching import Sidecar, attached_from, find_sidecars
from profiler.errors import MeshInsightError, UsageError
from tests.profiler.cluster.fake_api import FakeApi

RESULT = {"format": FORMAT, "version": VERSION}


def pod(api: FakeApi, session: Session, name: str, *containers: str, **state: Any) -> None:
    def start(made: dict[str, Any]) -> None:
        made["spec"]["nodeName"] = f"node-of-{name}"
        made["status"] = {
            "containerStatuses": [
                {"name": one, "containerID": f"containerd://{name}-{one}", "state": state or {"running": {}}}
                for one in containers
            ]
        }

    api.on_create = start
    labels = {"app": name.partition("-")[0]}
    session.create({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop", "labels": labels},
        "spec": {"containers": []},
    })  # fmt: skip


def test_the_proxy_of_a_known_mesh_is_found_by_its_container(api: FakeApi, session: Session) -> None:
    pod(api, session, "cart-1", "app", "istio-proxy")
    expected = Sidecar("shop/cart-1 (istio-proxy)", "node-of-cart-1", "containerd://cart-1-istio-proxy", "envoy")
    assert find_sidecars(session, ["shop/cart-1"], None, "default", None) == [expected]
    assert find_sidecars(session, ["cart-1"], None, "shop", None) == [expected]


def test_a_container_can_be_named(api: FakeApi, session: Session) -> None:
    pod(api, session, "cart-1", "app", "own-proxy")
    (found,) = find_sidecars(session, ["shop/cart-1"], None, "default", "own-proxy")
    assert (found.container_id, found.process) == ("containerd://cart-1-own-proxy", "")


@pytest.mark.parametrize(
    ("name", "container", "message"),
    [
        ("shop/none", None, "--pod shop/none: there is no such pod"),
        (
            "shop/cart-1",
            None,
            r"pod shop/cart-1: has no sidecar \(.*istio-proxy.*\); it has app; name one by --container",
        ),
        ("shop/cart-1", "proxy", "pod shop/cart-1: has no container proxy; it has app"),
    ],
)
def test_what_is_not_there_is_named(
    api: FakeApi, session: Session, name: str, container: str | None, message: str
) -> None:
    pod(api, session, "cart-1", "app")
    with pytest.raises(UsageError, match=message):
        find_sidecars(session, [name], None, "default", container)


def test_a_sidecar_that_does_not_run_is_refused(api: FakeApi, session: Session) -> None:
    pod(api, session, "cart-1", "istio-proxy", waiting={"reason": "CrashLoopBackOff"})
    with pytest.raises(UsageError, match="container istio-proxy does not run"):
        find_sidecars(session, ["shop/cart-1"], None, "default", None)


def test_a_selector_that_selects_nothing_is_said(session: Session) -> None:
    with pytest.raises(UsageError, match="--selector app=none: selects no pod in namespace shop"):
        find_sidecars(session, [], "app=none", "shop", None)


@pytest.mark.parametrize(
    "said", [{}, {"format": "x"}, {**RESULT, "targets": "none"}, {**RESULT, "targets": [{"pids": ["\x1b[2J"]}]}]
)
def test_a_pod_that_answers_in_another_form_is_refused_in_one_line(said: dict[str, Any]) -> None:
    with pytest.raises(MeshInsightError, match="use the image of this release") as caught:
        attached_from(said)
    assert str(caught.value).isprintable()
