"""A profile run on a cluster from the command line's side: create, wait, tell, follow, fetch, remove."""

import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from profiler.campaign.blocks import Block
from profiler.campaign.loop import Report
from profiler.campaign.profiling import Outcome, Schedule
from profiler.campaign.settings import ProfileSettings
from profiler.campaign.testbeds import answers_of
from profiler.cluster.errors import ClusterError
from profiler.cluster.leftovers import this_process
from profiler.cluster.lifecycle import create, decide_namespace, remove, wait_ready
from profiler.cluster.mesh import NO_SIDECAR, load_mesh
from profiler.cluster.objects import server_port
from profiler.cluster.plan import LONGEST_RUN_S, PROFILER, ClusterPlan
from profiler.cluster.pod_state import container_statuses
from profiler.cluster.progress import follow, spoken
from profiler.cluster.rendering import make_secrets
from profiler.cluster.session import Object, Session
from profiler.cluster.task import HopPlace, Task
from profiler.cluster.transfer import fetch_folder
from profiler.components import CLIENT_SIDECAR, SERVER_SIDECAR
from profiler.errors import UsageError
from profiler.profile.document import FILE_NAME, load_profile
from profiler.proxies.base import GRPC
from profiler.testbed.deployment import Hop
from profiler.workload.base import Answers

_IN_POD: Final = ("python3", "-m", "profiler.cluster.pod")
_TIMES_EXPECTED: Final = 2.0
_BESIDE_S: Final = 600.0
"""A run's deadline: so many times what it is expected to take, and this for starting, fetching and cleaning up."""


@dataclass(frozen=True)
class Where:
    """Which namespace, node, mesh and image a run uses. Empty: one of its own, the scheduler's choice."""

    image: str
    mesh: str = "builtin"
    namespace: str = ""
    node: str = ""
    allow_foreign: bool = False


def cluster_plan(settings: ProfileSettings, where: Where, *, own_namespace: bool = True) -> ClusterPlan:
    """What a run of these settings creates. Raises UsageError for what a cluster, or the mesh, cannot do."""
    mesh = load_mesh(where.mesh)
    if mesh.sidecar == NO_SIDECAR:
        raise UsageError(f"--mesh {mesh.name}: has no sidecars to measure; use --mesh builtin or that of your cluster")
    if settings.budget_s:
        raise UsageError("--budget: not on a cluster yet; name what to measure, or use --quick")
    schedule = Schedule(settings)
    blocks = schedule.listing()
    expected_s = sum(seconds for _, seconds in blocks)
    now_s = int(time.time())
    return ClusterPlan(
        run_id=secrets.token_hex(4),
        image=where.image,
        mesh=mesh,
        hops=tuple(schedule.hops()),
        answers=_answers([block for block, _ in blocks]),
        deadline_s=now_s + min(LONGEST_RUN_S, int(_TIMES_EXPECTED * expected_s + _BESIDE_S)),
        now_s=now_s,
        namespace=where.namespace,
        own_namespace=own_namespace,
        client_node=where.node,
        server_node=where.node,
        profiler_argv=(*_IN_POD, "measure"),
        started_by=this_process(),
    )


@dataclass(frozen=True)
class ClusterRun:
    """A run on a cluster. `command` and `version` are noted in the profile."""

    session: Session
    settings: ProfileSettings
    where: Where
    command: tuple[str, ...]
    version: str

    def run(self, directory: Path, report: Report) -> Outcome:
        """Measure there, bring the result to `directory`, and remove what was made.

        Raises:
            ClusterError: the run could not begin or ended without a result; UsageError: it cannot be done so.
        """
        own = decide_namespace(self.session, self.where.namespace, allow_foreign=self.where.allow_foreign)
        plan = cluster_plan(self.settings, self.where, own_namespace=own)
        _require_new(directory)
        try:
            report(f"creating pods in {plan.namespace_name}", 0.0)
            create(self.session, plan, make_secrets(plan))
            pods = wait_ready(self.session, plan, progress=_counted(report))
            execute = partial(self.session.execute, plan.namespace_name, plan.profiler_name(0), PROFILER)
            task = make_task(self.session, plan, pods, self.settings, self.command, self.version)
            _drained(execute([*_IN_POD, "begin", json.dumps(task.to_json())]))
            ended = self._followed(plan, report)
            report("fetching the result", 0.0)
            fetch_folder(execute, ended["result"], directory)
            _drained(execute([*_IN_POD, "done"]))
        finally:
            report("removing what was made", 0.0)
            remove(self.session, plan)
        interrupted = ClusterError(ended["error"]) if ended["error"] else None
        return Outcome(directory / FILE_NAME, load_profile(directory), interrupted)

    def _followed(self, plan: ClusterPlan, report: Report) -> Mapping[str, Any]:
        """Show how far it is, until the result is there. Raises ClusterError when it never will be."""
        for line in follow(self.session, plan.namespace_name, plan.profiler_name(0), PROFILER):
            said = spoken(line)
            if "result" in said:
                return said
            if "label" in said:
                report(said["label"], said["left_s"])
        raise ClusterError(f"pod {plan.profiler_name(0)}: ended without a result; see `kubectl logs` of it")


def make_task(
    session: Session, plan: ClusterPlan, pods: Mapping[str, Object], settings: ProfileSettings,
    command: Sequence[str], version: str,
) -> Task:  # fmt: skip
    """The task for the profiler's pod, from the pods that run."""
    proxy = plan.mesh.proxy
    return Task(
        settings=settings,
        command=tuple(command),
        version=version,
        proxy_process=proxy.process if proxy else "",
        places={hop.name: _place(session, plan, pods, hop) for hop in plan.hops},
    )


def _place(session: Session, plan: ClusterPlan, pods: Mapping[str, Object], hop: Hop) -> HopPlace:
    service = session.get("Service", plan.service_name(hop), plan.namespace_name)
    if service is None:
        raise ClusterError(f"service {plan.service_name(hop)}: is gone; somebody deleted it")
    load, echo = (pods[pod.name] for pod in (plan.load_pod(hop), plan.echo_pod(hop)))
    sidecar = plan.mesh.proxy.container if plan.mesh.proxy else ""
    return HopPlace(
        address=service["spec"]["clusterIP"],
        port=server_port(hop.application),
        load=_container_id(load, "load"),
        server=_container_id(echo, "grpc-server" if hop.application == GRPC else "server"),
        client_sidecar=_container_id(load, sidecar) if CLIENT_SIDECAR in hop.sidecar_places else "",
        server_sidecar=_container_id(echo, sidecar) if SERVER_SIDECAR in hop.sidecar_places else "",
    )


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


def _counted(report: Report) -> Callable[[int, int], None]:
    return lambda ready, wanted: report(f"{ready} of {wanted} pods are ready", 0.0)


def _drained(pieces: Any) -> None:
    for _ in pieces:
        pass


def _require_new(directory: Path) -> None:
    if directory.exists():
        try:
            directory.rmdir()
        except OSError as error:
            raise UsageError(f"--out {directory}: is there already; choose another directory") from error
