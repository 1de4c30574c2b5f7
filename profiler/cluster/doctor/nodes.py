"""The nodes of a cluster: which may take a run's pods, and whether their kernel can be expected to have tracefs."""

from collections.abc import Sequence
from typing import Final

from profiler.cluster.api.errors import rule_text
from profiler.cluster.api.session import Object
from profiler.cluster.run.continuing import Where
from profiler.doctor.check import CLUSTER, Check
from profiler.doctor.kernel import OLDEST, kernel_version
from profiler.text import first_of

_VIRTUAL: Final = {"type": "virtual-kubelet", "eks.amazonaws.com/compute-type": "fargate"}
"""Labels of nodes without a machine: their pods see no host."""
_CLOSED: Final = ("NoSchedule", "NoExecute")
_MOST_NAMES: Final = 3


def nodes(known: Sequence[Object] | None, where: Where) -> list[Check]:
    """Equal nodes together; those that were asked for have to be usable, otherwise any one of them."""
    if known is None:
        rule = rule_text("", "nodes", "list")
        detail = "not checked: you may not list nodes, which a run does not need"
        return [Check("nodes", "warn", detail, (CLUSTER,), f"to check them, let an administrator add {rule}")]
    by_name = {_name(node): node for node in known}
    asked = [name for name in dict.fromkeys((where.node, where.server_node)) if name]
    if absent := [name for name in asked if name not in by_name]:
        remedy = f"name one of {first_of(list(by_name), _MOST_NAMES)}"
        return [Check(name, "missing", "no such node", (CLUSTER,), remedy) for name in absent]
    chosen = [by_name[name] for name in asked] or list(known)
    usable, unusable = _grouped(chosen)
    fine = [Check(first_of(names, _MOST_NAMES), "ok", detail) for detail, names in usable.items()]
    stops = bool(asked) or not usable
    return fine + [
        Check(first_of(names, _MOST_NAMES), "missing" if stops else "warn", detail, (CLUSTER,), remedy)
        for (detail, remedy), names in unusable.items()
    ]


def _grouped(chosen: Sequence[Object]) -> tuple[dict[str, list[str]], dict[tuple[str, str], list[str]]]:
    """Names of usable nodes by what they are, and of the others by problem and remedy."""
    usable: dict[str, list[str]] = {}
    unusable: dict[tuple[str, str], list[str]] = {}
    for node in chosen:
        if problem := _problem(node):
            unusable.setdefault(problem, []).append(_name(node))
        else:
            usable.setdefault(_described(node), []).append(_name(node))
    return usable, unusable


def _problem(node: Object) -> tuple[str, str] | None:
    """What keeps a run's pods away or stops the profiler, with the remedy."""
    info, name = node["status"]["nodeInfo"], _name(node)
    labels = node["metadata"].get("labels") or {}
    closed = [taint["key"] for taint in node["spec"].get("taints") or [] if taint["effect"] in _CLOSED]
    conditions = {entry["type"]: entry["status"] for entry in node["status"].get("conditions") or []}
    other = "measure on another node with --node"
    if info["operatingSystem"] != "linux":
        return f"{info['operatingSystem']}, not Linux", other
    if any(labels.get(key) == value for key, value in _VIRTUAL.items()):
        return "virtual: its pods see no host, so there is no tracefs", other
    if kernel_version(info["kernelVersion"]) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        return f"Linux {info['kernelVersion']}: too old for the probes", f"use nodes with Linux {oldest} or later"
    if conditions.get("Ready") != "True":
        return "not ready", f"see `kubectl describe node {name}`"
    if node["spec"].get("unschedulable"):
        return "cordoned", f"kubectl uncordon {name}"
    if closed:
        return f"taint {closed[0]}: takes no pods of a run", f"kubectl taint node {name} {closed[0]}-"
    return None


def _described(node: Object) -> str:
    info = node["status"]["nodeInfo"]
    runtime = str(info["containerRuntimeVersion"]).replace("://", " ")
    return (
        f"Linux {info['kernelVersion']} {info['architecture']}, {runtime}: tracefs can be expected; the profiler's pod "
        "reports where it is not mounted"
    )


def _name(node: Object) -> str:
    return str(node["metadata"]["name"])
