"""The commands of the run's containers, run as they are run there."""

import argparse
import io
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from profiler.cluster.agent.commands import reap, submit
from profiler.cluster.agent.commands.echo import parse_sizes
from profiler.cluster.agent.commands.sidecar import sidecar_config
from profiler.cluster.agent.commands.wait_for_ports import listening_ports
from profiler.cluster.names import IN_POD
from profiler.errors import MeshInsightError
from profiler.proxies.envoy import Envoy
from profiler.testbed.certificates import make_certificates
from tests.profiler.cluster.agent.commands import here
from tests.profiler.testbed.conftest import eventually


def command(*arguments: str) -> list[str]:
    return here([*IN_POD, *arguments])


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=60, check=False)


def test_an_unknown_command_is_refused_with_the_known_ones() -> None:
    done = run("juggle")
    assert done.returncode == 2
    assert done.stderr.startswith("profiler.cluster.agent: give one of acknowledge, agent, attach")


@pytest.fixture
def task_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where `begin` leaves the task, here."""
    monkeypatch.setattr(submit, "FOLDER", tmp_path / "task")
    monkeypatch.setattr(submit, "TASK", tmp_path / "task" / "task.json")
    return tmp_path / "task" / "task.json"


def feed(monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))


def test_a_task_of_any_size_is_read_from_standard_input(task_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"x" * 1_000_000
    feed(monkeypatch, text + b"more")
    submit.main(["--bytes=1000000"])
    assert task_file.read_bytes() == text
    assert task_file.stat().st_mode & 0o077 == 0


def test_a_task_that_ends_early_is_none(task_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    feed(monkeypatch, b"x" * 10)
    with pytest.raises(MeshInsightError, match="the task ended after 10 of 11 bytes"):
        submit.main(["--bytes=11"])
    assert not task_file.exists()


def test_commands_import_nothing_of_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "profiler").mkdir()
    for hostile in ("profiler/__init__.py", "json.py", "sitecustomize.py"):
        (tmp_path / hostile).write_text("raise SystemExit('hostile code was run')")
    argv = [sys.executable, *IN_POD[1:], "wait_for_ports"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def waits_for_a_signal(pid: int) -> bool:
    return "sigtimedwait" in Path(f"/proc/{pid}/wchan").read_text()


def test_idle_ends_when_it_is_told_to() -> None:
    with subprocess.Popen(command("idle")) as process:
        try:
            assert eventually(lambda: waits_for_a_signal(process.pid), within_s=60)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()


def test_a_port_that_nobody_listens_on_is_named() -> None:
    with socket.socket() as held, socket.socket() as open_:
        held.bind(("127.0.0.1", 0))
        open_.bind(("127.0.0.1", 0))
        open_.listen()
        missing, there = str(held.getsockname()[1]), str(open_.getsockname()[1])
        assert run("wait_for_ports", there).returncode == 0
        done = run("wait_for_ports", there, missing)
    assert (done.returncode, done.stderr) == (1, f"nothing listens on port {missing} yet\n")


def test_only_listeners_are_looked_at() -> None:
    table = (
        "  sl  local_address rem_address   st\n"
        "   0: 0100007F:1F90 00000000:0000 0A 0\n"
        "   1: 0100007F:1F91 0100007F:1F90 01 0\n"
    )
    assert listening_ports(table) == {8080}


def test_sizes_of_answers_are_read() -> None:
    assert parse_sizes("1024x1,10x5") == ((1024, 1), (10, 5))


@pytest.mark.parametrize("side", ["client", "server"])
@pytest.mark.parametrize(("protocol", "tls"), [("tcp", "none"), ("http1", "mtls"), ("grpc", "mtls")])
def test_envoy_takes_the_configuration_of_our_own_sidecar(tmp_path: Path, side: str, protocol: str, tls: str) -> None:
    make_certificates(tmp_path)
    given = argparse.Namespace(side=side, protocol=protocol, tls=tls, workers=1, secrets=tmp_path)
    config = sidecar_config(given, ())
    assert config.listeners[0].accept_tls is (tls == "mtls" and side == "server")
    Envoy().validate(config, tmp_path)


def test_the_echo_command_becomes_the_server(tmp_path: Path) -> None:
    arguments = ["echo", "--server=nghttpd", "--sizes=16x1", "--largest-request=100", f"--directory={tmp_path}"]
    with subprocess.Popen(command(*arguments)) as process:
        try:
            name = Path(f"/proc/{process.pid}/comm")
            deadline_s = time.monotonic() + 20
            while name.read_text() != "nghttpd\n":
                assert time.monotonic() < deadline_s
                time.sleep(0.05)
        finally:
            process.kill()


def test_the_reaper_waits_for_the_deadline_whatever_the_clock_does() -> None:
    times, slept = [100.0, 130.0, 20.0, 200.0], list[float]()
    reap.wait_until(150.0, now=lambda: times.pop(0), sleep=slept.append)
    assert slept == [50.0, 20.0, 60.0]


@pytest.mark.parametrize(("status", "ends"), [(200, True), (404, True), (403, False)])
def test_the_reaper_deletes_with_its_own_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, ends: bool
) -> None:
    seen: list[tuple[str, str | None]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_DELETE(self) -> None:
            seen.append((self.path, self.headers["Authorization"]))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    files = make_certificates(tmp_path)
    (tmp_path / "ca.crt").write_bytes(files.authority.read_bytes())
    (tmp_path / "token").write_text("of-the-pod")
    server = HTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.chain, files.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.handle_request)
    thread.start()
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "server.meshinsight.local")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.server_port))
    address = (socket.AF_INET, socket.SOCK_STREAM, 6, "", server.server_address)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [address])
    try:
        if ends:
            reap.delete("/api/v1/namespaces/x", tmp_path)
        else:
            with pytest.raises(MeshInsightError, match="DELETE /api/v1/namespaces/x: the API server answers 403"):
                reap.delete("/api/v1/namespaces/x", tmp_path)
    finally:
        thread.join()
        server.server_close()
    assert seen == [("/api/v1/namespaces/x", "Bearer of-the-pod")]
