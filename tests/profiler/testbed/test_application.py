"""A whole application for real: services that call one another, each in its pod, with and without sidecars."""

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from profiler.errors import ProcessError, UsageError
from profiler.testbed.application import Application, ApplicationDeployment, Edge, Microservice, positions
from profiler.testbed.certificates import make_certificates
from profiler.testbed.deployment import Secrets
from profiler.testbed.pods import PodNetwork
from profiler.testbed.run import Run
from profiler.testbed.tokens import make_token
from profiler.vocabulary.load import Load
from profiler.workload.base import LoadResult
from profiler.workload.generators.own import OwnGenerator
from tests.profiler.testbed.conftest import eventually

ENTRY = "ingress->a"


def chain(client: str, server: str, application: str = "http1", **options: object) -> Application:
    """a calls b."""
    edge = Edge("a->b", "b", application, client, server, **options)  # type: ignore[arg-type]
    entry = Edge(ENTRY, "a", application, "", server)
    return Application((Microservice("a", (50_000,), (edge,)), Microservice("b", (20_000,))), (entry,))


def deploy(run: Run, application: Application) -> ApplicationDeployment:
    secrets = Secrets(make_certificates(run.add_directory("certificates")), make_token())
    deployed = ApplicationDeployment(run, PodNetwork(run), "v", application, secrets)
    deployed.wait_ready()
    return deployed


def load(run: Run, deployed: ApplicationDeployment, requests: int = 60, rate: float = 100.0) -> LoadResult:
    directory: Path = run.add_directory(f"load-{time.monotonic_ns()}")
    entry = deployed.application.entries[0]
    wanted = Load(8, rate, entry.request_bytes, entry.response_bytes, extra_headers=deployed.headers_for(entry))
    argv = OwnGenerator().argv(deployed.targets[entry.id], wanted, requests / rate, directory)
    process = run.spawn("load", argv, netns=deployed.client.namespace)
    assert process.wait(60) == 0, process.log_path.read_text()
    return OwnGenerator().result(directory)


def stat(run: Run, deployed: ApplicationDeployment, service: str, ending: str) -> int:
    """Sum of the counters of a service's sidecar whose names have that ending, the admin's own left out."""
    directory = deployed.sidecar_directory(service)
    argv = ["curl", "-s", "--unix-socket", str(directory / "admin.sock"), "http://x/stats?format=json"]
    stats = json.loads(deployed.client.namespace.run(argv))["stats"]
    return sum(
        entry["value"]
        for entry in stats
        if entry.get("name", "").startswith(("http.in", "http.out", "tcp.")) and entry["name"].endswith(ending)
    )


def test_services_at_the_same_time_follow_one_another_round_the_cpus() -> None:
    edges = tuple(Edge(f"a->{name}", name, "http1", "", "") for name in "bcd")
    services = (Microservice("a", (1,), edges), *(Microservice(name, (1,)) for name in "bcd"))
    assert positions(Application(services, (Edge(ENTRY, "a", "http1", "", ""),))) == {"a": 0, "b": 1, "c": 2, "d": 3}


@pytest.mark.kernel
@pytest.mark.parametrize("placement", ["free", "apart"])
def test_processes_are_pinned_only_where_they_are_placed_apart(run: Run, placement: str) -> None:
    deployed = deploy(run, replace(chain("http1", "http1"), placement=placement))
    cpus = os.sched_getaffinity(0)
    allowed = [os.sched_getaffinity(process.pid) for process in deployed.processes]
    assert len(allowed) == 4
    assert all(len(found) == 1 if placement == "apart" else found == cpus for found in allowed)
    assert deployed.load_cpu == (min(cpus) if placement == "apart" else sorted(cpus))


@pytest.mark.kernel
@pytest.mark.parametrize("application", ["http1", "http2", "grpc"])
@pytest.mark.timing
def test_services_without_sidecars_answer_and_take_their_time(run: Run, application: str) -> None:
    deployed = deploy(run, chain("", "", application))
    result = load(run, deployed)
    assert (len(result.latency_ns), result.failed) == (60, 0)
    assert result.latency_ns.min() > 70_000
    assert not deployed.sidecars


@pytest.mark.kernel
@pytest.mark.parametrize("application", ["http1", "http2", "grpc"])
@pytest.mark.timing
def test_requests_pass_both_sidecars_of_each_call(run: Run, application: str) -> None:
    deployed = deploy(run, chain(application, application, application))
    result = load(run, deployed)
    assert (len(result.latency_ns), result.failed) == (60, 0)
    assert stat(run, deployed, "a", "downstream_rq_total") == 120  # in from outside, out to b
    assert stat(run, deployed, "b", "downstream_rq_total") == 60


@pytest.mark.kernel
@pytest.mark.timing
def test_sidecars_of_one_service_treat_its_edges_differently(run: Run) -> None:
    edges = (
        Edge("a->b", "b", "http1", "http1", "http1", tls="mtls", filters=("rbac",)),
        Edge("a->c", "c", "http1", "tcp", "tcp", stage=1),
        Edge("a->d", "d", "grpc", "grpc", "grpc", stage=2),
    )
    services = (Microservice("a", (1000,), edges), *(Microservice(name, (1000,)) for name in "bcd"))
    deployed = deploy(run, Application(services, (Edge(ENTRY, "a", "http1", "", "http1"),)))
    assert load(run, deployed).failed == 0
    assert stat(run, deployed, "b", "rbac.allowed") == 60
    assert stat(run, deployed, "b", "downstream_rq_total") == 60
    assert stat(run, deployed, "c", "downstream_rq_total") == 0
    assert stat(run, deployed, "c", "downstream_cx_total") >= 1
    assert stat(run, deployed, "d", "downstream_rq_total") == 60


@pytest.mark.kernel
@pytest.mark.timing
def test_only_the_captured_direction_meets_a_sidecar(run: Run) -> None:
    deployed = deploy(run, chain("", "http1"))
    assert load(run, deployed).failed == 0
    assert stat(run, deployed, "a", "downstream_rq_total") == 60
    assert stat(run, deployed, "b", "downstream_rq_total") == 60


@pytest.mark.kernel
@pytest.mark.timing
def test_over_sockets(run: Run) -> None:
    deployed = deploy(run, replace(chain("http1", "http1"), transport="uds"))
    assert load(run, deployed).failed == 0
    assert stat(run, deployed, "a", "downstream_rq_total") == 120


@pytest.mark.kernel
@pytest.mark.timing
def test_one_proxy_for_all(run: Run) -> None:
    deployed = deploy(run, chain("shared", "shared"))
    assert load(run, deployed).failed == 0
    assert set(deployed.sidecars) == {"shared"}
    assert stat(run, deployed, "shared", "downstream_rq_total") == 120


@pytest.mark.kernel
@pytest.mark.timing
def test_calls_are_made_as_often_and_in_such_order_as_the_graph_says(run: Run) -> None:
    edges = (
        Edge("a->b", "b", "http1", "http1", "http1", calls_per_request=2.0),
        Edge("a->c", "c", "http1", "http1", "http1", calls_per_request=2.0, repeat="parallel"),
        Edge("a->d", "d", "http1", "http1", "http1", calls_per_request=0.5, stage=1),
        Edge("a->e", "e", "http1", "http1", "http1", asynchronous=True),
    )
    times = {"b": 300_000, "c": 100_000, "d": 100_000, "e": 50_000_000}
    services = (Microservice("a", (1000,), edges), *(Microservice(name, (ns,)) for name, ns in times.items()))
    deployed = deploy(run, Application(services, (Edge(ENTRY, "a", "http1", "", "http1"),)))
    result = load(run, deployed, requests=20, rate=8.0)
    assert result.failed == 0
    assert result.latency_ns.min() > 600_000  # twice b one after another
    assert result.latency_ns.min() < 50_000_000  # nobody waits for e
    wanted = [40, 40, 10, 20]
    assert eventually(lambda: [stat(run, deployed, name, "downstream_rq_total") for name in "bcde"] == wanted)


@pytest.mark.kernel
def test_a_service_that_dies_is_named(run: Run) -> None:
    deployed = deploy(run, chain("", ""))
    deployed.services["b"].signal(9)
    deployed.services["b"].wait(5)
    with pytest.raises(ProcessError, match="service-b"):
        deployed.check()


@pytest.mark.kernel
def test_a_proxy_that_treats_all_alike_is_refused(run: Run) -> None:
    with pytest.raises(UsageError, match="haproxy"):
        deploy(run, replace(chain("http1", "http1"), proxy="haproxy"))
