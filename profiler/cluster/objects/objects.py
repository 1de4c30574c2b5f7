"""The objects of a run, one function each, without what all of them have (see rendering.py)."""

from collections.abc import Mapping
from typing import Any, Final

from profiler.cluster.api.session import Object
from profiler.cluster.names import (
    ASSISTANT,
    DEADLINE_ANNOTATION,
    ECHO,
    IN_POD,
    MANAGED_BY,
    MANAGED_LABEL,
    OWNER_ANNOTATION,
    POD_LABEL,
    PROFILER,
    ROLE_LABEL,
    RUN_LABEL,
    WORKLOAD,
)
from profiler.cluster.objects.mesh import INJECTED, OWN, filled
from profiler.cluster.objects.plan import ClusterPlan, RunPod, distinct_filters
from profiler.cluster.objects.templates import objects_from, timestamp
from profiler.vocabulary.hop import Hop
from profiler.vocabulary.protocols import GRPC
from profiler.workload.servers.haproxy import HaproxyServer
from profiler.workload.servers.nghttpd import NghttpdServer

CAPABILITIES: Final = ("SETUID", "SYS_ADMIN", "SYS_NICE", "SYS_PTRACE", "SYSLOG")
"""What the profiler's container may do where it measures. docs/how-to/cluster.md says what breaks without each."""
ATTACH_CAPABILITIES: Final = ("BPF", "PERFMON", "SYS_NICE", "SYS_PTRACE", "SYSLOG")
"""The same where it looks at what runs already: it enters no namespace, so BPF and PERFMON take SYS_ADMIN's place."""


def run_labels(plan: ClusterPlan) -> dict[str, str]:
    """What every object of the run is known by."""
    return {MANAGED_LABEL: MANAGED_BY, RUN_LABEL: plan.run_id}


def run_annotations(plan: ClusterPlan) -> dict[str, str]:
    """Until when the run lasts and which process it belongs to: on its namespace and its owner."""
    return {DEADLINE_ANNOTATION: timestamp(plan.deadline_s), OWNER_ANNOTATION: plan.started_by}


def namespace(plan: ClusterPlan) -> Object:
    """The run's own namespace."""
    return _one("namespace.yaml.j2", plan)


def owner(plan: ClusterPlan) -> Object:
    """The ConfigMap that owns the rest."""
    return _one("owner.yaml.j2", plan, deadline=timestamp(plan.deadline_s))


def accounts(plan: ClusterPlan) -> list[Object]:
    """Service accounts, and what the reaper may do: none where an administrator has made them."""
    return [] if plan.prepared else _many("accounts.yaml.j2", plan)


def reaper(plan: ClusterPlan) -> Object:
    """The Job that removes the run at its deadline."""
    labels = {**_labels(plan, "reaper"), **plan.mesh.inject.plain_labels}
    return _one("reaper.yaml.j2", plan, reaper_labels=labels)


def network_policies(plan: ClusterPlan) -> list[Object]:
    """Who may talk to whom."""
    return _many("network-policy.yaml.j2", plan)


def secret(plan: ClusterPlan, role: str, contents: Mapping[str, str]) -> Object:
    """What was made for the pods of a role; `contents` in base64 by file name."""
    return _one("secret.yaml.j2", plan, name=plan.secret_name(role), secrets=dict(contents))


def mesh_objects(plan: ClusterPlan) -> list[Object]:
    """What the mesh needs to know of the server's pods: each pod's own objects."""
    hops = [pod.hop for pod in plan.pods() if pod.role == ECHO and pod.hop is not None]
    return [made for hop in hops for made in filled(plan.mesh.tls[hop.tls].objects, **_values(plan, hop))]


def service(plan: ClusterPlan, hop: Hop) -> Object:
    """The address of a hop's server."""
    protocol = plan.mesh.protocols.get(hop.protocol if hop.sidecar_places else hop.application)
    return _one(
        "service.yaml.j2",
        plan,
        name=plan.service_name(hop),
        selector={**run_labels(plan), POD_LABEL: plan.echo_pod(hop).name},
        port=server_port(hop.application),
        port_name=f"{protocol.port_name}-echo" if protocol else "echo",
        app_protocol=protocol.app_protocol if protocol else "",
        annotations=filled(protocol.service_annotations, **_values(plan, hop)) if protocol else {},
    )


def workload_pod(plan: ClusterPlan, pod: RunPod) -> Object:
    """An echo or load pod."""
    inject = plan.mesh.inject
    if pod.hop is not None and plan.mesh.sidecar == INJECTED:
        values = _values(plan, pod.hop)
        protocol = plan.mesh.protocols[pod.hop.protocol]
        labels = filled(inject.labels, **values)
        annotations = filled({**inject.annotations, **protocol.annotations}, **values)
    else:
        labels, annotations = dict(inject.plain_labels), dict(inject.plain_annotations)
    return _one(
        f"{pod.role}.yaml.j2",
        plan,
        pod=pod,
        pod_labels={**_labels(plan, pod.role), POD_LABEL: pod.name, **labels},
        pod_annotations=annotations,
        own_sidecar=pod.hop is not None and plan.mesh.sidecar == OWN,
        filters=distinct_filters(pod),
        servers=_servers(plan, pod),
        secret=plan.secret_name(WORKLOAD) if WORKLOAD in secret_roles(plan) else "",
    )


def profiler_pod(plan: ClusterPlan, number: int) -> Object:
    """The profiler on the node of that number: the first measures, another one assists it."""
    name = plan.profiler_name(number)
    role = PROFILER if number == 0 else ASSISTANT
    return _one(
        "profiler.yaml.j2",
        plan,
        pod_name=name,
        node=plan.profiler_nodes()[number],
        argv=plan.profiler_argv if number == 0 else (*IN_POD, "agent"),
        pod_labels={**_labels(plan, PROFILER), POD_LABEL: name, **plan.mesh.inject.plain_labels},
        pod_annotations=dict(plan.mesh.inject.plain_annotations),
        capabilities=ATTACH_CAPABILITIES if plan.attaches else CAPABILITIES,
        secret=plan.secret_name(role) if role in secret_roles(plan) else "",
    )


def secret_roles(plan: ClusterPlan) -> tuple[str, ...]:
    """Whose secrets are made: our own sidecars', the profiler's and, across nodes, its assistant's; one each."""
    filters = plan.mesh.sidecar == OWN and any(hop.filters for hop in plan.hops)
    sidecars = (WORKLOAD,) if plan.needs_certificates or filters else ()
    profilers = (PROFILER, ASSISTANT) if plan.across_nodes else (PROFILER,) if sidecars else ()
    return (*sidecars, *profilers)


def server_port(application: str) -> int:
    """The port that the echo pod serves the application's protocol on."""
    return (NghttpdServer() if application == GRPC else HaproxyServer()).port(application)


def _servers(plan: ClusterPlan, pod: RunPod) -> list[dict[str, Any]]:
    """HAProxy and nghttpd, whichever the pod's applications need."""
    sizes = ",".join(f"{size}x{messages}" for size, messages in plan.answers.sizes)
    by_program: dict[str, list[str]] = {}
    for application in pod.applications:
        by_program.setdefault("grpc-server" if application == GRPC else "server", []).append(application)
    return [
        {
            "container": container,
            "argv": [
                *(*IN_POD, "echo", f"--server={'nghttpd' if container == 'grpc-server' else 'haproxy'}"),
                *(f"--sizes={sizes}", f"--largest-request={plan.answers.largest_request_bytes}"),
            ],
            "ports": [{"containerPort": server_port(application)} for application in sorted(applications)],
        }
        for container, applications in sorted(by_program.items())
    ]


def _values(plan: ClusterPlan, hop: Hop) -> dict[str, str]:
    """What the placeholders of a mesh's file stand for."""
    port = str(server_port(hop.application))
    return {"workers": str(hop.workers), "ports": port, "pod": plan.echo_pod(hop).name}


def _labels(plan: ClusterPlan, role: str) -> dict[str, str]:
    return {**run_labels(plan), ROLE_LABEL: role}


def _unprivileged(uid: int) -> Object:
    return {
        "runAsUser": uid,
        "runAsGroup": uid,
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _many(template: str, plan: ClusterPlan, **values: Any) -> list[Object]:
    common: dict[str, Any] = {
        "plan": plan,
        "run_labels": run_labels(plan),
        "labels": lambda role: _labels(plan, role),
        "unprivileged": _unprivileged,
        "in_pod": list(IN_POD),
    }
    return objects_from(template, **{**common, **values})


def _one(template: str, plan: ClusterPlan, **values: Any) -> Object:
    (made,) = _many(template, plan, **values)
    return made
