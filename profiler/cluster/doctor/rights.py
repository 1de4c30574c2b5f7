"""Whether the user may do all that a run does: the rules that a run checks too, which are those of manifests/."""

import time

from profiler.cluster.api.session import Session
from profiler.cluster.objects.mesh import Mesh
from profiler.cluster.objects.plan import ClusterPlan
from profiler.cluster.run.continuing import Where
from profiler.cluster.run.lifecycle import Place
from profiler.cluster.run.permissions import Permission, needed, refused, remedy, rules
from profiler.doctor.check import CLUSTER, Check
from profiler.workload.base import Answers


def rights(session: Session, where: Where, mesh: Mesh, place: Place) -> list[Check]:
    """A check for each resource; the first gap has the whole remedy. Raises ClusterError."""
    plan = _plan(where, mesh, place)
    lacking = refused(session, plan)
    by_resource: dict[str, list[Permission]] = {}
    for one in needed(plan, session.version):
        by_resource.setdefault(one.resource, []).append(one)
    scope = "cluster-wide" if plan.own_namespace else f"in namespace {plan.namespace_name}"
    found: list[Check] = []
    for name, wanted in by_resource.items():
        gaps = [one for one in wanted if one in lacking]
        if not gaps:
            found.append(Check(name, "ok", f"{_verbs(wanted)} {scope}"))
            continue
        first = not any(check.remedy for check in found)
        advice = remedy(plan, gaps) if first else f"the same, or add {rules(gaps)}"
        found.append(Check(name, "missing", f"may not {_verbs(gaps)} {scope}", (CLUSTER,), advice))
    return found


def _verbs(permissions: list[Permission]) -> str:
    return ", ".join(one.verb for one in permissions)


def _plan(where: Where, mesh: Mesh, place: Place) -> ClusterPlan:
    """A run of no hops: rights depend on the namespace and the mesh alone."""
    now_s = int(time.time())
    return ClusterPlan(
        run_id="0" * 8,
        image="none",
        mesh=mesh,
        hops=(),
        answers=Answers(((0, 1),), 0),
        deadline_s=now_s + 1,
        now_s=now_s,
        namespace=where.namespace,
        own_namespace=place.own,
        prepared=place.prepared,
    )
