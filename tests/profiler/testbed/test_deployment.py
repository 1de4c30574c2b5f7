"""One hop for real: proxies, servers and load in their pods."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from profiler.errors import ProcessError
from profiler.host.process import stop_all
from profiler.proxies.base import INBOUND_PORT, OUTBOUND_PORT, TUNNEL_PORT
from profiler.proxies.filters import filter_names
from profiler.testbed.run import Run
from profiler.vocabulary.addresses import SERVER_NAME, Address
from profiler.vocabulary.components import (
    CLIENT_SIDECAR,
    CLIENT_TUNNEL,
    FILTER_SERVICE,
    SERVER_APP,
    SERVER_SIDECAR,
    SERVER_TUNNEL,
    SHARED_PROXY,
    WAYPOINT_PROXY,
)
from profiler.vocabulary.hop import PLACEMENTS, Hop
from profiler.vocabulary.load import Load
from profiler.workload.base import Answers
from profiler.workload.servers.haproxy import HaproxyServer
from tests.profiler.testbed.conftest import eventually
from tests.profiler.testbed.hops import Deployed, deploy

DIRECT = Hop("none", "none")
ONE_BY_ONE = Load(1, None, 128, 1024)
HTTP_HOPS = [
    DIRECT,
    Hop("tcp", "both"),
    Hop("http1", "client"),
    Hop("http1", "server"),
    Hop("http1", "both"),
    Hop("http1", "shared"),
    Hop("tcp", "shared"),
    Hop("http1", "both", transport="uds"),
    Hop("http1", "client", transport="uds"),
    Hop("http1", "server", transport="uds"),
    Hop("tcp", "both", transport="uds"),
    Hop("http1", "both", tls="mtls"),
    Hop("tcp", "both", tls="mtls", transport="uds"),
    Hop("http1", "both", workers=2),
    Hop("http1", "waypoint", tls="mtls"),
    Hop("http1", "waypoint"),
    Hop("tcp", "waypoint", tls="mtls"),
]
CHAIN = (CLIENT_SIDECAR, SERVER_SIDECAR, SERVER_APP)
OTHER_HOPS = [
    Hop("none", "none", "http2"),
    Hop("none", "none", "grpc"),
    *(Hop(name, topology, name) for name in ("http2", "grpc") for topology in ("client", "both", "shared")),
    *(Hop(name, topology, name, tls="mtls") for name in ("http2", "grpc") for topology in ("both", "waypoint")),
    Hop("http2", "both", "http2", transport="uds"),
    Hop("http2", "both", "http2", transport="uds", tls="mtls"),
    Hop("tcp", "both", "grpc"),
]


@pytest.mark.kernel
@pytest.mark.parametrize("hop", HTTP_HOPS, ids=lambda hop: str(hop.name))
@pytest.mark.timing
def test_requests_pass_the_proxies_that_the_topology_has(run: Run, hop: Hop) -> None:
    hop_up = deploy(run, hop)
    answer = hop_up.curl("/1024", "--include", "--data", "q" * 300)
    assert answer.startswith("HTTP/1.1 200")
    assert answer.endswith("r" * 1024)
    assert ("server: envoy" in answer) == (hop.protocol == "http1")
    assert set(hop_up.deployment.processes) == {SERVER_APP, *hop.proxy_places}


@pytest.mark.kernel
@pytest.mark.parametrize("proxy", ["envoy", "haproxy", "nginx"])
@pytest.mark.parametrize("transport", ["ip", "uds"])
@pytest.mark.timing
def test_proxies_that_are_started_again_are_new_processes_and_do_the_same(run: Run, proxy: str, transport: str) -> None:
    hop_up = deploy(run, Hop("http1", "both", proxy=proxy, transport=transport))
    before = {process.pid for process in hop_up.deployment.proxies}
    server = hop_up.deployment.processes[SERVER_APP].pid
    stop_all(hop_up.deployment.proxies)
    hop_up.deployment.start_proxies_again()
    hop_up.deployment.wait_ready()
    assert hop_up.status("/1024") == "200"
    assert len(before) == 2
    assert not before & {process.pid for process in hop_up.deployment.proxies}
    assert hop_up.deployment.processes[SERVER_APP].pid == server


@pytest.mark.kernel
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_processes_run_on_the_cpus_of_their_placement(run: Run, placement: str) -> None:
    deployment = deploy(run, Hop("tcp", "both", placement=placement)).deployment
    allowed = [os.sched_getaffinity(deployment.processes[place].pid) for place in CHAIN]
    cpus = sorted(os.sched_getaffinity(0))
    expected = {
        "free": [set(cpus[:5])] * 3,
        "together": [{cpus[0]}] * 3,
        "apart": [{cpus[number % len(cpus)]} for number in (1, 2, 3)],
    }
    assert allowed == expected[placement]


@pytest.mark.kernel
@pytest.mark.parametrize("hop", OTHER_HOPS, ids=lambda hop: str(hop.name))
@pytest.mark.timing
def test_http2_and_grpc_pass_the_proxies(run: Run, hop: Hop) -> None:
    hop_up = deploy(run, hop)
    before = [process.run_time_ns() for process in hop_up.deployment.sidecars]
    result = hop_up.load(ONE_BY_ONE)
    assert result.failed == 0
    assert len(result.due_ns) > 50
    after = [process.run_time_ns() for process in hop_up.deployment.sidecars]
    assert all(late > early for early, late in zip(before, after, strict=True))


@pytest.mark.kernel
@pytest.mark.parametrize(
    "hop",
    [
        Hop("http2", "both", "http2", transport="uds"),
        Hop("http2", "both", "http2"),
        Hop("grpc", "both", "grpc"),
        Hop("grpc", "waypoint", "grpc", tls="mtls"),
    ],
    ids=lambda hop: str(hop.name),
)
@pytest.mark.timing
def test_a_mebibyte_passes_both_ways_without_waiting(run: Run, hop: Hop) -> None:
    result = deploy(run, hop).load(Load(1, 10, 1 << 20, 1 << 20, new_connections=True), 1.0)
    assert (len(result.due_ns), result.failed) == (10, 0)
    assert np.median(result.latency_ns) < 500_000_000


@pytest.mark.kernel
@pytest.mark.timing
def test_ten_messages_pass_as_a_stream(run: Run) -> None:
    result = deploy(run, Hop("grpc", "both", "grpc", tls="mtls")).load(Load(1, None, 0, 1024, messages=10))
    assert (len(result.due_ns) > 50, result.failed) == (True, 0)


@pytest.mark.kernel
@pytest.mark.timing
def test_captured_connections_really_go_through_both_sidecars(run: Run) -> None:
    hop_up = deploy(run, Hop("tcp", "both"))
    before = [process.run_time_ns() for process in hop_up.deployment.sidecars]
    for _ in range(20):
        hop_up.curl("/0")
    after = [process.run_time_ns() for process in hop_up.deployment.sidecars]
    assert all(late > early for early, late in zip(before, after, strict=True))


_CONNECTED = """
import socket, ssl, sys
host, port, name, authority, chain, key = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)
if chain:
    context.load_cert_chain(chain, key)
with socket.create_connection((host, int(port)), 5) as plain:
    with context.wrap_socket(plain, server_hostname=name) as secure:
"""
TLS_CLIENT = f"""{_CONNECTED}\
        secure.sendall(b"GET /1024 HTTP/1.1\\r\\nhost: x\\r\\nconnection: close\\r\\n\\r\\n")
        print(secure.version(), secure.recv(12).decode())
"""
TUNNEL_CLIENT = f"""{_CONNECTED}\
        secure.sendall(b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
        print("frame of type", secure.recv(9)[3])
"""


NOT_LET_IN = r"CERTIFICATE_REQUIRED|certificate required|SSLEOFError|Errno (32|104)"
"""In TLS 1.3 the client has shaken hands when the server refuses it: it may read why, or write to what is closed."""


def by_tls(
    hop_up: Deployed, *, with_certificate: bool, address: Address | None = None, script: str = TLS_CLIENT
) -> str:
    """What a stranger in the same network is answered over TLS, sent straight to the server's sidecar, or a proxy."""
    files, address = hop_up.secrets.certificates, address or hop_up.deployment.target.address
    own = [str(files.chain), str(files.key)] if with_certificate else ["", ""]
    stranger = hop_up.network.add_pod(f"stranger-{len(own[0])}")
    where = [address.host, str(address.port), SERVER_NAME]
    return stranger.namespace.run([sys.executable, "-c", script, *where, str(files.authority), *own]).strip()


@pytest.mark.kernel
def test_between_the_sidecars_there_is_only_tls(run: Run) -> None:
    hop_up = deploy(run, Hop("http1", "both", tls="mtls"))
    assert hop_up.status("/1024") == "200"
    with pytest.raises(ProcessError, match="curl"):
        hop_up.curl("/1024", pod=hop_up.network.add_pod("stranger"))


@pytest.mark.kernel
def test_without_tls_the_sidecar_answers_in_the_clear(run: Run) -> None:
    hop_up = deploy(run, Hop("http1", "both"))
    assert hop_up.curl("/1024", pod=hop_up.network.add_pod("stranger")) == "r" * 1024


@pytest.mark.kernel
def test_who_has_the_runs_certificate_is_let_in_by_tls_1_3(run: Run) -> None:
    hop_up = deploy(run, Hop("http1", "both", tls="mtls"))
    assert by_tls(hop_up, with_certificate=True) == "TLSv1.3 HTTP/1.1 200"


@pytest.mark.kernel
def test_who_has_no_certificate_is_not_let_in(run: Run) -> None:
    hop_up = deploy(run, Hop("http1", "both", tls="mtls"))
    with pytest.raises(ProcessError, match=NOT_LET_IN):
        by_tls(hop_up, with_certificate=False)


@pytest.mark.kernel
def test_a_shared_proxy_is_in_a_pod_of_its_own(run: Run) -> None:
    hop_up = deploy(run, Hop("http1", "shared"))
    assert hop_up.deployment.target.address.port == OUTBOUND_PORT
    pods = {
        place: Path(f"/proc/{process.pid}/ns/net").stat().st_ino
        for place, process in hop_up.deployment.processes.items()
    }
    assert set(pods) == {SERVER_APP, SHARED_PROXY}
    assert len(set(pods.values())) == 2


@pytest.mark.kernel
@pytest.mark.timing
def test_a_waypoint_is_in_a_separate_pod_between_the_ends_of_its_tunnels(run: Run) -> None:
    hop_up = deploy(run, Hop("http1", "waypoint", tls="mtls"))
    pods = {
        place: Path(f"/proc/{process.pid}/ns/net").stat().st_ino
        for place, process in hop_up.deployment.processes.items()
    }
    assert len({pods[CLIENT_TUNNEL], pods[WAYPOINT_PROXY], pods[SERVER_TUNNEL]}) == 3
    assert pods[SERVER_TUNNEL] == pods[SERVER_APP]
    assert hop_up.deployment.sidecars == [hop_up.deployment.processes[WAYPOINT_PROXY]]
    before = [hop_up.deployment.processes[place].run_time_ns() for place in hop_up.deployment.hop.proxy_places]
    assert hop_up.load(ONE_BY_ONE).failed == 0
    after = [hop_up.deployment.processes[place].run_time_ns() for place in hop_up.deployment.hop.proxy_places]
    assert all(late > early for early, late in zip(before, after, strict=True))


@pytest.mark.kernel
def test_a_waypoint_takes_tunnels_only_with_a_certificate(run: Run) -> None:
    hop_up = deploy(run, Hop("http1", "waypoint", tls="mtls"))
    configuration = next(hop_up.run.directory.rglob("h0-client-tunnel/envoy.yaml")).read_text()
    found = re.search(rf"address: ([\d.]+), port_value: {TUNNEL_PORT}", configuration)
    assert found
    waypoint = Address(found[1], TUNNEL_PORT)
    answer = by_tls(hop_up, with_certificate=True, address=waypoint, script=TUNNEL_CLIENT)
    assert answer == "frame of type 4"  # its settings
    with pytest.raises(ProcessError, match=r"ssl\.|Errno (32|104)"):
        by_tls(hop_up, with_certificate=False, address=waypoint, script=TUNNEL_CLIENT)


@pytest.mark.kernel
def test_by_unix_socket_the_applications_open_no_tcp_connection_to_their_sidecars(run: Run) -> None:
    hop_up = deploy(run, Hop("http1", "both", transport="uds"))
    assert hop_up.deployment.target.address.socket is not None
    hop_up.load(ONE_BY_ONE, 0.2)
    loopback = hop_up.deployment.client.namespace.call(lambda: Path("/proc/thread-self/net/dev").read_text())
    assert int(loopback.split("lo:")[1].split()[0]) == 0


ALL_FILTERS = tuple("tracing-100" if name == "tracing" else name for name in filter_names("envoy"))


@pytest.mark.kernel
@pytest.mark.timing
def test_all_filters_in_one_chain_do_their_work(run: Run) -> None:
    hop_up = deploy(run, Hop("http1", "server", filters=ALL_FILTERS))
    token = ("--header", f"authorization: Bearer {hop_up.secrets.token.token}")
    assert hop_up.status("/1024") == "401"  # no token
    assert hop_up.status("/1024", *token) == "200"
    assert hop_up.status("/denied", *token) == "403"  # by the authorisation server
    answer = hop_up.curl("/1024", "--include", "--compressed", *token)
    assert "content-encoding: gzip" in answer
    assert "x-lua: 200" in answer
    log = next(hop_up.run.directory.rglob("access.log"))
    assert eventually(lambda: log.read_text().count('"GET /1024 HTTP/1.1" 200') == 2)
    assert FILTER_SERVICE in hop_up.deployment.processes


@pytest.mark.kernel
@pytest.mark.parametrize("topology", ["both", "waypoint"])
@pytest.mark.timing
def test_a_closed_loop_passes_all_filters(run: Run, topology: str) -> None:
    hop_up = deploy(run, Hop("grpc", topology, "grpc", filters=ALL_FILTERS, tls="mtls"))
    lines = ("authorization: Bearer ${token}",)
    result = hop_up.load(Load(1, None, 128, 1024, extra_headers=lines))
    assert (len(result.due_ns) > 20, result.failed) == (True, 0)


@pytest.mark.kernel
@pytest.mark.timing
def test_each_filter_runs_once_on_the_servers_side(run: Run) -> None:
    hop_up = deploy(run, Hop("http1", "both", filters=("access_log",)))
    assert hop_up.status("/1024") == "200"
    logs = [path.parent.name for path in hop_up.run.directory.rglob("access.log")]
    assert logs == ["h0-server-sidecar"]


class TakenPort(HaproxyServer):
    """A server that holds the sidecar's own port, and shares it with nobody."""

    def port(self, application: str) -> int:
        return INBOUND_PORT

    def argv(self, directory: Path, answers: Answers) -> list[str]:
        return [sys.executable, "-m", "http.server", str(INBOUND_PORT)]


@pytest.mark.kernel
def test_a_port_that_is_taken_is_named_by_who_wanted_it(run: Run) -> None:
    deployment = deploy(run, Hop("tcp", "server"), TakenPort(), ready=False).deployment

    def watch() -> None:
        deployment.wait_ready()
        for _ in range(500):  # whoever comes second ends; the first may be ready before that
            deployment.check()
            time.sleep(0.02)

    with pytest.raises(ProcessError, match=r"tcp-server-.*[Aa]ddress already in use"):
        watch()


@pytest.mark.kernel
def test_nothing_of_a_hop_touches_the_machines_own_network(run: Run) -> None:
    def state() -> str:
        rules = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
        links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
        return "".join(line for line in rules.splitlines() if line.startswith("-A")) + links

    before = state()
    deploy(run, Hop("tcp", "both"))
    assert state() == before
