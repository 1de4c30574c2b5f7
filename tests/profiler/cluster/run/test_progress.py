"""Following a pod's output through what can happen meanwhile."""

import json

import pytest

from profiler.cluster.api.errors import ClusterError
from profiler.cluster.api.session import Session
from profiler.cluster.run.progress import Said, follow, spoken
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


def test_lines_of_the_profiler_are_understood() -> None:
    assert spoken('{"label": "round 1 of 2", "left_s": 12.5}') == Said(label="round 1 of 2", left_s=12.5)
    assert spoken('{"result": "/run/r", "error": null}') == Said(result="/run/r")
    assert spoken('{"attached": {"status": "complete"}}').attached == {"status": "complete"}


@pytest.mark.parametrize(
    "line",
    [
        "", "words", "[]", "1", '{"label": 1}',
        '{"result": ["/run/r"]}', '{"result": ""}', '{"label": "a", "left_s": "1"}',
        '{"label": "a", "left_s": -1}', '{"label": "a", "left_s": 1e999}', '{"label": "a", "left_s": NaN}',
        '{"attached": 1}', '{"attached": {"x": 1e999}}', '{"x": ' + "[" * 100_000, '{"attached": {"x": ' + "[" * 1_000,
        '{"result": "' + "/x" * 200 + '"}',
    ],
)  # fmt: skip
def test_a_line_of_another_form_says_nothing(line: str) -> None:
    assert spoken(line) == Said()


def test_a_pod_cannot_send_control_characters_or_floods_to_the_terminal() -> None:
    said = spoken(json.dumps({"label": "\x1b[2Jround\n1\u202e", "error": "x" * 10_000}))
    assert said.label == "[2Jround 1"
    assert said.error is not None
    assert len(said.error) == 400


def test_a_line_without_end_is_given_up(api: FakeApi, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("profiler.cluster.api.session._LONGEST_LINE", 1000)
    api.objects["pods", "n", "p"] = {**POD, "status": {"phase": "Running"}}
    api.logs["p"] = "x" * 5000
    with pytest.raises(ClusterError, match="pod p: prints a line of more than 1000 bytes"):
        list(follow(session, "n", "p", "c", pause_s=0.0))
