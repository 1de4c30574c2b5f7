"""One profiler calls another, over mutual TLS on this machine."""

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from http.client import HTTPResponse
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from profiler.cluster.agent.rpc import Caller, decode, encode
from profiler.cluster.agent.rpc_server import serve
from profiler.cluster.names import ASSISTANT, PROFILER, WORKLOAD
from profiler.errors import MeshInsightError, ProbeError, ProcessError
from profiler.testbed.certificates import make_role_certificates
from profiler.vocabulary.addresses import Certificates
from tests.profiler.cluster.agent.callee import FUNCTIONS, TIMES, TOPOLOGY, Callee


@pytest.fixture(scope="module")
def roles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Certificates]:
    """Certificates of one run by role."""
    return make_role_certificates(tmp_path_factory.mktemp("run"), (WORKLOAD, PROFILER, ASSISTANT))


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def connected(port: int) -> socket.socket:
    """A connection to a server that is starting."""
    deadline_s = time.monotonic() + 20
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), 20)
        except ConnectionRefusedError:
            assert time.monotonic() < deadline_s


@pytest.fixture(scope="module")
def callee() -> Callee:
    return Callee()


@pytest.fixture(scope="module")
def port(roles: dict[str, Certificates], callee: Callee) -> int:
    number = free_port()
    arguments = (number, roles[ASSISTANT], {"it": lambda: callee}, PROFILER)
    Thread(target=serve, args=arguments, kwargs={"handshake_s": 600.0}, daemon=True).start()
    return number


@pytest.fixture
def caller(port: int, roles: dict[str, Certificates]) -> Iterator[Caller]:
    found = Caller("127.0.0.1", port, roles[PROFILER], "the other")
    found.connect(20)
    yield found
    found.close()


def test_values_come_over_as_they_are(caller: Caller, callee: Callee) -> None:
    stub = caller.stub(Callee, "it")
    events = stub.events()
    assert [events.stamp_ns.tolist(), events.value.tolist()] == [[0, 1, 2], [3, 4, 5]]
    assert (events.places, events.dropped, events.tid.dtype.name) == ({7: "client_app"}, 2, "int64")
    assert (events.cpu.tolist(), events.topology) == ([4, 5, 6], TOPOLOGY)
    assert stub.samples() == TIMES
    assert stub.functions() == FUNCTIONS
    assert stub.reading() == callee.reading()
    stub.set_roles({3: "rest"}, False)
    assert callee.roles == {3: "rest False"}
    stub.set_roles({3: "rest"})
    assert callee.roles == {3: "rest True"}


def test_errors_come_over_as_what_they_are(caller: Caller) -> None:
    with pytest.raises(ProbeError, match="the other: sys_enter: not attached"):
        caller.stub(Callee, "it").fail()


@pytest.mark.parametrize("path", ["/it/nothing", "/it/_hidden", "/it/roles", "/nobody/fail", "/it/__init__"])
def test_nothing_but_methods_can_be_called(caller: Caller, path: str) -> None:
    with pytest.raises(MeshInsightError, match=path):
        caller.call(path, (), None)


def test_arguments_of_another_type_are_refused(caller: Caller) -> None:
    with pytest.raises(MeshInsightError, match="set_roles"):
        caller.call("/it/set_roles", ({"x": 3},), None)


def answer_without_certificate(port: int) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port)) as raw,
        suppress(OSError),
        context.wrap_socket(raw) as connection,
    ):
        connection.sendall(b"POST /it/fail HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        return connection.recv(1)
    return b""


def test_who_has_no_certificate_of_the_run_is_not_heard(port: int, tmp_path: Path, caller: Caller) -> None:
    strange = Caller("127.0.0.1", port, make_role_certificates(tmp_path, (PROFILER,))[PROFILER], "the other")
    caller.close()
    with pytest.raises(ProcessError, match="does not answer"):
        strange.connect(0)
    assert answer_without_certificate(port) == b""
    caller.connect(20)
    assert caller.stub(Callee, "it").samples() == TIMES


def test_a_call_that_was_broken_off_does_not_answer_the_next(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    stub = caller.stub(Callee, "it")
    with monkeypatch.context() as patched:
        patched.setattr(HTTPResponse, "read", interrupted)
        with pytest.raises(KeyboardInterrupt):
            stub.events()
    assert stub.samples() == TIMES


def interrupted(*_: object) -> bytes:
    raise KeyboardInterrupt


@pytest.mark.parametrize("role", [WORKLOAD, ASSISTANT])
def test_the_key_of_another_role_of_the_run_calls_nothing(
    port: int, roles: dict[str, Certificates], callee: Callee, role: str
) -> None:
    other = Caller("127.0.0.1", port, roles[role], "the other")
    callee.roles = {}
    with pytest.raises(ProcessError, match="does not answer"):
        other.call("/it/set_roles", ({1: "rest"},), None)
    assert callee.roles == {}


def test_a_caller_does_not_take_a_sidecar_for_the_other_profiler(port: int, roles: dict[str, Certificates]) -> None:
    deceived = Caller("127.0.0.1", port, roles[PROFILER], "the other", role=WORKLOAD)
    with pytest.raises(ProcessError, match="the other side is not the workload of this run"):
        deceived.connect(0)
    with pytest.raises(ProcessError, match="the other side is not the workload of this run"):
        deceived.stub(Callee, "it").samples()


@pytest.mark.parametrize("silent", [2, 20])
def test_connections_that_say_nothing_delay_no_call(port: int, roles: dict[str, Certificates], silent: int) -> None:
    """Each may take 600 s for its handshake here."""
    with ExitStack() as stack:
        for _ in range(silent):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        caller = Caller("127.0.0.1", port, roles[PROFILER], "the other")
        stack.callback(caller.close)
        caller.connect(20)
        assert caller.stub(Callee, "it").samples() == TIMES


def test_more_connections_than_there_is_room_for_are_closed(port: int, roles: dict[str, Certificates]) -> None:
    with ExitStack() as stack:
        opened = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 20)) for _ in range(80)]
        last = opened[-1]
        assert last.recv(1) == b""
    caller = Caller("127.0.0.1", port, roles[PROFILER], "the other")
    caller.connect(20)
    assert caller.stub(Callee, "it").samples() == TIMES
    caller.close()


def test_a_connection_that_takes_too_long_for_its_handshake_is_closed(roles: dict[str, Certificates]) -> None:
    number = free_port()
    arguments: tuple[object, ...] = (number, roles[ASSISTANT], {}, PROFILER)
    Thread(target=serve, args=arguments, kwargs={"handshake_s": 0.1}, daemon=True).start()
    with connected(number) as silent:
        assert silent.recv(1) == b""


def test_a_call_that_is_too_long_is_refused(caller: Caller) -> None:
    with pytest.raises((MeshInsightError, ProcessError)):
        caller.call("/it/set_roles", ({1: "x" * (17 << 20)},), None)


def test_nobody_there_is_said_so(roles: dict[str, Certificates]) -> None:
    with pytest.raises(ProcessError, match="the other does not answer"):
        Caller("127.0.0.1", 1, roles[PROFILER], "the other").connect(0)


@pytest.mark.parametrize("value", [np.zeros(0, np.int64), np.array([1, -(1 << 62)], np.int64)])
def test_arrays_keep_their_type_and_length(value: Any) -> None:
    again = decode(encode(value), np.ndarray[Any, np.dtype[np.int64]])
    assert again.dtype == value.dtype
    assert again.tolist() == value.tolist()
