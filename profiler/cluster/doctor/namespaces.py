"""The namespace of a run: whether it may be used, and whether its PodSecurity level admits the profiler's pod."""

from typing import Final

from profiler.cluster.api.errors import ClusterError
from profiler.cluster.api.session import Session
from profiler.cluster.doctor.findings import parted
from profiler.cluster.run.continuing import Where
from profiler.cluster.run.lifecycle import Place, decide_namespace
from profiler.doctor.check import CLUSTER, Check
from profiler.errors import UsageError

_LEVEL: Final = "pod-security.kubernetes.io/enforce"
_PRIVILEGED: Final = "privileged"


def decided(session: Session, where: Where) -> tuple[Place, list[Check]]:
    """Where a run would be, and what there is to say about it."""
    name = where.namespace
    if not name:
        return Place(), [Check("namespace", "ok", f"made for the run, at PodSecurity level {_PRIVILEGED}")]
    try:
        place = decide_namespace(session, name, allow_foreign=where.allow_foreign)
        if place.own:
            return place, [_absent(name)]
        prepared = "prepared for runs" if place.prepared else "not prepared for runs, and allowed"
        found = session.get("Namespace", name) or {"metadata": {}}
    except (UsageError, ClusterError) as error:
        return Place(own=False), [Check(name, "missing", *parted(error))]
    return place, [Check(name, "ok", prepared), _security(name, (found["metadata"].get("labels") or {}).get(_LEVEL))]


def _absent(name: str) -> Check:
    detail = "does not exist: a run makes it and removes it, for which it needs rights on the whole cluster"
    remedy = "let an administrator prepare it (`kubectl apply -k manifests/`) to run with rights in it alone"
    return Check(name, "warn", detail, (CLUSTER,), remedy)


def _security(name: str, level: str | None) -> Check:
    remedy = f"kubectl label --overwrite namespace {name} {_LEVEL}={_PRIVILEGED}"
    if level == _PRIVILEGED:
        return Check("PodSecurity", "ok", level)
    if level is None:
        detail = f"no level: that of the cluster holds, which admits the profiler's pod only if it is {_PRIVILEGED}"
        return Check("PodSecurity", "warn", detail, (CLUSTER,), remedy)
    return Check("PodSecurity", "missing", f"{level}: refuses hostPID and host folders", (CLUSTER,), remedy)
