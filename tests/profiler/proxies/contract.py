"""What every proxy has to do as a sidecar: servers, a chain of two sidecars before one, and checks of what passes."""

import http.client
import os
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from profiler.proxies.base import INBOUND_PORT, OUTBOUND_PORT, PROXY_UID, Listener, Proxy, SidecarConfig
from profiler.testbed.certificates import make_certificates
from profiler.testbed.pods import Pod, PodNetwork
from profiler.testbed.run import Run
from profiler.vocabulary.addresses import Address, Certificates
from tests.profiler.passable import passable_folder

LINKS: Final = ("plain", "unix", "tls", "unix tls")
"""What may be between the two sidecars of a chain."""


LARGE: Final = 1 << 20


SERVER: Final = Address("10.0.0.9", 8080)


def sidecar_directory(directory: Path, name: str) -> Path:
    made = directory / name
    made.mkdir(mode=0o755)
    if os.geteuid() == 0:
        os.chown(made, PROXY_UID, PROXY_UID)
    return made


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def listens(address: Address) -> bool:
    family = socket.AF_UNIX if address.socket else socket.AF_INET
    with socket.socket(family) as probe:
        return probe.connect_ex(str(address.socket) if address.socket else (address.host, address.port)) == 0


@contextmanager
def running(argv: list[str], log: Path, *listening: Address, user: int | None = None) -> Iterator[int]:
    """A program until the end of the block, which begins when it listens. Yields its pid."""
    with log.open("wb") as file, subprocess.Popen(argv, stdout=file, stderr=file, user=user, group=user) as process:
        try:
            deadline_s = time.monotonic() + 10
            while not all(map(listens, listening)):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline_s, log.read_text()
                time.sleep(0.01)
            yield process.pid
            assert process.poll() is None, log.read_text()
        finally:
            process.kill()


@contextmanager
def sidecar(proxy: Proxy, config: SidecarConfig, directory: Path, name: str) -> Iterator[int]:
    own = sidecar_directory(directory, name)
    user = PROXY_UID if os.geteuid() == 0 else None
    listening = [listener.listen for listener in config.listeners]
    with running(proxy.argv(config, own), directory / f"{name}.log", *listening, user=user) as pid:
        yield pid


@contextmanager
def chain(proxy: Proxy, protocol: str, server_port: int, link: str = "plain") -> Iterator[int]:
    """Two sidecars before a server. Yields the port that leads through them."""
    tls = "tls" in link
    with passable_folder() as directory, ExitStack() as stack:
        between = Address("127.0.0.1", free_port())
        if "unix" in link:
            between = Address(socket=sidecar_directory(directory, "between") / "link.sock")
        server = Address("127.0.0.1", server_port)
        entrance = Address("127.0.0.1", free_port())
        inbound = Listener("inbound", between, server, upstream=server, accept_tls=tls)
        outbound = Listener("outbound", entrance, server, upstream=between, connect_tls=tls)
        certificates = make_certificates(directory) if tls else None
        for listener in (inbound, outbound):
            config = SidecarConfig(protocol, (listener,), certificates=certificates)
            stack.enter_context(sidecar(proxy, config, directory, listener.name))
        yield entrance.port


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 30

    def setup(self) -> None:
        super().setup()
        assert isinstance(self.server, EchoServer)
        self.server.peers.append(self.client_address[0])

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.send_header("x-host", self.headers["host"])
        self.send_header("x-port", str(self.connection.getsockname()[1]))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class EchoServer(ThreadingHTTPServer):
    """Answers with what it was sent. `peers` has the address of every connection it took."""

    daemon_threads = True

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__((host, port), Echo)
        self.peers: list[str] = []

    def handle_error(self, request: object, client_address: object) -> None:
        """Connections are cut when a sidecar is killed."""

    def __enter__(self) -> "EchoServer":
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()


@contextmanager
def nghttpd() -> Iterator[int]:
    """An HTTP/2 server that answers as one of gRPC does, and with what it was sent. Yields its port."""
    with passable_folder() as directory:
        (directory / "answer.grpc").write_bytes(b"a" * 1000)
        (directory / "types").write_text("application/grpc grpc\n")
        port = free_port()
        options = ["--no-tls", "--address=127.0.0.1", "--echo-upload", "--trailer=grpc-status: 0"]
        files = [f"--htdocs={directory}", f"--mime-types-file={directory / 'types'}"]
        argv = ["nghttpd", *options, *files, str(port)]
        with running(argv, directory / "log", Address("127.0.0.1", port)):
            yield port


def status_with_headers(port: int, count: int, size: int) -> int:
    """Status of the answer to a request with `count` further headers of `size` bytes each."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("POST", "/", b"", {f"x-header-{number:03}": "v" * size for number in range(count)})
        return connection.getresponse().status


def post(port: int, body: bytes, host: str = "127.0.0.1") -> http.client.HTTPResponse:
    """The answer to one request on a connection of its own; its body has not been read."""
    connection = http.client.HTTPConnection(host, port, timeout=10)
    with closing(connection):
        connection.request("POST", "/", body, {"host": "its.own.name:81"})
        answer = connection.getresponse()
        answer.body = answer.read()  # type: ignore[attr-defined]
        return answer


def posted(port: int, size: int, host: str = "127.0.0.1") -> tuple[int, int]:
    """Status and number of bytes that came back, if all are the same."""
    body = os.urandom(size)
    answer = post(port, body, host)
    return answer.status, len(body) if answer.body == body else -1  # type: ignore[attr-defined]


def output_of(*argv: str) -> bytes:
    return subprocess.run(argv, capture_output=True, timeout=20, check=True).stdout


def check_bodies_of_all_sizes_pass(proxy: Proxy, protocol: str, link: str) -> None:
    with EchoServer() as server, chain(proxy, protocol, server.server_port, link) as port:
        for size in (1, 1000, LARGE):
            assert posted(port, size) == (200, size)


def check_http2_passes_with_its_trailers(proxy: Proxy, protocol: str, link: str) -> None:
    with nghttpd() as server, chain(proxy, protocol, server, link) as port:
        url = f"http://127.0.0.1:{port}/answer.grpc"
        assert b"50 succeeded, 0 failed" in output_of("h2load", "-n50", "-c2", "-m5", url)
        shown = output_of("nghttp", "--verbose", "--null-out", url).decode()
        assert ":status: 200" in shown
        assert "content-type: application/grpc" in shown
        assert shown.index("grpc-status: 0") > shown.index("recv DATA frame")


def check_no_stream_is_refused_under_load(proxy: Proxy) -> None:
    with nghttpd() as server, chain(proxy, "grpc", server) as port:
        url = f"http://127.0.0.1:{port}/answer.grpc"
        assert b"2000 succeeded, 0 failed" in output_of("h2load", "-n2000", "-c200", "-m10", url)


def check_a_large_body_passes_by_http2(proxy: Proxy, protocol: str) -> None:
    with nghttpd() as server, chain(proxy, protocol, server) as port, tempfile.NamedTemporaryFile() as file:
        body = os.urandom(LARGE)
        Path(file.name).write_bytes(body)
        assert output_of("nghttp", f"--data={file.name}", f"http://127.0.0.1:{port}/") == body


def check_clients_share_connections_upstream(proxy: Proxy) -> None:
    with EchoServer() as server, chain(proxy, "http1", server.server_port) as port:
        before = len(server.peers)
        for _ in range(20):
            posted(port, 10)
        assert len(server.peers) - before == 1


def tls_client(files: Certificates, with_identity: bool = True) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(files.authority))
    context.check_hostname = False
    if with_identity:
        context.load_cert_chain(files.chain, files.key)
    return context


@contextmanager
def tls_listener(proxy: Proxy, protocol: str, files: Certificates, directory: Path, server: int) -> Iterator[int]:
    """A sidecar that takes mutual TLS only. Yields its port."""
    address, upstream = Address("127.0.0.1", free_port()), Address("127.0.0.1", server)
    listener = Listener("inbound", address, upstream, upstream=upstream, accept_tls=True)
    config = SidecarConfig(protocol, (listener,), certificates=files)
    with sidecar(proxy, config, directory, "inbound"):
        yield address.port


def tls_exchange(
    port: int, context: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> tuple[bytes, ssl.SSLSession | None, bool]:
    """Beginning of the answer to a request over TLS (empty if it was refused), the session, and whether it was taken
    up again.
    """
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        suppress(ssl.SSLError, ConnectionError),
        context.wrap_socket(plain, session=session) as connection,
    ):
        connection.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi")
        return connection.recv(4096), connection.session, bool(connection.session_reused)
    return b"", None, False


def check_a_client_without_certificate_is_refused(proxy: Proxy, protocol: str) -> None:
    with EchoServer() as server, passable_folder() as directory:
        files = make_certificates(directory)
        with tls_listener(proxy, protocol, files, directory, server.server_port) as port:
            assert tls_exchange(port, tls_client(files))[0].startswith(b"HTTP/1.1 200")
            before = len(server.peers)
            assert not tls_exchange(port, tls_client(files, with_identity=False))[0].startswith(b"HTTP/1.1 200")
            assert len(server.peers) == before or protocol == "tcp"


def check_no_session_is_resumed_by_clients(proxy: Proxy) -> None:
    with EchoServer() as server, passable_folder() as directory:
        files = make_certificates(directory)
        context = tls_client(files)
        with tls_listener(proxy, "http1", files, directory, server.server_port) as port:
            answer, session, _ = tls_exchange(port, context)
            assert answer.startswith(b"HTTP/1.1 200")
            assert not tls_exchange(port, context, session)[2]


class TlsServer:
    """Takes mutual TLS, answers each connection once and closes it; `resumed` tells of each whether it was."""

    def __init__(self, files: Certificates) -> None:
        self.resumed: list[bool] = []
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(files.authority))
        self._context.load_cert_chain(files.chain, files.key)
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "TlsServer":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._socket.accept()
            except OSError:
                return
            with plain, suppress(OSError), self._context.wrap_socket(plain, server_side=True) as connection:
                if connection.recv(4096):
                    self.resumed.append(bool(connection.session_reused))
                    connection.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
                    with suppress(OSError):
                        connection.unwrap().close()


def posted_over_tls(
    proxy: Proxy, protocol: str, own: Certificates, port: int, directory: Path, times: int
) -> list[int]:
    """Statuses of requests through a sidecar that goes on by mutual TLS; 0 for a closed connection."""
    entrance, server = Address("127.0.0.1", free_port()), Address("127.0.0.1", port)
    listener = Listener("outbound", entrance, server, upstream=server, connect_tls=True)
    statuses = []
    with sidecar(proxy, SidecarConfig(protocol, (listener,), certificates=own), directory, "outbound"):
        for _ in range(times):
            try:
                statuses.append(post(entrance.port, b"").status)
            except (http.client.HTTPException, ConnectionError):
                statuses.append(0)
    return statuses


def check_no_session_is_resumed_upstream(proxy: Proxy, protocol: str) -> None:
    with passable_folder() as directory:
        files = make_certificates(directory)
        with TlsServer(files) as server:
            assert posted_over_tls(proxy, protocol, files, server.port, directory, times=3) == [200] * 3
            assert server.resumed == [False] * 3


def check_a_server_of_another_authority_is_refused(proxy: Proxy, protocol: str) -> None:
    with passable_folder() as directory:
        own, other = directory / "own", directory / "other"
        own.mkdir(mode=0o755)
        other.mkdir(mode=0o755)
        trusted = make_certificates(own)
        # The server takes the sidecar's certificate, so it is the sidecar that refuses.
        with TlsServer(replace(make_certificates(other), authority=trusted.authority)) as server:
            statuses = posted_over_tls(proxy, protocol, trusted, server.port, directory, times=1)
            assert statuses[0] in (0, 502, 503)
            assert server.resumed == []


def add_sidecar(run: Run, proxy: Proxy, protocol: str, pod: Pod, listener: Listener) -> int:
    """The pid of a sidecar in a pod, once it listens."""
    name = f"{pod.name}-sidecar"
    argv = proxy.argv(SidecarConfig(protocol, (listener,)), run.add_directory(name, uid=PROXY_UID))
    process = run.spawn(name, argv, netns=pod.namespace, uid=PROXY_UID)
    deadline_s = time.monotonic() + 10
    while not pod.namespace.call(lambda: listens(Address("127.0.0.1", listener.listen.port))):
        process.check()
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    return process.pid


def answers_of_captured_requests(run: Run, proxy: Proxy, protocol: str) -> list[tuple[str | None, list[str]]]:
    """What each of some requests met that were captured on both sides: the port of the server, and from where its
    connections so far had come.
    """
    network = PodNetwork(run)
    client, server = network.add_pod("client", capture=True), network.add_pod("server", capture=True)
    ports = (8080, 8081) if proxy.original_destination else (8080,)
    destination = Address(server.address, 8080)
    add_sidecar(run, proxy, protocol, client, Listener("outbound", Address("0.0.0.0", OUTBOUND_PORT), destination))  # noqa: S104
    add_sidecar(run, proxy, protocol, server, Listener("inbound", Address("0.0.0.0", INBOUND_PORT), destination))  # noqa: S104
    found = []
    with ExitStack() as stack:
        servers = {port: server.namespace.call(lambda port=port: EchoServer("0.0.0.0", port)) for port in ports}  # type: ignore[misc] # noqa: S104
        for application in servers.values():
            stack.enter_context(application)
        for port in ports * 2:  # by now the connections could be taken for one another
            answer = client.namespace.call(lambda port=port: post(port, b"q", server.address))  # type: ignore[misc]
            found.append((answer.headers["x-port"], list(servers[port].peers)))
    return found


def config(protocol: str, **changes: object) -> SidecarConfig:
    listeners = (
        Listener("outbound", Address("0.0.0.0", OUTBOUND_PORT), SERVER),  # noqa: S104
        Listener("inbound", Address("0.0.0.0", INBOUND_PORT), SERVER),  # noqa: S104
    )
    return replace(SidecarConfig(protocol, listeners), **changes)  # type: ignore[arg-type]
