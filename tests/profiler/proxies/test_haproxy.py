"""HAProxy as a sidecar."""

import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from profiler.errors import MissingError, UsageError
from profiler.proxies import haproxy
from profiler.proxies.base import OUTBOUND_PORT, Filter, Listener
from profiler.proxies.haproxy import PROXY
from profiler.testbed.certificates import make_certificates
from profiler.testbed.pods import PodNetwork
from profiler.testbed.run import Run
from profiler.vocabulary.addresses import Address, Certificates
from tests.profiler.passable import passable_folder
from tests.profiler.proxies.contract import (
    LINKS,
    SERVER,
    EchoServer,
    add_sidecar,
    answers_of_captured_requests,
    chain,
    check_a_client_without_certificate_is_refused,
    check_a_large_body_passes_by_http2,
    check_a_server_of_another_authority_is_refused,
    check_bodies_of_all_sizes_pass,
    check_clients_share_connections_upstream,
    check_http2_passes_with_its_trailers,
    check_no_session_is_resumed_by_clients,
    check_no_session_is_resumed_upstream,
    check_no_stream_is_refused_under_load,
    config,
    free_port,
    post,
    sidecar,
    sidecar_directory,
    status_with_headers,
)


@pytest.fixture
def run() -> Iterator[Run]:
    with passable_folder() as state_dir, Run.start(state_dir) as run:
        yield run


def section(text: str, name: str) -> list[str]:
    """The lines of one `listen` section of HAProxy's configuration."""
    return [line.strip() for line in text.split(f"listen {name}\n")[1].split("\n\n")[0].splitlines()]


def test_captured_connections_go_on_to_where_they_were_bound_for() -> None:
    text = PROXY.render(config("tcp"), Path("/sidecar"))
    assert section(text, "outbound")[0] == "bind ipv4@0.0.0.0:15001"
    assert section(text, "outbound")[-1] == "server original 0.0.0.0"
    assert section(text, "inbound")[-1] == "server original 0.0.0.0 source 127.0.0.6"


@pytest.mark.parametrize(("protocol", "mode"), [("tcp", "tcp"), ("http1", "http"), ("http2", "http"), ("grpc", "http")])
def test_the_mode_follows_the_protocol(protocol: str, mode: str) -> None:
    text = PROXY.render(config(protocol), Path("/sidecar"))
    assert f"    mode {mode}\n" in text
    assert text.count("proto h2") == (4 if protocol in ("http2", "grpc") else 0)


def test_unix_sockets_are_open_to_every_user() -> None:
    inner, outer = Address(socket=Path("/s/in.sock")), Address(socket=Path("/s/out.sock"))
    text = PROXY.render(config("tcp", listeners=(Listener("outbound", inner, SERVER, upstream=outer),)), Path("/s"))
    assert section(text, "outbound") == [
        "bind unix@/s/in.sock mode 666",
        "server upstream unix@/s/out.sock",
    ]


def test_what_comes_by_a_unix_socket_goes_to_the_known_destination() -> None:
    listener = Listener("outbound", Address(socket=Path("/s/in.sock")), SERVER)
    text = PROXY.render(config("tcp", listeners=(listener,)), Path("/s"))
    assert "server destination ipv4@10.0.0.9:8080" in text


def test_a_peer_needs_a_certificate_of_the_authority_whatever_its_name() -> None:
    files = Certificates(Path("/c/chain.pem"), Path("/c/key.pem"), Path("/c/authority.pem"))
    listener = replace(config("tcp").listeners[0], connect_tls=True)
    server = section(PROXY.render(config("tcp", listeners=(listener,), certificates=files), Path("/s")), "outbound")[-1]
    assert "crt /s/identity.pem ca-file /c/authority.pem verify required" in server
    assert not {"sni", "verifyhost"} & set(server.split())  # either would have the name compared


def test_workers_are_threads() -> None:
    assert "    nbthread 3\n" in PROXY.render(config("tcp", workers=3), Path("/sidecar"))


def test_filters_are_refused() -> None:
    listener = replace(config("http1").listeners[0], filters=(Filter("fault", {}),))
    with pytest.raises(ValueError, match="fault"):
        PROXY.render(config("http1", listeners=(listener,)), Path("/sidecar"))


def test_a_bootstrap_is_taken_as_it_is_but_for_the_workers(tmp_path: Path) -> None:
    argv = PROXY.argv(config("http1", bootstrap="global\n", workers=2), tmp_path)
    assert [Path(word).read_text() for word in argv if word.endswith(".cfg")] == [
        "global\n",
        "global\n    nbthread 2\n",
    ]


def test_a_bootstrap_runs_with_the_workers_that_were_asked_for() -> None:
    address = Address("127.0.0.1", free_port())
    text = f"global\n nbthread 4\ndefaults\n timeout client 1h\nfrontend own\n bind {address}\n"
    listeners = (Listener("outbound", address, SERVER),)
    with (
        passable_folder() as directory,
        sidecar(PROXY, config("tcp", listeners=listeners, bootstrap=text, workers=2), directory, "own") as pid,
    ):
        assert len(list(Path(f"/proc/{pid}/task").iterdir())) == 2


@pytest.mark.parametrize("protocol", PROXY.protocols)
@pytest.mark.parametrize("tls", [False, True])
def test_haproxy_accepts_the_configuration(protocol: str, tls: bool) -> None:
    with passable_folder() as directory:
        listeners = tuple(replace(entry, accept_tls=tls, connect_tls=tls) for entry in config(protocol).listeners)
        files = make_certificates(directory) if tls else None
        wanted = config(protocol, listeners=listeners, certificates=files)
        PROXY.validate(wanted, sidecar_directory(directory, "sidecar"))


def test_haproxys_own_words_say_what_is_wrong() -> None:
    said = r"^HAProxy refuses the configuration: parsing \[/.*/haproxy.cfg:2\] : unknown keyword 'nonsense'"
    with passable_folder() as directory, pytest.raises(UsageError, match=said) as caught:
        PROXY.validate(config("tcp", bootstrap="global\n  nonsense\n"), directory)
    assert "\n" not in str(caught.value)


def test_the_identity_is_for_the_proxys_user_only() -> None:
    with passable_folder() as directory:
        own = sidecar_directory(directory, "sidecar")
        PROXY.argv(config("tcp", certificates=make_certificates(directory)), own)
        status = (own / "identity.pem").stat()
        assert (status.st_mode & 0o777, status.st_uid) == (0o600, own.stat().st_uid)


def test_version_and_digest_are_told() -> None:
    found = PROXY.identify()
    assert re.match(r"\d+\.\d+", found.version)
    assert (found.build, len(found.binary_sha256)) == ("release", 64)


def test_a_build_without_optimisation_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(haproxy, "_build_options", lambda binary: ["-O0"])
    with pytest.raises(UsageError, match="without optimisation"):
        PROXY.identify()


def test_a_missing_haproxy_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name, path: None)
    with pytest.raises(MissingError, match="apt-get install haproxy"):
        PROXY.executable()


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("protocol", ["tcp", "http1"])
def test_bodies_of_all_sizes_pass(protocol: str, link: str) -> None:
    check_bodies_of_all_sizes_pass(PROXY, protocol, link)


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("protocol", ["http2", "grpc"])
def test_http2_passes_with_its_trailers(protocol: str, link: str) -> None:
    check_http2_passes_with_its_trailers(PROXY, protocol, link)


def test_no_stream_is_refused_under_load() -> None:
    check_no_stream_is_refused_under_load(PROXY)


def test_a_large_body_passes_by_http2() -> None:
    check_a_large_body_passes_by_http2(PROXY, "http2")


def test_the_host_header_passes_as_it_is() -> None:
    with EchoServer() as server, chain(PROXY, "http1", server.server_port) as port:
        assert post(port, b"").headers["x-host"] == "its.own.name:81"


def test_many_headers_pass_up_to_what_the_buffer_holds() -> None:
    with EchoServer() as server, chain(PROXY, "http1", server.server_port) as port:
        assert status_with_headers(port, 90, 140) == 200
        assert status_with_headers(port, 90, 160) == 400


def test_clients_share_connections_upstream() -> None:
    check_clients_share_connections_upstream(PROXY)


@pytest.mark.parametrize("protocol", ["tcp", "http1"])
def test_a_client_without_certificate_is_refused(protocol: str) -> None:
    check_a_client_without_certificate_is_refused(PROXY, protocol)


@pytest.mark.parametrize("protocol", ["tcp", "http1"])
def test_a_server_of_another_authority_is_refused(protocol: str) -> None:
    check_a_server_of_another_authority_is_refused(PROXY, protocol)


def test_no_session_is_resumed_by_clients() -> None:
    check_no_session_is_resumed_by_clients(PROXY)


@pytest.mark.parametrize("protocol", ["tcp", "http1"])
def test_no_session_is_resumed_upstream(protocol: str) -> None:
    check_no_session_is_resumed_upstream(PROXY, protocol)


@pytest.mark.kernel
@pytest.mark.parametrize("protocol", ["tcp", "http1"])
def test_a_connection_that_was_not_captured_is_closed(run: Run, protocol: str) -> None:
    pod = PodNetwork(run).add_pod("client", capture=True)
    listener = Listener("outbound", Address("0.0.0.0", OUTBOUND_PORT), SERVER)  # noqa: S104
    sidecar_pid = add_sidecar(run, PROXY, protocol, pod, listener)
    before = len(list(Path(f"/proc/{sidecar_pid}/fd").iterdir()))

    def talk() -> bytes:
        # The reset may come while the client still connects.
        with (
            suppress(ConnectionResetError, BrokenPipeError),
            socket.create_connection(("127.0.0.1", OUTBOUND_PORT), timeout=10) as connection,
        ):
            connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            return connection.recv(1)
        return b""

    assert pod.namespace.call(talk) == b""
    assert len(list(Path(f"/proc/{sidecar_pid}/fd").iterdir())) == before


@pytest.mark.kernel
@pytest.mark.parametrize("protocol", ["tcp", "http1"])
def test_captured_connections_reach_the_address_and_port_they_were_made_to(run: Run, protocol: str) -> None:
    found = answers_of_captured_requests(run, PROXY, protocol)
    assert [port for port, _ in found] == ["8080", "8081"] * 2
    # One connection for each client by TCP; by HTTP they share one, of the right destination.
    assert found[-1][1] == ["127.0.0.6"] * (2 if protocol == "tcp" else 1)
