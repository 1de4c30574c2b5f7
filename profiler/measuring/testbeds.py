"""Where the hops of a plan are deployed: on this machine, or on a cluster that is there already."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from profiler.host.hop_cpus import cpus_for_hops
from profiler.host.netns import Namespace
from profiler.host.process import stop_all
from profiler.measuring.instruments import Instruments
from profiler.measuring.machines import Machines, Places
from profiler.planning.cells import ANCHOR_HOP, ANCHOR_SCENE, Plan
from profiler.planning.settings import ProfileSettings
from profiler.proxies.base import INBOUND, Listener, ProxyVersion, SidecarConfig
from profiler.proxies.filters import load_filter
from profiler.proxies.registry import find_proxy, proxy_of
from profiler.testbed.certificates import certificates_in, copy_certificates, make_certificates
from profiler.testbed.deployment import Deployment, Secrets, filter_values, sidecar_config
from profiler.testbed.pods import PodNetwork
from profiler.testbed.run import Run
from profiler.testbed.tokens import Token, make_token
from profiler.vocabulary.addresses import Address
from profiler.vocabulary.hop import WAYPOINT, Hop, cpus_used
from profiler.vocabulary.temperature import Mode
from profiler.workload.base import Answers, Server, Target


class Sidecar(Protocol):
    """A proxy of a hop, as far as its use of the machine goes."""

    def run_time_ns(self) -> int:
        """CPU time of all its threads so far."""

    def rss_bytes(self) -> int:
        """Resident memory."""


class DeployedHop(Protocol):
    """One hop that runs. `places` are its processes, without the load generator, by machine."""

    hop: Hop

    @property
    def target(self) -> Target:
        """Where the client sends its load."""

    @property
    def places(self) -> Places: ...

    @property
    def sidecars(self) -> Sequence[Sidecar]: ...

    @property
    def proxy_version(self) -> str:
        """The version that its sidecars' program says it has; empty where the program is known without asking it."""

    @property
    def load_namespace(self) -> Namespace:
        """The network namespace that load is sent from."""

    def cpus_of(self, place: str) -> Sequence[int]:
        """The CPUs that the process at `place` may run on."""

    def check(self) -> None:
        """Raise ProcessError if a process of the hop has ended."""


class Testbed(Protocol):
    """Deploys hops for a run, and removes with the run what it made."""

    @property
    def environment(self) -> Mapping[str, Any]:
        """What the profile notes of it in addition to the machine."""

    @property
    def facts(self) -> Mapping[str, str]:
        """What must be the same for a run to be continued, in addition to machine and proxies."""

    def proxy(self, name: str) -> ProxyVersion:
        """Which build of a proxy its hops have. Raises MeshInsightError."""

    def configuration(self, hop: Hop) -> str:
        """The configuration of a hop's sidecars; texts of equal ones are equal in all runs. Raises MeshInsightError."""

    def secrets(self, run: Run) -> Secrets:
        """Certificates and token that the hops' sidecars know."""

    def deploy(self, run: Run, plan: Plan, secrets: Secrets) -> Mapping[Hop, DeployedHop]:
        """All hops of the plan, ready. Raises MeshInsightError."""

    def restart_proxies(self) -> None:
        """Replace the proxies of all deployed hops by new processes. Raises MeshInsightError."""

    def machines(self, run: Run, modes: Sequence[Mode]) -> AbstractContextManager[Machines]:
        """The machines that its hops run on, with their instruments and these neighbours. Raises MeshInsightError."""


class LocalTestbed:
    """Pods of our own on this machine: network namespaces with a process each. See `profiler.testbed`."""

    def __init__(self, servers: Sequence[Server], settings: ProfileSettings) -> None:
        self._servers = servers
        self._certificates = settings.own_certificates if settings.certificates else None
        self._most_workers = max(settings.workers)
        self._deployed: list[Deployment] = []

    @property
    def environment(self) -> Mapping[str, Any]:
        """Nothing: it is the machine."""
        return {}

    @property
    def facts(self) -> Mapping[str, str]:
        """None."""
        return {}

    def proxy(self, name: str) -> ProxyVersion:
        """The one that is installed. Raises MissingError."""
        return find_proxy(name).identify()

    def configuration(self, hop: Hop) -> str:
        """That of one sidecar, rendered for fixed places."""
        directory = Path("/sidecar")
        config = config_apart(hop, directory, Secrets(certificates_in(directory), Token("token", '{"keys":[]}')))
        return proxy_of(hop).render(config, directory)

    def secrets(self, run: Run) -> Secrets:
        """The user's certificates or some made for the run, and a token made for it."""
        directory = run.add_directory("certificates")
        own = self._certificates
        return Secrets(copy_certificates(own, directory) if own else make_certificates(directory), make_token())

    def deploy(self, run: Run, plan: Plan, secrets: Secrets) -> Mapping[Hop, DeployedHop]:
        """All hops of the plan side by side. Raises ProcessError, MissingError."""
        network = PodNetwork(run)
        deployed = {
            hop: Deployment(
                run, network, number, hop, server_of(self._servers, hop.application), answers_of(plan, hop), secrets
            )
            for number, hop in enumerate(plan.hops)
        }
        self._deployed = list(deployed.values())
        self._wait_ready()
        return deployed

    def restart_proxies(self) -> None:
        """All at once, with the configurations that they have. Raises ProcessError."""
        stop_all(process for deployment in self._deployed for process in deployment.proxies)
        for deployment in self._deployed:
            deployment.start_proxies_again()
        self._wait_ready()

    def _wait_ready(self) -> None:
        for deployment in self._deployed:
            deployment.wait_ready()

    @contextmanager
    def machines(self, run: Run, modes: Sequence[Mode]) -> Iterator[Machines]:
        """This one. Neighbours are in the control group of the hops already, and on their CPUs only."""
        cpus = cpus_used(cpus_for_hops(), self._most_workers)
        with Instruments(run, modes, cpus=cpus) as instruments:
            yield Machines(instruments)


def config_apart(hop: Hop, directory: Path, secrets: Secrets) -> SidecarConfig:
    """The configuration of a sidecar of the hop that is in nobody's place: to be checked, or compared."""
    filters = tuple(load_filter(hop.proxy, name, filter_values(directory, secrets.token)) for name in hop.filters)
    between, server = hop.topology == WAYPOINT, Address("127.0.0.1", 1)
    listener = Listener(
        INBOUND,
        Address("127.0.0.1", 0),
        server,
        upstream=server if between else None,
        accept_tunnel=between,
        connect_tunnel=between,
        filters=filters,
    )
    return sidecar_config(hop, listener, secrets.certificates)


def server_of(servers: Sequence[Server], application: str) -> Server:
    """The server that speaks the application's protocol."""
    return next(server for server in servers if application in server.applications)


def answers_of(plan: Plan, hop: Hop) -> Answers:
    """What the hop's server must be ready for: the loads of its cells and rungs, and the anchor's."""
    applications = [cell.scene.load for cell in plan.cells if cell.hop.application == hop.application]
    loads = [*applications, *([ANCHOR_SCENE.load] if hop.application == ANCHOR_HOP.application else [])]
    sizes = sorted({(load.response_bytes, load.messages) for load in loads})
    return Answers(tuple(sizes), max(load.request_bytes for load in loads))
