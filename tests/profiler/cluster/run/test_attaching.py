"""Which containers `attach --pod` and `--selector` look at."""

import json
from base64 import b64encode
from dataclasses import replace
from typing import Any

import pytest

from profiler.attach.results import FORMAT, VERSION
from profiler.cluster.api.session import Session
from profiler.cluster.run.attaching import Sidecar, attached_from, find_sidecars
from profiler.cluster.run.progress import spoken
from profiler.errors import MeshInsightError, UsageError
from profiler.profile.stacks import packed
from profiler.symbols.stacks import SampledStacks, Stack
from tests.meshinsight.commands.attached import FOUND
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


def test_the_stacks_of_a_pod_come_with_its_result() -> None:
    stacks = (SampledStacks("shop/cart-1", "cpu-clock", (Stack("shop/cart-1", "ipc", "[kernel]", ("send",), 2.0),)),)
    line = json.dumps({"attached": FOUND.as_json(), "stacks": b64encode(packed(stacks)).decode()})
    said = spoken(line)
    assert said.attached is not None
    assert attached_from(said.attached, said.stacks) == replace(FOUND, stacks=stacks)


def test_damaged_stacks_of_a_pod_are_refused_in_one_line() -> None:
    with pytest.raises(MeshInsightError, match="the profiler's pod: no file of stacks") as caught:
        attached_from(FOUND.as_json(), b"x")
    assert str(caught.value).isprintable()


def test_a_document_cannot_bring_stacks_that_were_not_checked() -> None:
    assert attached_from({**FOUND.as_json(), "stacks": [["x"]]}) == FOUND
