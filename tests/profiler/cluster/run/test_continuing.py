"""Runs that are continued: as they were begun, and what was finished is kept."""

from pathlib import Path
from typing import Any

import pytest

from profiler.cluster.api.errors import ClusterError
from profiler.cluster.api.session import Session
from profiler.cluster.run.continuing import Where, cluster_id, continued, facts_of, keep_result, require_same
from profiler.errors import UsageError
from profiler.measuring.journal import Journal
from profiler.planning.settings import ProfileSettings
from tests.profiler.cluster.fake_api import FakeApi, status
from tests.profiler.cluster.plans import plan

NOTHING = Where("", mesh="")
BEGUN = Where("registry/mi:1", mesh="istio", namespace="mi")
PROXY = "registry/proxyv2@sha256:0"
NOTED = {"image": "registry/mi@sha256:0", "node": "worker-1"}


@pytest.fixture
def facts(api: FakeApi, session: Session) -> dict[str, str]:
    """Those of a run on one node in a prepared namespace."""
    for name in ("kube-system", "mi"):
        api.objects["namespaces", "", name] = {"kind": "Namespace", "metadata": {"name": name, "uid": f"uid-{name}"}}
    return facts_of(session, BEGUN, plan(), NOTED, PROXY)


def test_a_run_goes_on_as_it_was_begun(session: Session, facts: dict[str, str]) -> None:
    expected = Where("registry/mi:1", mesh="istio", namespace="mi", node="worker-1")
    assert continued(Path("run"), facts, session, NOTHING) == expected
    assert continued(Path("run"), facts, session, BEGUN) == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"image": "registry/mi:2"}, "--resume run: the run was begun with --image registry/mi:1, not registry/mi:2; "),
        ({"mesh": "builtin"}, "begun with --mesh istio, not builtin; leave --mesh out, or start a new run"),
        ({"node": "worker-2"}, "begun with --node worker-1, not worker-2"),
        ({"server_node": "worker-2"}, "begun with --server-node left out, not worker-2"),
        ({"namespace": "other"}, "begun with --namespace mi, not other"),
    ],
)
def test_other_options_than_those_of_the_run_are_refused(
    session: Session, facts: dict[str, str], given: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        continued(Path("run"), facts, session, Where(**{"image": "", "mesh": "", **given}))


def test_another_cluster_is_refused(api: FakeApi, session: Session, facts: dict[str, str]) -> None:
    api.objects["namespaces", "", "kube-system"]["metadata"]["uid"] = "another"
    with pytest.raises(UsageError, match=r"--resume run: the run was begun with another cluster; .* start a new run"):
        continued(Path("run"), facts, session, NOTHING)


def test_another_proxy_of_the_mesh_is_refused(session: Session, facts: dict[str, str]) -> None:
    now = facts_of(session, BEGUN, plan(), NOTED, "registry/proxyv2@sha256:1")
    with pytest.raises(UsageError, match="begun with another proxy; figures of two do not mix, so start a new run"):
        require_same(Path("run"), facts, now)


def test_another_content_of_the_same_image_is_refused(session: Session, facts: dict[str, str]) -> None:
    now = facts_of(session, BEGUN, plan(), {**NOTED, "image": "registry/mi@sha256:1"}, PROXY)
    with pytest.raises(UsageError, match="begun with another content of the image"):
        require_same(Path("run"), facts, now)


def test_a_cluster_is_known_by_the_namespace_that_the_user_may_see(
    api: FakeApi, session: Session, facts: dict[str, str]
) -> None:
    api.answers["GET /api/v1/namespaces/kube-system"] = [(403, status(403, "no"))] * 2
    mine = cluster_id(session, "mi")
    api.objects["namespaces", "", "mi"]["metadata"]["uid"] = "another"
    assert cluster_id(session, "mi") not in (mine, facts["cluster"])


FACTS = {"cluster": "0123", "image": "registry/mi:1"}


def result(folder: Path, *names: str, unfinished: bool = False, facts: dict[str, str] = FACTS) -> Path:
    """Files that hold the name of their folder, and the journal of an unfinished run."""
    for name in ("profile.json", *names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(folder.name)
    if unfinished:
        Journal(folder).begin(ProfileSettings(), {**facts, "machine": "0"})
    return folder


def sources(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): file.read_text() for file in folder.rglob("*") if file.is_file()}


def test_the_result_of_a_continued_run_completes_what_was_kept(tmp_path: Path) -> None:
    kept = result(tmp_path / "kept", "cpu.parquet", unfinished=True)
    keep_result(result(tmp_path / "new", "cpu_2.parquet", "configs/a.txt"), kept, FACTS)
    assert sources(kept) == {
        "profile.json": "new",
        "cpu.parquet": "kept",
        "cpu_2.parquet": "new",
        "configs/a.txt": "new",
    }


def test_a_run_that_is_stopped_once_more_can_be_continued(tmp_path: Path) -> None:
    kept = result(tmp_path / "kept", unfinished=True)
    keep_result(result(tmp_path / "new", "unfinished/001-a.json", unfinished=True), kept, FACTS)
    assert set(sources(kept)) == {"profile.json", "unfinished/run.json", "unfinished/001-a.json"}
    assert Journal(kept).on_cluster


def test_the_result_of_a_new_run_is_moved_whole(tmp_path: Path) -> None:
    keep_result(result(tmp_path / "new"), tmp_path / "out", FACTS)
    assert sources(tmp_path / "out") == {"profile.json": "new"}


def test_a_pod_does_not_choose_the_image_of_the_next_run(tmp_path: Path) -> None:
    foreign = result(tmp_path / "new", unfinished=True, facts={**FACTS, "image": "other"})
    with pytest.raises(ClusterError, match="belongs to another run"):
        keep_result(foreign, tmp_path / "out", FACTS)
    assert not (tmp_path / "out").exists()
