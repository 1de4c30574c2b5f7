"""Both generators against the testbed's real servers, in a pod."""

import sys

import numpy as np
import pytest

from profiler.measuring.profiling import default_toolbox
from profiler.vocabulary.addresses import Address
from profiler.vocabulary.load import Load
from profiler.vocabulary.protocols import GRPC, HTTP1, HTTP2
from profiler.workload.base import Answers, LoadGenerator, Target
from profiler.workload.generators.h2load import H2load
from profiler.workload.generators.own import OwnGenerator
from profiler.workload.servers.nghttpd import NghttpdServer
from tests.profiler.testbed.conftest import eventually
from tests.profiler.workload.conftest import Place

pytestmark = pytest.mark.kernel

APPLICATIONS = (HTTP1, HTTP2, GRPC)
MIB = 1 << 20


@pytest.mark.parametrize("application", APPLICATIONS)
@pytest.mark.parametrize("generator", [OwnGenerator(), H2load()], ids=lambda generator: str(generator.name))
@pytest.mark.timing
def test_a_closed_loop_is_answered(place: Place, generator: LoadGenerator, application: str) -> None:
    result = place.load(generator, place.target(application), Load(2, None, 128, 1024))
    assert result.failed == 0
    assert len(result.due_ns) > 20


@pytest.mark.parametrize("application", APPLICATIONS)
@pytest.mark.timing
def test_an_open_loop_is_on_schedule(place: Place, application: str) -> None:
    result = place.load(OwnGenerator(), place.target(application), Load(2, 200, 128, 1024))
    assert (len(result.due_ns), result.failed) == (80, 0)
    assert np.all(np.abs(np.diff(result.due_ns) - 5_000_000) <= 1)


@pytest.mark.parametrize("application", [HTTP1, HTTP2])
@pytest.mark.parametrize("generator", [OwnGenerator(), H2load()], ids=lambda generator: str(generator.name))
@pytest.mark.timing
def test_unix_sockets_are_answered_without_the_network(
    place: Place, generator: LoadGenerator, application: str
) -> None:
    before = place.received_bytes()
    result = place.load(generator, place.target(application, uds=True), Load(1, None, 128, 1024))
    assert (len(result.due_ns) > 20, result.failed) == (True, 0)
    assert place.received_bytes() == before


@pytest.mark.parametrize("rate_rps", [None, 50.0], ids=["closed", "open"])
@pytest.mark.parametrize("application", APPLICATIONS)
@pytest.mark.timing
def test_a_new_connection_for_every_request(place: Place, application: str, rate_rps: float | None) -> None:
    def opened() -> int:
        text = place.pod.namespace.run(["nstat", "-asz", "TcpActiveOpens"])
        return int(text.split("TcpActiveOpens")[1].split()[0])

    before = opened()
    result = place.load(OwnGenerator(), place.target(application), Load(1, rate_rps, 0, 1024, new_connections=True))
    assert result.failed == 0
    assert len(result.due_ns) > 4
    assert len(result.due_ns) <= opened() - before <= len(result.due_ns) + 1


@pytest.mark.parametrize("application", APPLICATIONS)
@pytest.mark.parametrize("generator", [OwnGenerator(), H2load()], ids=lambda generator: str(generator.name))
@pytest.mark.timing
def test_a_mebibyte_goes_both_ways_whole(place: Place, generator: LoadGenerator, application: str) -> None:
    before = place.received_bytes()
    result = place.load(generator, place.target(application), Load(1, None, MIB, MIB), 1.0)
    moved = place.received_bytes() - before
    assert result.failed == 0
    assert len(result.due_ns) > 2
    assert 2 * MIB * len(result.due_ns) <= moved <= 2.1 * MIB * (len(result.due_ns) + 1)


@pytest.mark.parametrize("application", [HTTP2, GRPC])
@pytest.mark.timing
def test_a_mebibyte_on_a_new_connection_passes_the_first_windows(place: Place, application: str) -> None:
    result = place.load(OwnGenerator(), place.target(application), Load(1, None, MIB, 0, new_connections=True), 1.0)
    assert result.failed == 0
    assert np.median(result.latency_ns) < 500_000_000


@pytest.mark.parametrize("generator", [OwnGenerator(), H2load()], ids=lambda generator: str(generator.name))
@pytest.mark.timing
def test_a_stream_of_ten_messages_comes_whole(place: Place, generator: LoadGenerator) -> None:
    before = place.received_bytes()
    result = place.load(generator, place.target(GRPC), Load(1, None, 0, 1024, messages=10))
    assert result.failed == 0
    assert len(result.due_ns) > 5
    assert place.received_bytes() - before > 10 * 1029 * len(result.due_ns)


@pytest.mark.parametrize("application", APPLICATIONS)
@pytest.mark.timing
def test_many_headers_pass(place: Place, application: str) -> None:
    load = Load(1, None, 0, 1024, headers=90, header_bytes=200)
    result = place.load(OwnGenerator(), place.target(application), load, 0.2)
    assert (len(result.due_ns) > 4, result.failed) == (True, 0)


@pytest.mark.parametrize("application", APPLICATIONS)
def test_an_answer_that_there_is_not_is_a_failure(place: Place, application: str) -> None:
    result = place.load(OwnGenerator(), place.target(application), Load(1, 50, 0, 777))
    assert (len(result.due_ns), result.failed) == (0, 20)


def test_a_call_whose_status_is_not_0_is_a_failure(place: Place) -> None:
    directory = place.run.add_directory("failing")
    argv = NghttpdServer().argv(directory, Answers(((1024, 1),), 0))
    argv = [word.replace("grpc-status: 0", "grpc-status: 14") for word in argv[:-1]] + ["8092"]
    process = place.run.spawn("failing", argv, netns=place.pod.namespace)
    assert eventually(lambda: ":8092 " in place.pod.namespace.run(["ss", "-ltn"]))
    result = place.load(OwnGenerator(), Target(Address("127.0.0.1", 8092), GRPC), Load(1, 50, 0, 1024))
    process.stop()
    assert (len(result.due_ns), result.failed) == (0, 20)


GRPC_CLIENT = """
import grpc, sys
with grpc.insecure_channel("127.0.0.1:8082") as channel:
    unary = channel.unary_unary("/meshinsight.Echo/1024.grpc")
    print(len(unary(b"q" * 5000, timeout=10)))
    stream = channel.unary_stream("/meshinsight.Echo/1024x10.grpc")
    print([len(message) for message in stream(b"", timeout=10)])
"""


def test_a_real_grpc_client_takes_the_servers_answer(place: Place) -> None:
    answer = place.pod.namespace.run([sys.executable, "-W", "ignore", "-c", GRPC_CLIENT])
    assert answer.splitlines() == ["1024", str([1024] * 10)]


def test_servers_say_their_versions() -> None:
    tools = default_toolbox()
    versions = [server.version() for server in tools.servers]
    assert all([*versions, tools.closed_loop.version(), tools.open_loop.version()])
