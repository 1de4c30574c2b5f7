import socket

import pytest

from profiler.testbed.pods import Pod, PodNetwork
from profiler.testbed.redirect import INBOUND_PORT, OUTBOUND_PORT, PROXY_UID, capture_rules
from profiler.testbed.run import Run

SO_ORIGINAL_DST = 80


def test_rules_name_no_chain_before_it_is_made() -> None:
    lines = capture_rules().splitlines()
    made = [line[1:].split()[0] for line in lines if line.startswith(":")]
    assert {line.split()[1] for line in lines if line.startswith("-A MESHINSIGHT")} == set(made)


def test_the_proxys_own_traffic_is_let_out_before_the_rest_is_caught() -> None:
    output = [line for line in capture_rules(proxy_uid=7).splitlines() if line.startswith("-A MESHINSIGHT_OUTPUT")]
    assert [line.split()[-1] for line in output] == ["RETURN", "RETURN", "RETURN", "MESHINSIGHT_REDIRECT"]
    assert "--uid-owner 7" in output[1]


def test_ports_can_be_chosen() -> None:
    rules = capture_rules(outbound_port=1, inbound_port=2, proxy_ports="3:4")
    assert "MESHINSIGHT_REDIRECT -p tcp -j REDIRECT --to-ports 1\n" in rules
    assert "MESHINSIGHT_IN_REDIRECT -p tcp -j REDIRECT --to-ports 2\n" in rules
    assert "--dport 3:4 -j RETURN" in rules


def listen(pod: Pod, port: int) -> socket.socket:
    listener = pod.namespace.call(lambda: socket.create_server(("0.0.0.0", port)))  # noqa: S104 (inside the pod)
    listener.settimeout(10)
    return listener


def connect(pod: Pod, address: str, port: int, source: str = "") -> socket.socket:
    own = (source, 0) if source else None
    return pod.namespace.call(lambda: socket.create_connection((address, port), timeout=10, source_address=own))


def original_port(connection: socket.socket) -> int:
    return int.from_bytes(connection.getsockopt(socket.IPPROTO_IP, SO_ORIGINAL_DST, 16)[2:4], "big")


@pytest.fixture
def pods(run: Run) -> tuple[Pod, Pod]:
    network = PodNetwork(run)
    return network.add_pod("client", capture=True), network.add_pod("server", capture=True)


@pytest.mark.kernel
def test_an_application_connecting_out_reaches_its_sidecar(pods: tuple[Pod, Pod]) -> None:
    client, server = pods
    with listen(client, OUTBOUND_PORT) as sidecar, connect(client, server.address, 8080):
        connection, _ = sidecar.accept()
        with connection:
            assert original_port(connection) == 8080


@pytest.mark.kernel
def test_the_sidecar_connecting_out_passes_and_is_caught_by_the_other_side(run: Run, pods: tuple[Pod, Pod]) -> None:
    client, server = pods
    with listen(server, INBOUND_PORT) as sidecar:
        url = f"http://{server.address}:8080/"
        run.spawn("curl", ["curl", "--silent", "--max-time", "10", url], netns=client.namespace, uid=PROXY_UID)
        connection, peer = sidecar.accept()
        with connection:
            assert (peer[0], original_port(connection)) == (client.address, 8080)


@pytest.mark.kernel
def test_the_sidecar_reaches_its_own_application_by_its_source_address(pods: tuple[Pod, Pod]) -> None:
    _, server = pods
    with listen(server, 8080) as application, connect(server, server.address, 8080, source="127.0.0.6"):
        connection, peer = application.accept()
        connection.close()
        assert peer[0] == "127.0.0.6"


@pytest.mark.kernel
def test_loopback_stays_in_the_application(pods: tuple[Pod, Pod]) -> None:
    client, _ = pods
    with listen(client, 8080) as application, connect(client, "127.0.0.1", 8080):
        connection, _ = application.accept()
        connection.close()


@pytest.mark.kernel
@pytest.mark.parametrize("port", [15000, 15021, 15090])
def test_ports_of_the_proxy_itself_are_not_captured(run: Run, port: int) -> None:
    network = PodNetwork(run)
    client, server = network.add_pod("client"), network.add_pod("server", capture=True)
    with listen(server, port) as proxy, connect(client, server.address, port):
        connection, _ = proxy.accept()
        connection.close()


@pytest.mark.kernel
def test_without_capture_a_connection_goes_straight(run: Run) -> None:
    network = PodNetwork(run)
    client, server = network.add_pod("client"), network.add_pod("server")
    with listen(server, 8080) as application, connect(client, server.address, 8080):
        connection, peer = application.accept()
        connection.close()
        assert peer[0] == client.address
