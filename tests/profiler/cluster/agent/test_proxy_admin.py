"""Asking a proxy of its version and configuration: real connections, to a socket and in a network namespace."""

import http.server
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from profiler.cluster.agent import proxy_admin
from profiler.cluster.agent.proxy_admin import ask, comparable, program_sha256
from profiler.cluster.objects.mesh import Reading, load_mesh
from profiler.errors import MeshInsightError

ANSWER = b'{"version": "0123abcd/1.38.3/Clean/RELEASE/BoringSSL"}'


class Admin(http.server.BaseHTTPRequestHandler):
    """Answers as an Envoy does."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/server_info" else 404)
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *_: object) -> None: ...

    def address_string(self) -> str:
        return "a socket"


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_our_own_sidecar_is_asked_through_its_containers_files(tmp_path: Path) -> None:
    reading = load_mesh("builtin").version
    assert reading is not None
    there = Reading(
        socket=str(tmp_path / "admin"), path=reading.path, pattern=r'"version":\s*"[^/]*/(?P<version>[^/]+)'
    )
    with serving(socketserver.UnixStreamServer(there.socket, Admin)):
        assert ask(there, os.getpid(), "sidecar") == "1.38.3"


def test_an_answer_that_is_none_and_a_socket_that_is_not_there_are_said(tmp_path: Path) -> None:
    there = Reading(socket=str(tmp_path / "admin"), path="/config_dump")
    refused = pytest.raises(MeshInsightError, match="sidecar: /config_dump of its proxy answers 404 Not Found")
    with serving(socketserver.UnixStreamServer(there.socket, Admin)), refused:
        ask(there, os.getpid(), "sidecar")
    with pytest.raises(MeshInsightError, match="/admin/config_dump of its proxy does not answer: "):
        ask(there, os.getpid(), "sidecar")


@pytest.mark.kernel
def test_a_port_is_that_of_the_proxys_own_network(tmp_path: Path) -> None:
    (tmp_path / "server_info").write_bytes(ANSWER)
    code = "import http.server as h; h.HTTPServer(('127.0.0.1', 15000), h.SimpleHTTPRequestHandler).serve_forever()"
    command = f'ip link set lo up && exec {sys.executable} -c "{code}"'
    inside = subprocess.Popen(["unshare", "--net", "sh", "-c", command], stderr=subprocess.DEVNULL, cwd=tmp_path)
    try:
        assert eventually_asked(Reading(port=15000, path="/server_info"), inside.pid) == ANSWER.decode()
        with pytest.raises(MeshInsightError, match="port 15000/server_info of its proxy does not answer"):
            ask(Reading(port=15000, path="/server_info"), os.getpid(), "sidecar")
    finally:
        inside.kill()
        inside.wait()


def eventually_asked(reading: Reading, pid: int) -> str:
    for _ in range(200):
        try:
            return ask(reading, pid, "sidecar")
        except MeshInsightError:
            threading.Event().wait(0.05)
    return ask(reading, pid, "sidecar")


def test_equal_configurations_are_equal_whenever_they_were_loaded() -> None:
    first = '{"configs": [{"last_updated": "2026-11-22T10:00:00Z", "name": "a"}], "b": 1}'
    second = '{"b": 1, "configs": [{"name": "a", "last_updated": "2026-11-22T11:00:00Z"}]}'
    assert comparable(first) == comparable(second)
    assert comparable("LINKERD2_PROXY_LOG=warn") == "LINKERD2_PROXY_LOG=warn"


def test_a_program_is_told_by_its_checksum(tmp_path: Path) -> None:
    assert len(program_sha256(os.getpid())) == 64
    with pytest.raises(MeshInsightError, match="cannot be read"):
        program_sha256(2**22 + 1)


def test_an_answer_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy_admin, "_LARGEST_BYTES", 10)
    there = Reading(socket=str(tmp_path / "admin"), path="/server_info")
    with (
        serving(socketserver.UnixStreamServer(there.socket, Admin)),
        pytest.raises(MeshInsightError, match="sidecar: /server_info of its proxy answers with more than 10 bytes"),
    ):
        ask(there, os.getpid(), "sidecar")


def test_a_configuration_nested_without_end_is_kept_as_it_is() -> None:
    deep = '{"a":' * 100_000
    assert comparable(deep) == deep
