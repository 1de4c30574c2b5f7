"""`meshinsight doctor`: how a diagnosis is printed."""

import json

import pytest
import typer
from typer.testing import CliRunner

from meshinsight.application import Application
from meshinsight.commands import doctor as command
from profiler import doctor
from profiler.cluster import doctor as cluster_doctor
from profiler.cluster.doctor import ClusterDiagnosis
from profiler.cluster.run.continuing import Where
from profiler.doctor import Check, Diagnosis, Status
from profiler.doctor.check import CLUSTER, PROFILE
from profiler.errors import UsageError

DIAGNOSIS = Diagnosis(
    (
        Check("kernel", "ok", "Linux 6.1.0 x86_64", area="machine"),
        Check("root", "missing", "no, user id 1000", (PROFILE,), "run as root", area="privileges"),
    )
)


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    monkeypatch.setattr(doctor, "diagnose", lambda: DIAGNOSIS)
    app = Application()
    command.register(app)
    return app


def test_each_gap_is_followed_by_its_remedy() -> None:
    lines = list(command.table_lines(DIAGNOSIS))
    gap = next(number for number, line in enumerate(lines) if "no, user id 1000" in line)
    assert lines[gap + 1].plain.strip() == "→ run as root"


def test_features_say_what_stops_them() -> None:
    assert "    does not work here: root" in "\n".join(line.plain for line in command.table_lines(DIAGNOSIS))


def test_missing_things_are_reported_with_success(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 0
    assert "no, user id 1000" in result.output


def test_the_first_line_is_the_summary() -> None:
    assert next(command.table_lines(DIAGNOSIS)).plain == DIAGNOSIS.summary


@pytest.mark.parametrize(("feature", "status"), [("profile", 1), ("predict", 0)])
def test_a_feature_that_does_not_work_is_a_failure(app: typer.Typer, feature: str, status: int) -> None:
    result = CliRunner().invoke(app, [feature])
    assert result.exit_code == status
    assert result.output.splitlines()[0].endswith(f": {feature}.")


def test_a_feature_that_does_not_work_is_one_in_json_too(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["profile", "-o", "json"])
    assert result.exit_code == 1
    assert [feature["name"] for feature in json.loads(result.output)["features"]] == ["profile"]


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("warn", 0), ("missing", 1)])
def test_a_cluster_on_which_no_run_can_work_is_a_failure(
    app: typer.Typer, monkeypatch: pytest.MonkeyPatch, status: Status, code: int
) -> None:
    asked: list[Where] = []

    def diagnosed(_: object, where: Where, default_image: str) -> ClusterDiagnosis:
        asked.append(where)
        return ClusterDiagnosis((Check("pods", status, "may not", (CLUSTER,)),), context="test")

    monkeypatch.setattr(cluster_doctor, "diagnose_cluster", diagnosed)
    result = CliRunner().invoke(app, ["--cluster", "--namespace", "mi", "-o", "json"])
    assert result.exit_code == code
    assert json.loads(result.output)["features"][0]["works"] == (code == 0)
    assert asked == [Where("", "builtin", "mi")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--namespace", "mi"], "--namespace: is for runs on a cluster; add --cluster"),
        (["profile", "--cluster"], "FEATURE: profile is checked on this machine; leave it or --cluster out"),
        (["--cluster", "--kubeconfig", "/no/such"], "--kubeconfig /no/such: no such file"),
    ],
)
def test_wrong_requests_for_a_cluster_are_usage_errors(app: typer.Typer, arguments: list[str], message: str) -> None:
    error = CliRunner().invoke(app, arguments).exception
    assert isinstance(error, UsageError)
    assert str(error).startswith(message)


def test_an_unknown_feature_is_a_usage_error(app: typer.Typer) -> None:
    error = CliRunner().invoke(app, ["flying"]).exception
    assert isinstance(error, UsageError)
    assert str(error).startswith("FEATURE: expected one of attach, profile, cluster, ")


def test_json_holds_the_whole_diagnosis(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["-o", "json"])
    assert json.loads(result.output) == json.loads(json.dumps(DIAGNOSIS.as_json()))


def test_unknown_format_is_a_usage_error(app: typer.Typer) -> None:
    error = CliRunner().invoke(app, ["-o", "xml"]).exception
    assert isinstance(error, UsageError)
    assert str(error) == "--output: expected one of table, json; found 'xml'"
