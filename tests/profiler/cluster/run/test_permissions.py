"""What is asked for is what the administrator grants."""

from typing import Any

import pytest
import yaml

from profiler.cluster.api.errors import ForbiddenError
from profiler.cluster.api.session import Session
from profiler.cluster.objects.rendering import render
from profiler.cluster.objects.templates import manifests_folder
from profiler.cluster.run.permissions import Permission, check_permissions, needed
from tests.profiler.cluster.fake_api import KINDS, FakeApi
from tests.profiler.cluster.plans import plan

PLACES: list[dict[str, Any]] = [
    {},
    {"namespace": "theirs", "own_namespace": False},
    {"namespace": "meshinsight", "own_namespace": False, "prepared": True},
]
"""A namespace of the run's own, one of somebody else's, and one that is prepared for runs."""


def test_every_kind_that_a_run_makes_may_be_created() -> None:
    plurals = {kind: plural for kinds in KINDS.values() for kind, plural in kinds.items()}
    for settings in PLACES:
        there = plan(**settings)
        granted = {one.resource for one in needed(there) if one.verb == "create"}
        assert {plurals[made["kind"]] for made in render(there)} <= granted


def test_what_the_reaper_may_do_its_creator_may_do() -> None:
    for settings in PLACES[:2]:
        there = plan(**settings)
        for made in render(there):
            for rule in made.get("rules", []):
                wanted = {Permission(verb, "", resource) for verb in rule["verbs"] for resource in rule["resources"]}
                assert wanted <= set(needed(there))


def test_all_that_is_missing_is_said_at_once(api: FakeApi, session: Session) -> None:
    api.denied = {("create", "jobs"), ("get", "pods/log")}
    with pytest.raises(
        ForbiddenError, match=r"context test may not get pods/log, create jobs; .*-k manifests/.*"
    ) as caught:
        check_permissions(session, plan())
    assert '{apiGroups: ["batch"], resources: ["jobs"], verbs: ["create"]}' in str(caught.value)


@pytest.mark.parametrize(
    ("version", "verb"), [("v1.34.1", "get"), ("v1.35.0", "create"), ("v1.36.0-rc.1+k3s", "create")]
)
def test_exec_needs_another_verb_on_newer_servers(version: str, verb: str) -> None:
    assert [one.verb for one in needed(plan(), version) if one.resource == "pods/exec"] == [verb]


def test_a_namespace_of_the_users_needs_no_rights_on_namespaces() -> None:
    theirs = plan(namespace="theirs", own_namespace=False)
    assert [one.verb for one in needed(theirs) if one.resource == "namespaces"] == ["get"]


def test_the_kustomization_names_files_that_are_there() -> None:
    folder = manifests_folder()
    content = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert [name for name in content["resources"] if not (folder / name).is_file()] == []
