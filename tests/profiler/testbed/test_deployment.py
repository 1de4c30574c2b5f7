"""One hop for real: Envoy, HAProxy and h2load in their pods."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from profiler.components import CLIENT_APP, CLIENT_SIDECAR, SERVER_APP, SERVER_SIDECAR
from profiler.errors import ProcessError
from profiler.proxies.base import INBOUND_PORT
from profiler.proxies.envoy import Envoy
from profiler.testbed.deployment import DIRECT, Deployment, Hop, Sizes
from profiler.testbed.pods import PodNetwork
from profiler.testbed.run import Run
from profiler.workload.haproxy_server import HaproxyServer

SIZES = Sizes((0, 1024), 4096)


def get(deployment: Deployment, path: str, body: str = "") -> str:
    """Status, size, and the headers that a sidecar adds, of one request from the client's pod."""
    url = f"http://{deployment.address}:{deployment.port}{path}"
    argv = ["python3", "-c", CLIENT, url, body]
    return deployment.client.namespace.run(argv).strip()


CLIENT = """
import sys, urllib.request
request = urllib.request.Request(sys.argv[1], data=sys.argv[2].encode() or None)
with urllib.request.urlopen(request, timeout=5) as answer:
    print(answer.status, len(answer.read()), "envoy" if answer.headers.get("server") == "envoy" else "plain")
"""


def deploy(run: Run, hop: Hop) -> Deployment:
    deployment = Deployment(run, PodNetwork(run), hop, Envoy(), HaproxyServer(), SIZES)
    deployment.wait_ready()
    return deployment


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("hop", "answer"),
    [
        (DIRECT, "200 1024 plain"),
        (Hop("tcp", "both"), "200 1024 plain"),
        (Hop("http1", "client"), "200 1024 envoy"),
        (Hop("http1", "server"), "200 1024 envoy"),
        (Hop("http1", "both"), "200 1024 envoy"),
    ],
    ids=lambda value: value.name if isinstance(value, Hop) else "",
)
def test_requests_pass_the_sidecars_that_the_topology_has(run: Run, hop: Hop, answer: str) -> None:
    deployment = deploy(run, hop)
    assert get(deployment, "/1024", body="q" * 300) == answer
    assert set(deployment.processes) == {SERVER_APP, *hop.sidecar_places}


@pytest.mark.kernel
def test_captured_connections_really_go_through_both_sidecars(run: Run) -> None:
    deployment = deploy(run, Hop("tcp", "both"))
    before = [process.run_time_ns() for process in deployment.sidecars]
    for _ in range(20):
        get(deployment, "/0")
    after = [process.run_time_ns() for process in deployment.sidecars]
    assert all(late > early for early, late in zip(before, after, strict=True))


class TakenPort(HaproxyServer):
    """A server that holds the sidecar's own port, and shares it with nobody."""

    port = INBOUND_PORT

    def argv(self, directory: Path, response_bytes: tuple[int, ...], largest_request_bytes: int) -> list[str]:
        return [sys.executable, "-m", "http.server", str(self.port)]


@pytest.mark.kernel
def test_a_port_that_is_taken_is_named_by_who_wanted_it(run: Run) -> None:
    deployment = Deployment(run, PodNetwork(run), Hop("tcp", "server"), Envoy(), TakenPort(), SIZES)

    def watch() -> None:
        deployment.wait_ready()
        for _ in range(500):  # whoever comes second ends; the first may be ready before that
            deployment.check()
            time.sleep(0.02)

    with pytest.raises(ProcessError, match=r"tcp-server-.*[Aa]ddress already in use"):
        watch()


def test_each_process_runs_on_the_cpu_after_its_predecessors() -> None:
    hop = Hop("http1", "both")
    chain = (CLIENT_APP, CLIENT_SIDECAR, SERVER_SIDECAR, SERVER_APP)
    assert [hop.cpu_of(place, [0, 1]) for place in chain] == [0, 1, 0, 1]
    assert [hop.cpu_of(place, [2, 3, 5, 7]) for place in chain] == [2, 3, 5, 7]


@pytest.mark.kernel
def test_nothing_of_a_hop_touches_the_machines_own_network(run: Run) -> None:
    def state() -> str:
        rules = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
        links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
        return "".join(line for line in rules.splitlines() if line.startswith("-A")) + links

    before = state()
    deploy(run, Hop("tcp", "both"))
    assert state() == before
