"""The session against an API server over HTTP: connecting, objects, retries."""

import socket
from pathlib import Path

import pytest

from profiler.cluster.api.errors import ClusterError, ConflictError, TransientError
from profiler.cluster.api.session import Object, Session, check_status, connect
from profiler.errors import UsageError
from tests.profiler.cluster.fake_api import FakeApi, status, write_kubeconfig


def config_map(name: str = "a", **labels: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "n", "labels": labels}}


def test_a_context_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path / "kubeconfig", "http://127.0.0.1:9", context="staging")
    with pytest.raises(UsageError, match=r"^--context prod: no such context in .*kubeconfig; it has staging$"):
        connect(str(path), "prod")


def test_a_kubeconfig_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^--kubeconfig .*nowhere: no such file"):
        connect(str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: [",
        "apiVersion: v1\nkind: Config\n",
        "contexts: 7\n",
        "[" * 3000,
        "a: &a [x]\nb: *a\n",
        "current-context: c\ncontexts: [{name: c, context: [1]}]\n",
        "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\nclusters: 1\nusers: {a: b}\n",
    ],
)
def test_a_broken_kubeconfig_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"^--kubeconfig .*cannot be used: ") as caught:
        connect(str(path))
    assert "\n" not in str(caught.value)


def test_a_server_that_does_not_listen_is_said_at_once(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        path = write_kubeconfig(tmp_path / "kubeconfig", f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(TransientError, match=r"cannot reach the API server .*: the connection is refused"):
            connect(str(path))


def test_credentials_are_tried_when_connecting(api: FakeApi, tmp_path: Path) -> None:
    api.answers[".*selfsubjectrulesreviews"] = [(401, status(401, "Unauthorized"))]
    with pytest.raises(ClusterError, match=r"first contact: the credentials .* are expired or invalid"):
        connect(str(write_kubeconfig(tmp_path / "kubeconfig", api.url)))


def test_an_object_that_is_not_there_is_none(session: Session) -> None:
    assert session.get("ConfigMap", "a", "n") is None
    assert session.delete("ConfigMap", "a", "n") is False


def test_what_was_created_is_found_by_its_labels(session: Session) -> None:
    session.create(config_map("a", colour="red"))
    session.create(config_map("b", colour="blue"))
    assert [found["metadata"]["name"] for found in session.find("ConfigMap", selector="colour=red")] == ["a"]


def test_a_creation_whose_answer_was_lost_is_recognised(api: FakeApi, session: Session) -> None:
    first = session.create(config_map("a", run="1"))
    assert session.create(config_map("a", run="1"))["metadata"]["uid"] == first["metadata"]["uid"]


def test_an_object_of_somebody_else_is_a_conflict(session: Session) -> None:
    session.create(config_map("a", run="1"))
    with pytest.raises(ConflictError, match='create ConfigMap a: configmaps "a" already exists'):
        session.create(config_map("a", run="2"))


def test_nothing_is_deleted_but_the_very_object(session: Session) -> None:
    made = session.create(config_map("a", run="1"))
    with pytest.raises(ConflictError):
        session.delete("ConfigMap", "a", "n", uid="another")
    assert session.delete("ConfigMap", "a", "n", uid=made["metadata"]["uid"]) is True


def test_a_server_that_is_away_for_a_moment_is_asked_again(api: FakeApi, session: Session) -> None:
    api.answers["POST .*/configmaps"] = [(503, status(503, "starting")), (503, status(503, "starting"))]
    assert session.create(config_map())["metadata"]["uid"]
    assert api.requests.count("POST /api/v1/namespaces/n/configmaps") == 3


def test_a_kind_that_the_cluster_does_not_know_is_named(session: Session) -> None:
    assert not session.serves("security.istio.io/v1", "PeerAuthentication")
    with pytest.raises(ClusterError, match=r"does not know PeerAuthentication of security.istio.io/v1"):
        session.get("PeerAuthentication", "a", "n", "security.istio.io/v1")


def test_lines_of_a_log_are_followed(api: FakeApi, session: Session) -> None:
    api.logs["a"] = "one\ntwo\nthree"
    assert list(session.follow_log("n", "a", "c")) == ["one", "two", "three"]
    assert session.log("n", "a", "c") == "one\ntwo\nthree"


def test_a_command_that_fails_says_its_own_last_line() -> None:
    status_text = b'{"status":"Failure","message":"command terminated with non-zero exit code"}'
    with pytest.raises(ClusterError, match=r"^p: pack: no such folder$"):
        check_status(status_text, b"warning\nno such folder\n", "p: pack")
    check_status(b'{"status":"Success"}', b"", "p: pack")
