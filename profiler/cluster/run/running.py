"""A profile run on a cluster from the command line's side: create, wait, tell, follow, fetch, remove."""

import json
import secrets
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from profiler.cluster.api.errors import ClusterError
from profiler.cluster.api.pod_state import container_statuses
from profiler.cluster.api.session import Object, Session
from profiler.cluster.api.transfer import Execute, fetch_folder, hand_over, short_output
from profiler.cluster.names import IN_POD, PROFILER
from profiler.cluster.objects.mesh import NO_SIDECAR, Mesh, load_mesh, said_by_object
from profiler.cluster.objects.objects import server_port
from profiler.cluster.objects.plan import BESIDE_S, LONGEST_RUN_S, ClusterPlan
from profiler.cluster.objects.rendering import make_secrets
from profiler.cluster.run.continuing import Where, facts_of, keep_result, require_same
from profiler.cluster.run.leftovers import this_process
from profiler.cluster.run.lifecycle import Place, check_pods, decide_namespace, existing, wait_ready
from profiler.cluster.run.progress import Said, follow, spoken
from profiler.cluster.run.task import HopPlace, MeshProxy, SidecarPlace, Task
from profiler.errors import UsageError
from profiler.host.interrupts import Interrupted
from profiler.measuring.journal import Journal
from profiler.measuring.loop import Report
from profiler.measuring.profiling import Outcome, Schedule
from profiler.measuring.testbeds import answers_of
from profiler.planning.blocks import Block
from profiler.planning.settings import ProfileSettings
from profiler.profile.document import FILE_NAME, load_profile
from profiler.vocabulary.components import CLIENT_SIDECAR, SERVER_SIDECAR
from profiler.vocabulary.hop import Hop
from profiler.vocabulary.protocols import GRPC
from profiler.workload.base import Answers

_TIMES_EXPECTED: Final = 2.0
"""A run's deadline: so many times what it is expected to take, and `BESIDE_S`."""


def cluster_plan(settings: ProfileSettings, where: Where, place: Place = Place()) -> ClusterPlan:  # noqa: B008 - frozen
    """What a run of these settings creates. Raises UsageError for what a cluster, or the mesh, cannot do."""
    mesh = load_mesh(where.mesh)
    if mesh.sidecar == NO_SIDECAR:
        raise UsageError(f"--mesh {mesh.name}: has no sidecars to measure; use --mesh builtin or that of your cluster")
    if where.server_node and not where.node:
        raise UsageError(f"--server-node {where.server_node}: say with --node where the clients are to be")
    schedule = Schedule(settings)
    expected_s = settings.budget_s or sum(seconds for _, seconds in schedule.listing())
    if expected_s + BESIDE_S > LONGEST_RUN_S:
        raise UsageError(
            f"this is expected to take {expected_s / 60:.0f} minutes, and a run on a cluster may take "
            f"{(LONGEST_RUN_S - BESIDE_S) / 60:.0f}; use --budget, fewer cells, or several runs"
        )
    now_s = int(time.time())
    return ClusterPlan(
        run_id=secrets.token_hex(4),
        image=where.image,
        mesh=mesh,
        hops=tuple(schedule.hops()),
        answers=_answers(schedule.blocks()),
        deadline_s=now_s + min(LONGEST_RUN_S, int(_TIMES_EXPECTED * expected_s + BESIDE_S)),
        now_s=now_s,
        namespace=where.namespace,
        own_namespace=place.own,
        prepared=place.prepared,
        client_node=where.node,
        server_node=where.server_node or where.node,
        profiler_argv=(*IN_POD, "measure"),
        started_by=this_process(),
    )


@dataclass(frozen=True)
class ClusterRun:
    """A run on a cluster. `command` and `version` are noted in the profile.

    `begun` are the facts of an unfinished run that it continues.
    """

    session: Session
    settings: ProfileSettings
    where: Where
    command: tuple[str, ...]
    version: str
    begun: Mapping[str, Any] | None = None

    def run(self, directory: Path, report: Report) -> Outcome:
        """Measure there, bring the result to `directory`, and remove what was made.

        What an unfinished run has in `directory` already is kept and not measured again.

        Stopped by a signal, or by the end of a pod, it brings what was finished.

        Raises:
            ClusterError: the run could not begin or ended without a result; UsageError: it cannot be done so.
            Interrupted: stopped before there was anything to bring.
        """
        place = decide_namespace(self.session, self.where.namespace, allow_foreign=self.where.allow_foreign)
        plan = cluster_plan(self.settings, self.where, place)
        if self.begun is None:
            _require_new(directory)
        report(f"creating pods in {plan.namespace_name}", 0.0)
        removing = partial(report, "removing what was made", 0.0)
        with existing(self.session, plan, make_secrets(plan), removing):
            interrupted = self._measured(plan, directory, report)
        if interrupted is not None and not (directory / FILE_NAME).is_file():
            raise interrupted  # ended before there was anything to load
        return Outcome(directory / FILE_NAME, load_profile(directory), interrupted)

    def _measured(self, plan: ClusterPlan, directory: Path, report: Report) -> BaseException | None:
        """Bring a result to `directory`; what ended the run early, if anything did."""
        execute = partial(self.session.execute, plan.namespace_name, plan.profiler_name(0), PROFILER)
        pods = wait_ready(self.session, plan, progress=_counted(report))
        task = make_task(self.session, plan, pods, self.settings, self.command, self.version)
        proxy = require_one_proxy(plan, pods)
        task = replace(task, begun=facts_of(self.session, self.where, plan, task.cluster, proxy))
        if self.begun is not None:
            require_same(directory, self.begun, task.begun)
            task = replace(task, finished=Journal(directory).files())
        hand_over(execute, json.dumps(task.to_json()).encode())
        stopped: Interrupted | None = None
        try:
            ended = self._followed(plan, report)
        except Interrupted as error:
            stopped = error
            ended = self._stopped(plan, execute, report, stopped)
        except ClusterError:
            check_pods(self.session, plan)  # the reason may be that of another pod
            raise
        report("fetching the result", 0.0)
        _fetch(execute, ended.result or "", directory, task.begun)
        broken = _reason(self.session, plan, ended.error) if ended.error and not stopped else None
        with suppress(ClusterError):  # the container may have ended before the answer
            short_output(execute([*IN_POD, "acknowledge"]))
        return stopped or broken

    def _stopped(self, plan: ClusterPlan, execute: Execute, report: Report, stopped: Interrupted) -> Said:
        """End the measuring early. Raises what stopped it when there is no result."""
        report("stopping", 0.0)
        try:
            short_output(execute([*IN_POD, "stop"]))
            return self._followed(plan, report)
        except ClusterError:
            raise stopped from None

    def _followed(self, plan: ClusterPlan, report: Report) -> Said:
        """Show how far it is, until the result is there. Raises ClusterError when it never will be."""
        for line in follow(self.session, plan.namespace_name, plan.profiler_name(0), PROFILER):
            said = spoken(line)
            if said.result is not None:
                return said
            if said.label is not None:
                report(said.label, said.left_s)
        raise ClusterError(f"pod {plan.profiler_name(0)}: ended without a result; see `kubectl logs` of it")


def make_task(
    session: Session, plan: ClusterPlan, pods: Mapping[str, Object], settings: ProfileSettings,
    command: Sequence[str], version: str,
) -> Task:  # fmt: skip
    """The task for the profiler's pod, from the pods that run."""
    mesh = plan.mesh
    return Task(
        settings=settings,
        command=tuple(command),
        version=version,
        proxy=MeshProxy(
            mesh.proxy.process if mesh.proxy else "",
            mesh.version,
            mesh.configuration,
            mesh.program_version or mesh.version,
        ),
        places={hop.name: _place(session, plan, pods, hop) for hop in plan.hops},
        cluster=_facts(session, plan, pods),
        assistant=pods[plan.profiler_name(1)]["status"]["podIP"] if plan.across_nodes else None,
    )


def require_one_proxy(plan: ClusterPlan, pods: Mapping[str, Object]) -> str:
    """The image that the sidecars of all pods run; empty without sidecars. Raises ClusterError where they differ."""
    if plan.mesh.proxy is None:
        return ""
    images = {pod.name: _image(pods[pod.name], plan.mesh.proxy.container) for pod in plan.pods() if pod.hop is not None}
    first, *others = images or {"": ""}
    for name in others:
        if images[name] != images[first]:
            raise ClusterError(
                f"pod {name}: its sidecar runs {images[name]}, that of pod {first} {images[first]}; figures of two do "
                "not mix: let one revision of the mesh inject all pods of a run"
            )
    return images.get(first, "")


def _place(session: Session, plan: ClusterPlan, pods: Mapping[str, Object], hop: Hop) -> HopPlace:
    service = session.get("Service", plan.service_name(hop), plan.namespace_name)
    if service is None:
        raise ClusterError(f"service {plan.service_name(hop)}: is gone; somebody deleted it")
    load, echo = (pods[pod.name] for pod in (plan.load_pod(hop), plan.echo_pod(hop)))
    return HopPlace(
        address=service["spec"]["clusterIP"],
        port=server_port(hop.application),
        load=_container_id(load, "load"),
        server=_container_id(echo, "grpc-server" if hop.application == GRPC else "server"),
        client_sidecar=_sidecar(load, plan.mesh) if CLIENT_SIDECAR in hop.sidecar_places else None,
        server_sidecar=_sidecar(echo, plan.mesh) if SERVER_SIDECAR in hop.sidecar_places else None,
    )


def _sidecar(pod: Object, mesh: Mesh) -> SidecarPlace | None:
    if mesh.proxy is None:
        return None
    name = mesh.proxy.container
    return SidecarPlace(
        _container_id(pod, name),
        _image(pod, name),
        said_by_object(mesh.version, pod, name),
        said_by_object(mesh.configuration, pod, name),
        said_by_object(mesh.program_version or mesh.version, pod, name),
    )


def _facts(session: Session, plan: ClusterPlan, pods: Mapping[str, Object]) -> dict[str, Any]:
    """What of the cluster belongs to a profile's environment."""
    profiler = pods[plan.profiler_name(0)]
    reported = container_statuses(profiler)[PROFILER]["containerID"]
    return {
        "kubernetes": session.version,
        "container_runtime": str(reported).partition("://")[0],
        "node": profiler["spec"].get("nodeName", ""),
        **({"server_node": plan.server_node} if plan.across_nodes else {}),
        "mesh": plan.mesh.name,
        "image": _image(profiler, PROFILER),
    }


def _image(pod: Object, container: str) -> str:
    """The image that a container runs, by its digest where the runtime tells it."""
    status = container_statuses(pod)[container]
    return str(status.get("imageID") or status.get("image", ""))


def _container_id(pod: Object, container: str) -> str:
    found = container_statuses(pod).get(container, {}).get("containerID")
    if not found:
        raise ClusterError(f"pod {pod['metadata']['name']}: its container {container} has no id, so it does not run")
    return str(found)


def _answers(blocks: Sequence[Block]) -> Answers:
    """What every server must be ready for: all loads of all blocks."""
    every = [answers_of(block.plan, hop) for block in blocks for hop in block.plan.hops]
    sizes = sorted({size for answers in every for size in answers.sizes})
    return Answers(tuple(sizes), max(answers.largest_request_bytes for answers in every))


def _reason(session: Session, plan: ClusterPlan, said: str) -> ClusterError:
    """Why a run ended early: what a pod says that is not well, else what the profiler said."""
    try:
        check_pods(session, plan)
    except ClusterError as error:
        return error
    return ClusterError(said)


def _counted(report: Report) -> Callable[[int, int], None]:
    return lambda ready, wanted: report(f"{ready} of {wanted} pods are ready", 0.0)


def _fetch(execute: Execute, folder: str, directory: Path, begun: Mapping[str, str]) -> None:
    """Bring the result of a run with the facts `begun` to `directory`, unless there is no profile in it."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}-") as scratch:
        result = Path(scratch) / "result"
        fetch_folder(execute, folder, result)
        if (result / FILE_NAME).is_file():
            keep_result(result, directory, begun)


def _require_new(directory: Path) -> None:
    if directory.exists():
        try:
            directory.rmdir()
        except OSError as error:
            raise UsageError(f"--out {directory}: is there already; choose another directory") from error
