"""Looking at sidecars that already run on a cluster: a profiler's pod on their node, and nothing else, for a while."""

import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import msgspec

from profiler.attach.results import Attached
from profiler.cluster.api.errors import ClusterError
from profiler.cluster.api.pod_state import container_statuses
from profiler.cluster.api.session import Object, Session
from profiler.cluster.api.transfer import hand_over
from profiler.cluster.names import IN_POD, PROFILER
from profiler.cluster.objects.mesh import NO_SIDECAR, ProxyPlace, load_mesh, mesh_names
from profiler.cluster.objects.plan import BESIDE_S, LONGEST_RUN_S, ClusterPlan
from profiler.cluster.run.leftovers import this_process
from profiler.cluster.run.lifecycle import Place, decide_namespace, existing, wait_ready
from profiler.cluster.run.progress import follow, spoken
from profiler.errors import UsageError
from profiler.profile.stacks import stacks_of
from profiler.text import error_line
from profiler.workload.base import Answers


@dataclass(frozen=True)
class Sidecar:
    """A running sidecar: `namespace/pod`, its node, the container's id and the name of the proxy's process there."""

    label: str
    node: str
    container_id: str
    process: str


def find_sidecars(
    session: Session, pods: Sequence[str], selector: str | None, namespace: str, container: str | None
) -> list[Sidecar]:
    """The sidecars of pods (`namespace/name`), and of those of `namespace` that `selector` selects.

    Args:
        session: the cluster.
        pods: by name.
        selector: of labels, as for kubectl; None: none.
        namespace: for the selector, and for pods without one.
        container: the proxy's, where it is not that of a known mesh.

    Raises:
        UsageError: no such pod, no sidecar in it, or it does not run.
    """
    found = [_pod(session, name, namespace) for name in pods]
    if selector is not None:
        selected = session.find("Pod", namespace, selector=selector)
        if not selected:
            raise UsageError(f"--selector {selector}: selects no pod in namespace {namespace}")
        found += selected
    return [_sidecar(pod, container) for pod in found]


def attach_on_cluster(
    session: Session,
    sidecars: Sequence[Sidecar],
    image: str,
    duration_s: float,
    max_ratio: float,
    say: Callable[[str], None] = lambda _: None,
    namespace: str = "",
) -> list[Attached]:
    """Look at sidecars for so long, node by node, within a bound; what was found on each node.

    The profiler's pod is in `namespace`, which an administrator has prepared for runs; empty: in a new one.

    Raises:
        ClusterError: it could not be done; UsageError: it would take too long.
    """  # fmt: skip
    place = decide_namespace(session, namespace, allow_foreign=False)
    found = []
    for node in dict.fromkeys(sidecar.node for sidecar in sidecars):
        here = [sidecar for sidecar in sidecars if sidecar.node == node]
        say(f"looking at {', '.join(sidecar.label for sidecar in here)} on node {node}")
        plan = _plan(node, image, duration_s, namespace, place)
        found.append(_on_node(session, plan, _order(here, duration_s, max_ratio), say))
    return found


def _on_node(session: Session, plan: ClusterPlan, order: Mapping[str, Any], say: Callable[[str], None]) -> Attached:
    with existing(session, plan, None):
        wait_ready(session, plan)
        execute = partial(session.execute, plan.namespace_name, plan.profiler_name(0), PROFILER)
        hand_over(execute, json.dumps(order).encode())
        for line in follow(session, plan.namespace_name, plan.profiler_name(0), PROFILER):
            said = spoken(line)
            if said.attached is not None:
                return attached_from(said.attached, said.stacks)
            if said.say is not None:
                say(said.say)
    raise ClusterError(f"pod {plan.profiler_name(0)}: ended without a result")


def attached_from(said: Mapping[str, Any], stacks: bytes = b"") -> Attached:
    """What a pod says that it found, which is not trusted, with its file of stacks. Raises MeshInsightError."""
    try:
        found = Attached.from_json(said)
        return replace(found, stacks=tuple(stacks_of(stacks, "the profiler's pod"))) if stacks else found
    except (msgspec.ValidationError, TypeError) as error:
        raise ClusterError(
            f"the profiler's pod does not answer as it should: {error_line(error)}; use the image of this release"
        ) from error


def _order(sidecars: Sequence[Sidecar], duration_s: float, max_ratio: float) -> dict[str, Any]:
    """What `look` is asked to do."""
    targets = [{"label": one.label, "container_id": one.container_id, "process": one.process} for one in sidecars]
    return {"targets": targets, "duration_s": duration_s, "max_ratio": max_ratio}


def _plan(node: str, image: str, duration_s: float, namespace: str, place: Place) -> ClusterPlan:
    if duration_s + BESIDE_S > LONGEST_RUN_S:
        raise UsageError(f"--duration: at most {(LONGEST_RUN_S - BESIDE_S) // 60} minutes on a cluster")
    now_s = int(time.time())
    return ClusterPlan(
        run_id=secrets.token_hex(4),
        image=image,
        mesh=load_mesh("none"),
        hops=(),
        answers=Answers(((0, 1),), 0),
        deadline_s=now_s + int(duration_s) + BESIDE_S,
        now_s=now_s,
        namespace=namespace,
        own_namespace=place.own,
        prepared=place.prepared,
        client_node=node,
        server_node=node,
        profiler_argv=(*IN_POD, "attach"),
        started_by=this_process(),
    )


def _pod(session: Session, name: str, namespace: str) -> Object:
    where, _, bare = name.rpartition("/")
    found = session.get("Pod", bare, where or namespace)
    if found is None:
        raise UsageError(f"--pod {name}: there is no such pod; `kubectl get pods --all-namespaces` lists them")
    return found


def _sidecar(pod: Object, container: str | None) -> Sidecar:
    label = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
    statuses = container_statuses(pod)
    known = _known_proxies()
    name = container or next((one for one in known if one in statuses), "")
    if name not in statuses:
        wanted = f"container {container}" if container else f"sidecar ({', '.join(known)})"
        raise UsageError(
            f"pod {label}: has no {wanted}; it has {', '.join(statuses) or 'none'}; name one by --container"
        )
    if "running" not in statuses[name].get("state", {}):
        raise UsageError(f"pod {label}: its container {name} does not run; see `kubectl describe pod`")
    process = known[name].process if name in known else ""
    return Sidecar(f"{label} ({name})", pod["spec"]["nodeName"], statuses[name]["containerID"], process)


def _known_proxies() -> dict[str, ProxyPlace]:
    """By name of the container."""
    meshes = [load_mesh(name) for name in mesh_names()]
    return {mesh.proxy.container: mesh.proxy for mesh in meshes if mesh.proxy and mesh.sidecar != NO_SIDECAR}
