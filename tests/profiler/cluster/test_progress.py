"""Following a pod's output through what can happen meanwhile."""

import pytest

from profiler.cluster.errors import ClusterError
from profiler.cluster.progress import follow
from profiler.cluster.session import Session
from tests.profiler.cluster.fake_api import FakeApi, status

POD = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p", "namespace": "n", "uid": "1"}}

ENDED = {"name": "c", "state": {"terminated": {"exitCode": 0}}}


def test_each_line_comes_once_although_the_connection_breaks(api: FakeApi, session: Session) -> None:
    api.objects["pods", "n", "p"] = {**POD, "status": {"phase": "Running"}}
    api.answers["GET .*/log"] = [(200, "one\n"), (200, "one\ntwo\n"), (200, "one\ntwo\nthree\n")]
    lines = follow(session, "n", "p", "c", pause_s=0.0)
    assert [next(lines) for _ in range(3)] == ["one", "two", "three"]


def test_it_ends_with_the_pod(api: FakeApi, session: Session) -> None:
    api.objects["pods", "n", "p"] = {**POD, "status": {"phase": "Running", "containerStatuses": [ENDED]}}
    api.logs["p"] = "one\n"
    assert list(follow(session, "n", "p", "c", pause_s=0.0)) == ["one"]


def test_a_pod_that_is_killed_says_why(api: FakeApi, session: Session) -> None:
    killed = {"name": "c", "state": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}
    api.objects["pods", "n", "p"] = {**POD, "status": {"phase": "Failed", "containerStatuses": [killed]}}
    with pytest.raises(ClusterError, match=r"pod p: container c was killed .*OOMKilled"):
        list(follow(session, "n", "p", "c", pause_s=0.0))


def test_a_pod_that_disappears_is_named(session: Session) -> None:
    with pytest.raises(ClusterError, match="pod p: is gone"):
        list(follow(session, "n", "p", "c", pause_s=0.0))


def test_a_server_that_stays_away_is_given_up(api: FakeApi, session: Session) -> None:
    api.answers["GET .*/log"] = [(500, status(500, "starting"))] * 9
    with pytest.raises(ClusterError, match=r"log of p/c: .* answers 500"):
        list(follow(session, "n", "p", "c", pause_s=0.0, give_up_s=-1.0))
