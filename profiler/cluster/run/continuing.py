"""Continuing an unfinished run of a cluster: with the same cluster, image, mesh and nodes.

Figures of two do not mix.
"""

import hashlib
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from profiler.cluster.api.errors import ClusterError, ForbiddenError
from profiler.cluster.api.session import Session
from profiler.cluster.objects.plan import ClusterPlan
from profiler.errors import UsageError
from profiler.measuring.journal import CLUSTER, Journal
from profiler.profile.document import FILE_NAME, UNFINISHED

_IMAGE, _CONTENT, _MESH, _PROXY = "image", "content of the image", "mesh", "proxy"
_NAMESPACE, _NODE, _SERVER_NODE = "namespace", "node", "server node"
_OPTIONS: Final = {_IMAGE: "image", _MESH: "mesh", _NAMESPACE: "namespace", _NODE: "node", _SERVER_NODE: "server_node"}
"""Facts that an option chooses, with their field of `Where`."""


@dataclass(frozen=True)
class Where:
    """Which namespace, nodes, mesh and image a run uses. Empty: a new namespace, the scheduler's choice of nodes.

    `server_node` is for servers that are not to be on `node`.
    """

    image: str
    mesh: str = "builtin"
    namespace: str = ""
    node: str = ""
    server_node: str = ""
    allow_foreign: bool = False


def facts_of(
    session: Session, where: Where, plan: ClusterPlan, cluster: Mapping[str, Any], proxy: str
) -> dict[str, str]:
    """What a run has to be continued with.

    `cluster` is what its profile notes of the cluster, `proxy` the image of its sidecars.
    """
    return {
        CLUSTER: cluster_id(session, where.namespace),
        _IMAGE: where.image,
        _CONTENT: str(cluster["image"]),
        _MESH: where.mesh,
        _PROXY: proxy,
        _NAMESPACE: where.namespace,
        _NODE: str(cluster["node"]),
        _SERVER_NODE: plan.server_node if plan.across_nodes else "",
    }


def continued(directory: Path, begun: Mapping[str, Any], session: Session, given: Where) -> Where:
    """Where the run in `directory` goes on: as it was begun.

    Args:
        directory: of the run, for messages.
        begun: its facts.
        session: the cluster.
        given: what the command line says; empty where it says nothing.

    Raises:
        UsageError: the command line or the cluster differ from what it was begun with.
    """
    known: dict[str, Any] = {field: str(begun.get(fact, "")) for fact, field in _OPTIONS.items()}
    for field, value in known.items():
        wanted = getattr(given, field)
        if wanted not in ("", value):
            option = f"--{field.replace('_', '-')}"
            raise UsageError(
                f"--resume {directory}: the run was begun with {option} {value or 'left out'}, not {wanted}; leave "
                f"{option} out, or start a new run"
            )
    require_same(directory, begun, {CLUSTER: cluster_id(session, known["namespace"])})
    return replace(given, **known)


def require_same(directory: Path, begun: Mapping[str, Any], now: Mapping[str, str]) -> None:
    """Raise UsageError where one of the facts `now` is not that of the run in `directory`."""
    for fact, value in now.items():
        if begun.get(fact) != value:
            raise UsageError(
                f"--resume {directory}: the run was begun with another {fact}; figures of two do not mix, so start a "
                "new run"
            )


def cluster_id(session: Session, namespace: str) -> str:
    """What tells two clusters apart: the id of a namespace that every cluster has, or of `namespace`, hashed."""
    for name in ("kube-system", namespace):
        with suppress(ForbiddenError):
            found = session.get("Namespace", name) if name else None
            if found is not None:
                return _hash(found["metadata"]["uid"])
    return _hash(session.server)


def keep_result(result: Path, directory: Path, begun: Mapping[str, str]) -> None:
    """Move a result into `directory`, over what an unfinished run has left there; its profile last.

    Raises:
        ClusterError: the run can be continued, but with other facts than `begun`: a pod is not trusted to choose the
            image or the nodes of the next run.
    """
    journal = Journal(result)
    if journal.begun and not begun.items() <= journal.facts().items():
        raise ClusterError("the profiler's pod returns what belongs to another run; start a new run")
    if not directory.exists():
        result.rename(directory)
        return
    files = sorted((file for file in result.rglob("*") if file.is_file()), key=lambda file: file.name == FILE_NAME)
    for file in files:
        target = directory / file.relative_to(result)
        target.parent.mkdir(exist_ok=True)
        file.replace(target)
    if not (result / UNFINISHED).exists():
        shutil.rmtree(directory / UNFINISHED, ignore_errors=True)


def _hash(text: str) -> str:
    return hashlib.sha256(f"meshinsight {text}".encode()).hexdigest()[:12]
