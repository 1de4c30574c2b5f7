"""What the command line must be allowed on a cluster, asked before anything is created: all that is missing at once.

The rules are those of the Role in manifests/rbac.yaml, so that the two cannot differ. In a namespace that nobody has
prepared a run also makes what manifests/ would have made: that is for administrators.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from profiler.cluster.api.errors import ForbiddenError, rule_text
from profiler.cluster.api.session import Object, Session
from profiler.cluster.objects.plan import ClusterPlan
from profiler.cluster.objects.templates import manifests_folder

ROLE: Final = "meshinsight-run"
_EXEC: Final = "pods/exec"
_EXEC_BY_CREATE_SINCE: Final = (1, 35)
"""From this version on a WebSocket exec needs `create`; before, `get` was enough."""


@dataclass(frozen=True)
class Permission:
    """One thing that a user may do. `resource` may have a subresource, as in `pods/log`."""

    verb: str
    group: str
    resource: str


_RBAC: Final = "rbac.authorization.k8s.io"
_ACCOUNTS: Final = (
    Permission("create", "", "serviceaccounts"),
    Permission("create", _RBAC, "roles"),
    Permission("create", _RBAC, "rolebindings"),
)
"""For a namespace without the accounts of manifests/accounts.yaml."""
_NAMESPACES: Final = tuple(Permission(verb, "", "namespaces") for verb in ("list", "create", "delete"))
"""For a namespace of the run's own, cluster-wide."""


def needed(plan: ClusterPlan, version: str = "") -> list[Permission]:
    """What a plan needs on this server: where `plan` is prepared for, no more than the Role. Pure but for the file."""
    granted = [rule for role in _roles(plan.mesh.name) for rule in role["rules"]]
    found = [permission for rule in granted for permission in _permissions(rule)]
    if version:
        unused = "get" if _number(version) >= _EXEC_BY_CREATE_SINCE else "create"
        found = [one for one in found if (one.resource, one.verb) != (_EXEC, unused)]
    if not plan.prepared:
        found += _ACCOUNTS
    return [*found, *_NAMESPACES] if plan.own_namespace else found


def refused(session: Session, plan: ClusterPlan) -> list[Permission]:
    """What the plan needs and the user may not do, as the cluster answers."""
    inside = None if plan.own_namespace else plan.namespace_name
    return [
        one for one in needed(plan, session.version) if not session.allowed(one.verb, one.group, one.resource, inside)
    ]


def check_permissions(session: Session, plan: ClusterPlan) -> None:
    """Raise ForbiddenError naming all that the user may not do and the plan needs."""
    if lacking := refused(session, plan):
        what = ", ".join(f"{one.verb} {one.resource}" for one in lacking)
        where = "" if plan.own_namespace else f" in namespace {plan.namespace_name}"
        raise ForbiddenError(f"context {session.context} may not {what}{where}; {remedy(plan, lacking)}")


def remedy(plan: ClusterPlan, lacking: Sequence[Permission]) -> str:
    """How the user gets the rights that are lacking."""
    if plan.prepared:
        roles = " and ".join(role["metadata"]["name"] for role in _roles(plan.mesh.name))
        return f"let an administrator bind the Role {roles} of that namespace to you, or add {rules(lacking)}"
    return (
        "let an administrator prepare a namespace (`kubectl apply -k manifests/`), bind its Role "
        f"{ROLE} to you, and give --namespace, or add {rules(lacking)}"
    )


def rules(lacking: Sequence[Permission]) -> str:
    """The rules of a Role that are lacking."""
    return ", ".join(rule_text(one.group, one.resource, one.verb) for one in lacking)


def _permissions(rule: dict[str, Sequence[str]]) -> Iterator[Permission]:
    for group in rule["apiGroups"]:
        for resource in rule["resources"]:
            yield from (Permission(verb, group, resource) for verb in rule["verbs"])


def _roles(mesh: str) -> list[Object]:
    """The Role of runs, and that of runs with the mesh, where it needs one."""
    files = [manifests_folder() / name for name in ("rbac.yaml", f"{mesh}-rbac.yaml")]
    documents = [made for file in files if file.is_file() for made in _documents(file)]
    return [
        made for made in documents if made["kind"] == "Role" and made["metadata"]["name"] in (ROLE, f"{ROLE}-{mesh}")
    ]


def _documents(file: Path) -> Iterator[Any]:
    import yaml

    return iter(yaml.safe_load_all(file.read_text(encoding="utf-8")))


def _number(version: str) -> tuple[int, int]:
    found = re.match(r"v?(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)
