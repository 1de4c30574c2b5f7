"""The plan of a run on a cluster, on one screen: what `meshinsight profile --cluster --dry-run` prints. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Final

from meshinsight import numbers
from meshinsight.reports.report import Report, Section
from meshinsight.reports.subjects.plan import sum_text
from profiler.cluster.names import ROLE_LABEL

if TYPE_CHECKING:
    from profiler.cluster.objects.plan import ClusterPlan
    from profiler.cluster.run.permissions import Permission
    from profiler.planning.blocks import Block
    from profiler.planning.settings import ProfileSettings

Object = Mapping[str, Any]

_TEXT_WIDTH: Final = 64
"""Columns of the second column: with the first one, 80."""


@dataclass(frozen=True)
class ClusterRunPlan:
    """A run that was planned: what is measured, what it creates and what it has to be allowed."""

    plan: "ClusterPlan"
    objects: Sequence[Object]
    blocks: "Sequence[tuple[Block, float]]"
    settings: "ProfileSettings"
    rights: "Sequence[Permission]"


def report(run: ClusterRunPlan) -> Report:
    """A row for each thing that somebody wants to know before a run may start."""
    rows = [row for name, text in _texts(run) for row in _rows(name, text)]
    table = Section("", ("item", "plan"), rows, lines=["-o yaml prints every object."], left=(0, 1))
    return Report("Plan of a run on a cluster; nothing was created or asked", [table], [], lambda: _document(run))


def _texts(run: ClusterRunPlan) -> Iterator[tuple[str, str]]:
    plan = run.plan
    yield "measured", sum_text(run.blocks, run.settings)
    yield (
        "time",
        (
            "a few minutes more to start and to remove it; a Job removes what is left "
            f"{numbers.duration(plan.seconds_left)} after the start"
        ),
    )
    yield "mesh", f"{plan.mesh.name}: {plan.mesh.description}"
    yield "image", plan.image
    yield "nodes", _nodes(plan)
    yield "namespace", _namespace(plan)
    yield "objects", _listed(Counter(made["kind"] for made in run.objects))
    yield "pods", _listed(Counter(_role(made) for made in run.objects if made["kind"] == "Pod"))
    for name, what in _privileges(run.objects).items():
        yield f"root: {name}", what
    yield "rights", _rights(run)


def _rows(name: str, text: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(wrap(text, _TEXT_WIDTH, break_on_hyphens=False)):
        yield (name if number == 0 else "", line)


def _nodes(plan: "ClusterPlan") -> str:
    if plan.across_nodes:
        return f"clients on {plan.client_node}, servers on {plan.server_node}"
    return plan.client_node or "one, which the scheduler chooses"


def _namespace(plan: "ClusterPlan") -> str:
    if not plan.namespace:
        return f"{plan.namespace_name}, made for the run, at PodSecurity level privileged"
    return f"{plan.namespace}; where it exists and is prepared for runs, no Namespace, accounts and Roles are made"


def _rights(run: ClusterRunPlan) -> str:
    resources = numbers.plural(len({(one.group, one.resource) for one in run.rights}), "resource")
    where = f"in namespace {run.plan.namespace} or cluster-wide" if run.plan.namespace else "cluster-wide"
    return f"{len(run.rights)} verbs on {resources}, {where}; meshinsight doctor --cluster checks them"


def _privileges(objects: Sequence[Object]) -> dict[str, str]:
    """What containers that run as root may do, by their name; all others have no privilege at all."""
    found: dict[str, str] = {}
    for spec in (made["spec"] for made in objects if made["kind"] == "Pod"):
        paths = [volume["hostPath"]["path"] for volume in spec["volumes"] if "hostPath" in volume]
        host = [*(["hostPID"] if spec.get("hostPID") else []), *(f"{path} of the node" for path in paths)]
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            context = container["securityContext"]
            if context.get("runAsUser") == 0:
                found[container["name"]] = ", ".join([*context["capabilities"].get("add", []), *host])
    return found


def _role(pod: Object) -> str:
    return str(pod["metadata"]["labels"][ROLE_LABEL])


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _document(run: ClusterRunPlan) -> dict[str, Any]:
    plan = run.plan
    return {
        "namespace": plan.namespace_name,
        "mesh": plan.mesh.name,
        "image": plan.image,
        "nodes": [node for node in plan.profiler_nodes() if node],
        "objects": dict(Counter(made["kind"] for made in run.objects)),
        "root": _privileges(run.objects),
        "rights": [{"verb": one.verb, "group": one.group, "resource": one.resource} for one in run.rights],
        "cells": sum(len(block.plan.asked) for block, _ in run.blocks),
        "expected_s": sum(expected_s for _, expected_s in run.blocks),
        "deadline_s": plan.seconds_left,
    }
