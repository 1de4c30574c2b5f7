"""The life of a run's objects: created in order, waited for, watched, removed."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from profiler.cluster.api import pod_state
from profiler.cluster.api.errors import ClusterError, ForbiddenError, TransientError
from profiler.cluster.api.session import Object, Session
from profiler.cluster.names import MANAGED_BY, MANAGED_LABEL, PREPARED_LABEL, ROLE_LABEL, RUN_LABEL
from profiler.cluster.objects.mesh import Installation, revisions_of
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
        ClusterError: the cluster has no such mesh, a quota is exceeded, the mesh injects no sidecar, and the like.
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
        made = session.create(entry)
        if entry["kind"] == "Pod":
            check_sidecar(session, plan, made)


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


def check_sidecar(session: Session, plan: ClusterPlan, made: Object) -> None:
    """Raise ClusterError unless a pod of the run that was created has a sidecar just where it should have one."""
    wanted = {pod.name: pod.hop is not None for pod in plan.pods()}.get(made["metadata"]["name"])
    if plan.mesh.proxy is None or wanted is None:
        return
    container = plan.mesh.proxy.container
    containers = [*made["spec"]["containers"], *made["spec"].get("initContainers", [])]
    if any(one["name"] == container for one in containers) == wanted:
        return
    what = f"got no container {container}" if wanted else f"got a container {container} it must not have"
    raise ClusterError(
        f"pod {made['metadata']['name']}: {what} from {plan.mesh.name}: {_injection(session, plan)}; see "
        "docs/how-to/cluster.md#injection"
    )


def _injection(session: Session, plan: ClusterPlan) -> str:
    """What decides whether the run's pods are injected, as the cluster has it: labels of the namespace, revisions."""
    namespace = f"namespace {plan.namespace_name}"
    found = plan.mesh.installation
    if found is None:
        return f"look at its webhook and the labels of {namespace}"
    metadata = (session.get("Namespace", plan.namespace_name) or {"metadata": {}})["metadata"]
    marks = {**(metadata.get("annotations") or {}), **(metadata.get("labels") or {})}
    keys = list(dict.fromkeys(mark.partition("=")[0] for mark in found.namespaces))
    has = ", ".join(f"{key}={marks[key]}" for key in keys if key in marks)
    said = f"{namespace} has {has or 'no label ' + ' or '.join(keys)}"
    revisions = _revisions(session, found)
    return one_line(f"{said}; revisions that run: {', '.join(revisions)}" if revisions else said, 400)


def _revisions(session: Session, installation: Installation) -> list[str]:
    """Of the mesh's control planes; none where it has no revisions, or they may not be listed."""
    with suppress(ForbiddenError):
        planes = session.find("Deployment", selector=installation.deployments, api_version="apps/v1")
        return revisions_of(planes, installation)
    return []


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
    said = _last_words(session, pod, container)
    return f"{reason}; its last words: {said}" if said else reason


def _last_words(session: Session, pod: Object, container: str) -> str:
    """The end of a container's log; empty where there is none."""
    try:
        text = session.log(pod["metadata"]["namespace"], pod["metadata"]["name"], container, lines=_LOG_LINES)
    except ClusterError:  # the log goes with the pod
        return ""
    return " | ".join(one_line(line, 300) for line in text.splitlines() if line.strip())[-300:]


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
    container = pod_state.unready_container(pod) if pod else None
    words = f"; the last words of {container}: {_last_words(session, pod, container)}" if pod and container else ""
    return f"pod {name}: not ready within {within_s:g} s{said}{words}"


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
