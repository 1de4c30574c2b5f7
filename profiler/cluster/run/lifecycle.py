"""The life of a run's objects: created in order, waited for, watched, removed."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from profiler.cluster.api import pod_state
from profiler.cluster.api.errors import ClusterError, TransientError
from profiler.cluster.api.session import Object, Session
from profiler.cluster.names import MANAGED_BY, MANAGED_LABEL, PREPARED_LABEL, ROLE_LABEL, RUN_LABEL
from profiler.cluster.objects.plan import ClusterPlan
from profiler.cluster.objects.rendering import Secrets, render
from profiler.cluster.run.permissions import check_permissions
from profiler.errors import UsageError
from profiler.host.interrupts import Interrupts
from profiler.text import one_line

READY_WITHIN_S: Final = 180.0
GONE_WITHIN_S: Final = 120.0
_UNSCHEDULABLE_GRACE_S: Final = 20.0
"""How long no node may take a pod: a node that is added, or a pod that leaves, may change it."""
_EVENTS_EVERY_S: Final = 3.0
_POLL_S: Final = 0.5
_LOG_LINES: Final = 5


@dataclass(frozen=True)
class Place:
    """Whether a run makes its namespace; if not, whether an administrator has prepared it for runs."""

    own: bool = True
    prepared: bool = False


def decide_namespace(session: Session, name: str, *, allow_foreign: bool) -> Place:
    """Where a run is: in a new namespace, unless one of this name exists.

    Raises:
        UsageError: it was there before, is not prepared, and `allow_foreign` is False; or it belongs to another run.
        ForbiddenError: it may not be looked at.
        ClusterError: it is being removed.
    """
    found = session.get("Namespace", name) if name else None
    if found is None:
        return Place()
    if found["metadata"].get("deletionTimestamp"):
        raise ClusterError(f"--namespace {name}: {stuck_reason(found)}; wait, or choose another name")
    labels = found["metadata"].get("labels") or {}
    if labels.get(MANAGED_LABEL) == MANAGED_BY:
        raise UsageError(
            f"--namespace {name}: belongs to run {labels.get(RUN_LABEL, 'unknown')}; wait for it, remove it with "
            "`meshinsight cleanup --cluster`, or choose another name"
        )
    prepared = labels.get(PREPARED_LABEL) == "true"
    if not prepared and not allow_foreign:
        raise UsageError(
            f"--namespace {name}: was not made by MeshInsight; leave --namespace out, or allow it with "
            "--allow-foreign-namespace"
        )
    return Place(own=False, prepared=prepared)


def create(session: Session, plan: ClusterPlan, secrets: Secrets | None) -> None:
    """Create everything of the run, once it is known to be allowed.

    What was created when it fails is there still: call `remove`.

    Raises:
        ForbiddenError: RBAC; names all that is missing.
        ClusterError: the cluster has no such mesh, a quota is exceeded, and the like.
    """
    check_permissions(session, plan)
    unowned = render(plan)
    for entry in unowned:
        if not session.serves(entry["apiVersion"], entry["kind"]):
            raise ClusterError(
                f"--mesh {plan.mesh.name}: the cluster does not know {entry['kind']} of {entry['apiVersion']}; install "
                "the mesh first, or use --mesh builtin"
            )
    count = 2 if plan.own_namespace else 1
    owner: Object = {}
    for entry in unowned[:count]:
        owner = session.create(entry)
    for entry in render(plan, owner_uid=owner["metadata"]["uid"], secrets=secrets)[count:]:
        session.create(entry)


def wait_ready(
    session: Session,
    plan: ClusterPlan,
    *,
    within_s: float = READY_WITHIN_S,
    progress: Callable[[int, int], None] = lambda ready, all_: None,
) -> dict[str, Object]:
    """Wait until all pods of the run have started; returns them by name.

    Raises:
        ClusterError: one never will, or not in time; the message holds the pod's own status, event or log.
    """
    names = pod_names(plan)
    started_s = checked_s = time.monotonic()
    while True:
        pods = run_pods(session, plan)
        waiting = [name for name in names if name not in pods or not pod_state.is_ready(pods[name])]
        progress(len(names) - len(waiting), len(names))
        if not waiting:
            check_sidecars(plan, pods)
            return pods
        now_s = time.monotonic()
        look_at_events = now_s - checked_s > _EVENTS_EVERY_S
        for name in waiting:
            if reason := _hopeless(session, pods.get(name), now_s - started_s, look_at_events):
                raise ClusterError(f"pod {name}: {reason}")
        if look_at_events:
            checked_s = now_s
        if now_s - started_s > within_s:
            raise ClusterError(_too_late(session, pods.get(waiting[0]), waiting[0], within_s))
        time.sleep(_POLL_S)


def check_pods(session: Session, plan: ClusterPlan) -> dict[str, Object]:
    """The run's pods by name, all of them well. Raises ClusterError with the reason of the first that is not."""
    pods = run_pods(session, plan)
    for name in pod_names(plan):
        if name not in pods:
            raise ClusterError(f"pod {name}: is gone; somebody deleted it, or its node was drained")
        if reason := explain(session, pods[name]):
            raise ClusterError(f"pod {name}: {reason}")
    return pods


def check_sidecars(plan: ClusterPlan, pods: Mapping[str, Object]) -> None:
    """Raise ClusterError unless just the pods that should have a sidecar got one."""
    if plan.mesh.proxy is None:
        return
    container = plan.mesh.proxy.container
    for pod in plan.pods():
        has = container in pod_state.container_statuses(pods[pod.name])
        if has != (pod.hop is not None):
            what = f"got no container {container}" if pod.hop else f"got a container {container} it must not have"
            raise ClusterError(
                f"pod {pod.name}: {what}; look at the injection webhook of {plan.mesh.name} and the labels of the "
                f"namespace {plan.namespace_name}"
            )


@contextmanager
def existing(
    session: Session,
    plan: ClusterPlan,
    secrets: Secrets | None,
    removing: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """All objects of a run, for as long as the block lasts, however it ends; `removing` is called before their end.

    The first Ctrl-C, SIGTERM or SIGHUP raises `Interrupted` in the block. Raises as `create` and `remove`.
    """
    with Interrupts() as interrupts:
        try:
            with interrupts.held_back():  # else what is just being created could be overlooked below
                create(session, plan, secrets)
            yield
        finally:
            removing()
            with interrupts.held_back():
                remove(session, plan)


def remove(session: Session, plan: ClusterPlan, *, within_s: float = GONE_WITHIN_S) -> None:
    """Remove everything of the run and wait until it is gone. Raises ClusterError when it does not go."""
    remove_run(session, plan.run_id, plan.namespace_name, own_namespace=plan.own_namespace, within_s=within_s)


def remove_run(
    session: Session, run_id: str, namespace: str, *, own_namespace: bool, within_s: float = GONE_WITHIN_S
) -> None:
    """As `remove`, for a run of which only this is known. Nothing without the run's own label is touched."""
    kind, name, inside = (
        ("Namespace", namespace, None) if own_namespace else ("ConfigMap", f"mi-{run_id}-run", namespace)
    )
    found = session.get(kind, name, inside)
    if found is not None:
        labels = found["metadata"].get("labels") or {}
        if labels.get(RUN_LABEL) != run_id or labels.get(MANAGED_LABEL) != MANAGED_BY:
            raise ClusterError(f"{kind} {name}: does not belong to run {run_id}; it is left alone")
        session.delete(kind, name, inside, uid=found["metadata"]["uid"])
    deadline_s = time.monotonic() + within_s
    while (left := _what_is_left(session, run_id, namespace, own_namespace)) is not None:
        if time.monotonic() > deadline_s:
            raise ClusterError(f"namespace {namespace}: not gone after {within_s:g} s: {left}")
        time.sleep(_POLL_S)


def explain(session: Session, pod: Object) -> str | None:
    """Why a pod has failed, with the end of its log where that says more; None when it has not."""
    reason = pod_state.failure(pod)
    container = pod_state.failed_container(pod)
    if reason is None or container is None:
        return reason
    try:
        text = session.log(pod["metadata"]["namespace"], pod["metadata"]["name"], container, lines=_LOG_LINES)
    except ClusterError:  # the log goes with the pod
        return reason
    said = " | ".join(one_line(line, 300) for line in text.splitlines() if line.strip())
    return f"{reason}; its last words: {said[-300:]}" if said else reason


def stuck_reason(namespace: Object) -> str:
    """What a namespace that is being removed waits for."""
    conditions = namespace.get("status", {}).get("conditions") or []
    said = [one_line(entry["message"], 300) for entry in conditions if entry["status"] == "True"]
    return f"is being removed{': ' + '; '.join(said)[:300] if said else ''}"


def run_pods(session: Session, plan: ClusterPlan) -> dict[str, Object]:
    """The run's pods by name, without the reaper's."""
    selector = f"{RUN_LABEL}={plan.run_id},{MANAGED_LABEL}={MANAGED_BY},{ROLE_LABEL}!=reaper"
    return {pod["metadata"]["name"]: pod for pod in session.find("Pod", plan.namespace_name, selector=selector)}


def pod_names(plan: ClusterPlan) -> list[str]:
    """Names of all pods of the run but the reaper's."""
    profilers = [plan.profiler_name(number) for number in range(len(plan.profiler_nodes()))]
    return [*(pod.name for pod in plan.pods()), *profilers]


def _hopeless(session: Session, pod: Object | None, waited_s: float, look_at_events: bool) -> str | None:
    if pod is None:
        return "is gone; somebody deleted it, or its node was drained"
    if reason := explain(session, pod):
        return reason
    if waited_s > _UNSCHEDULABLE_GRACE_S and (reason := pod_state.unschedulable(pod)):
        return reason
    return pod_state.hopeless_event(_events(session, pod)) if look_at_events else None


def _too_late(session: Session, pod: Object | None, name: str, within_s: float) -> str:
    warning = pod_state.last_warning(_events(session, pod)) if pod else None
    said = f"; its last event: {warning}" if warning else "; it has no warning among its events"
    return f"pod {name}: not ready within {within_s:g} s{said}"


def _events(session: Session, pod: Object) -> Sequence[Mapping[str, Any]]:
    metadata = pod["metadata"]
    try:
        return session.find("Event", metadata["namespace"], fields=f"involvedObject.uid={metadata['uid']}")
    except TransientError:
        return []


def _what_is_left(session: Session, run_id: str, namespace: str, own_namespace: bool) -> str | None:
    if own_namespace:
        found = session.get("Namespace", namespace)
        labels = (found["metadata"].get("labels") or {}) if found else {}
        return stuck_reason(found) if found and labels.get(RUN_LABEL) == run_id else None
    selector = f"{RUN_LABEL}={run_id},{MANAGED_LABEL}={MANAGED_BY}"
    left = [pod["metadata"]["name"] for pod in session.find("Pod", namespace, selector=selector)]
    owner = session.get("ConfigMap", f"mi-{run_id}-run", namespace)
    return f"pods {', '.join(left)} are still there" if left else ("its owner is still there" if owner else None)
