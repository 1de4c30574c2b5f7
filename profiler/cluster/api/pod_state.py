"""What a pod's status and events say is wrong with it, in the cluster's own words. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from profiler.text import one_line

Pod = Mapping[str, Any]

_HOPELESS: Final = {
    "ImagePullBackOff": "the image cannot be pulled; check --image and that the node can reach its registry",
    "ErrImageNeverPull": "the node does not have the image and may not pull it; import it, or change the pull policy",
    "InvalidImageName": "--image is not the name of an image",
    "CreateContainerConfigError": "its configuration is refused",
    "CreateContainerError": "the container runtime refuses it",
    "RunContainerError": "the container runtime cannot start it",
    "CrashLoopBackOff": "it ends again and again",
}
"""Reasons of a waiting container that waiting does not mend."""
_GONE_BY: Final = {
    "EvictionByEvictionAPI": "it was evicted, as when its node is drained",
    "DeletionByTaintManager": "its node was tainted, as when it is drained or lost",
    "DeletionByPodGC": "its node is gone",
    "PreemptionByScheduler": "another pod of higher priority took its place",
    "TerminationByKubelet": "its node was short of resources or shut down",
}


def is_ready(pod: Pod) -> bool:
    """Whether it runs and all its containers have started."""
    if pod.get("status", {}).get("phase") != "Running" or pod["metadata"].get("deletionTimestamp"):
        return False
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in _conditions(pod))


def unschedulable(pod: Pod) -> str | None:
    """Why no node takes it; that may change while others leave or nodes are added."""
    for entry in _conditions(pod):
        if entry["type"] == "PodScheduled" and entry["status"] == "False":
            return f"no node takes it: {_line(entry.get('message') or entry.get('reason', ''))}"
    return None


def failure(pod: Pod) -> str | None:
    """What ended the pod, or keeps it from ever starting; None while it may still do well."""
    status = pod.get("status", {})
    for entry in _conditions(pod):
        if entry["type"] == "DisruptionTarget" and entry["status"] == "True":
            meaning = _GONE_BY.get(entry.get("reason", ""), "it is being removed")
            return f"{meaning}: {_line(entry.get('message', ''))}"
    if status.get("reason") == "Evicted":
        return f"it was evicted: {_line(status.get('message', ''))}"
    if status.get("reason") == "DeadlineExceeded":
        return "its deadline (activeDeadlineSeconds) is past"
    for role, container in _containers(pod):
        if reason := _container_failure(role, container):
            return reason
    if pod["metadata"].get("deletionTimestamp"):
        return "it was deleted by somebody else, as when its node is drained"
    if status.get("phase") == "Failed":
        return f"it failed: {_line(status.get('message') or status.get('reason') or 'no reason is given')}"
    if status.get("phase") == "Succeeded":
        return "it has ended, although it should run until the end of the run"
    return None


def failed_container(pod: Pod) -> str | None:
    """The container whose log says more, if one has ended badly or does so again and again."""
    for _, container in _containers(pod):
        for state in (container.get("state", {}), container.get("lastState", {})):
            if state.get("terminated", {}).get("exitCode"):
                return str(container["name"])
    return None


def unready_container(pod: Pod) -> str | None:
    """The first container that runs and has not started: its startup probe fails, or a sidecar is not ready."""
    for _, container in _containers(pod):
        if "running" in container.get("state", {}) and not (container.get("started") and container.get("ready")):
            return str(container["name"])
    return None


def last_warning(events: Sequence[Mapping[str, Any]]) -> str | None:
    """The newest warning among a pod's events."""
    warnings = [event for event in events if event.get("type") == "Warning"]
    if not warnings:
        return None
    newest = max(warnings, key=_when)
    return f"{_line(newest.get('reason') or '')}: {_line(newest.get('message', ''))}"


def hopeless_event(events: Sequence[Mapping[str, Any]]) -> str | None:
    """An event that waiting does not mend: a folder of the node that is to be mounted and is not there."""
    for event in events:
        message = event.get("message", "")
        if event.get("reason") == "FailedMount" and "hostPath type check failed" in message:
            return f"the node lacks a folder that the profiler reads: {_line(message)}"
    return None


def container_statuses(pod: Pod) -> dict[str, Mapping[str, Any]]:
    """Status by name of container, sidecars that are started as init containers included."""
    return {container["name"]: container for _, container in _containers(pod)}


def _container_failure(role: str, container: Mapping[str, Any]) -> str | None:
    name = f"{role} {_line(container['name'])}"
    state, before = container.get("state", {}), container.get("lastState", {})
    for ended in (state.get("terminated", {}), before.get("terminated", {})):
        if ended.get("reason") == "OOMKilled":
            return f"{name} was killed because it needs more memory than its limit (OOMKilled)"
    if waiting := state.get("waiting"):
        reason = waiting.get("reason", "")
        if reason in _HOPELESS:
            return f"{name}: {_HOPELESS[reason]} ({reason}: {_line(waiting.get('message', ''))})"
        return None
    ended = state.get("terminated")
    if ended and (ended.get("exitCode") or role == "container"):
        said = f": {_line(ended['message'])}" if ended.get("message") else ""
        reason = _line(ended.get("reason") or "no reason")
        return f"{name} ended with exit status {ended.get('exitCode')} ({reason}){said}"
    return None


def _containers(pod: Pod) -> Iterator[tuple[str, Mapping[str, Any]]]:
    status = pod.get("status", {})
    yield from (("init container", entry) for entry in status.get("initContainerStatuses") or [])
    yield from (("container", entry) for entry in status.get("containerStatuses") or [])


def _conditions(pod: Pod) -> Sequence[Mapping[str, Any]]:
    found = pod.get("status", {}).get("conditions") or []
    return [entry for entry in found if "type" in entry and "status" in entry]


def _when(event: Mapping[str, Any]) -> str:
    series = event.get("series") or {}
    return str(
        series.get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or event.get("metadata", {}).get("creationTimestamp")
        or ""
    )


def _line(text: str) -> str:
    return one_line(text, 300).rstrip(".")
