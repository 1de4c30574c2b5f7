"""What an administrator applies once: nothing is granted outside of its namespace, and in it what a run needs."""

from typing import Any

import pytest
import yaml

from profiler.cluster.names import PREPARED_LABEL
from profiler.cluster.objects.templates import manifests_folder
from profiler.cluster.run.permissions import ROLE

FILES = ("namespace.yaml", "accounts.yaml", "rbac.yaml", "istio-rbac.yaml")
Manifest = dict[str, Any]


@pytest.fixture(scope="module")
def manifests() -> list[Manifest]:
    return [made for name in FILES for made in yaml.safe_load_all((manifests_folder() / name).read_text())]


def rules_of(manifests: list[Manifest]) -> list[dict[str, list[str]]]:
    return [rule for made in manifests for rule in made.get("rules", [])]


def test_these_are_all_files_of_the_administrator() -> None:
    assert {path.name for path in manifests_folder().glob("*.yaml")} == {*FILES, "kustomization.yaml"}


def test_nothing_is_granted_cluster_wide(manifests: list[Manifest]) -> None:
    kinds = {made["kind"] for made in manifests}
    assert kinds == {"Namespace", "ServiceAccount", "Role", "RoleBinding"}
    assert {made["metadata"].get("namespace") for made in manifests if made["kind"] != "Namespace"} == {"meshinsight"}


def test_no_rule_has_a_wildcard(manifests: list[Manifest]) -> None:
    assert not [rule for rule in rules_of(manifests) for words in rule.values() if "*" in words]


def test_nobody_may_hand_out_rights_or_read_secrets(manifests: list[Manifest]) -> None:
    for rule in rules_of(manifests):
        assert not set(rule["verbs"]) & {"escalate", "bind", "impersonate", "update", "patch", "deletecollection"}
        assert not set(rule["resources"]) & {"roles", "rolebindings", "serviceaccounts", "serviceaccounts/token"}
        if "secrets" in rule["resources"]:
            assert rule["verbs"] == ["create"]


def test_the_reaper_may_delete_config_maps_and_nothing_else(manifests: list[Manifest]) -> None:
    (role,) = [made for made in manifests if made["kind"] == "Role" and made["metadata"]["name"].endswith("reaper")]
    assert role["rules"] == [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["delete"]}]


def test_roles_are_bound_to_accounts_of_the_namespace_and_to_nobody_else(manifests: list[Manifest]) -> None:
    bound = {
        (made["roleRef"]["kind"], made["roleRef"]["name"], subject["kind"], subject["name"], subject["namespace"])
        for made in manifests
        if made["kind"] == "RoleBinding"
        for subject in made["subjects"]
    }
    assert bound == {
        ("Role", ROLE, "ServiceAccount", "meshinsight", "meshinsight"),
        ("Role", f"{ROLE}-istio", "ServiceAccount", "meshinsight", "meshinsight"),
        ("Role", "meshinsight-reaper", "ServiceAccount", "meshinsight-reaper", "meshinsight"),
    }


def test_no_account_gives_its_token_to_pods_unasked(manifests: list[Manifest]) -> None:
    accounts = [made for made in manifests if made["kind"] == "ServiceAccount"]
    assert [made["automountServiceAccountToken"] for made in accounts] == [False] * 4


def test_every_right_is_in_the_table_of_the_docs(manifests: list[Manifest]) -> None:
    text = (manifests_folder().parent / "docs" / "how-to" / "cluster.md").read_text()
    table = text[text.index("| right (Role `meshinsight-run`") :].partition("\n\n")[0]
    first = " ".join(line.split("|")[1] for line in table.splitlines())
    (role,) = [made for made in manifests if made["kind"] == "Role" and made["metadata"]["name"] == ROLE]
    for rule in role["rules"]:
        for word in (*rule["verbs"], *rule["resources"]):
            assert word in first


def test_the_namespace_says_that_it_is_prepared(manifests: list[Manifest]) -> None:
    assert manifests[0]["metadata"]["labels"][PREPARED_LABEL] == "true"
