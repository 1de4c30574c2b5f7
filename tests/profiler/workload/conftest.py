"""Servers of the testbed in a pod of a run, and loads put on them from inside it."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from profiler.measuring.profiling import default_toolbox
from profiler.measuring.testbeds import server_of
from profiler.testbed.leftovers import remove_leftovers
from profiler.testbed.pods import Pod, PodNetwork
from profiler.testbed.run import Run
from profiler.vocabulary.addresses import Address
from profiler.vocabulary.load import Load
from profiler.vocabulary.protocols import GRPC, HTTP1
from profiler.workload.base import Answers, LoadGenerator, LoadResult, Target
from tests.profiler.testbed.conftest import eventually

ANSWERS = Answers(((0, 1), (1024, 1), (1024, 10), (1 << 20, 1)), 1 << 20)


@dataclass
class Place:
    """A pod in which HAProxy and nghttpd serve."""

    run: Run
    pod: Pod
    sockets: dict[str, Path]
    loads: int = 0

    def target(self, application: str, *, uds: bool = False) -> Target:
        server = server_of(default_toolbox().servers, application)
        address = Address(socket=self.sockets[application]) if uds else Address("127.0.0.1", server.port(application))
        return Target(address, application)

    def load(self, generator: LoadGenerator, target: Target, load: Load, seconds: float = 0.4) -> LoadResult:
        self.loads += 1
        directory = self.run.add_directory(f"load-{self.loads}")
        argv = generator.argv(target, load, seconds, directory)
        process = self.run.spawn(f"load-{self.loads}", argv, netns=self.pod.namespace)
        assert process.wait(20) == 0, process.log_path.read_text()
        return generator.result(directory)

    def received_bytes(self) -> int:
        """What came over the loopback device of the pod so far."""
        text = self.pod.namespace.call(lambda: Path("/proc/thread-self/net/dev").read_text())
        return int(text.split("lo:")[1].split()[0])


@pytest.fixture(scope="package")
def place() -> Iterator[Place]:
    directory = Path(tempfile.mkdtemp(prefix="meshinsight-test-"))
    directory.chmod(0o755)
    with Run.start(directory) as run:
        pod = PodNetwork(run).add_pod("servers")
        sockets = {}
        for server in (server_of(default_toolbox().servers, name) for name in (HTTP1, GRPC)):
            place = run.add_directory(server.name)
            process = run.spawn(server.name, server.argv(place, ANSWERS), netns=pod.namespace)
            if server.unix_sockets:
                sockets.update({name: server.socket(name, place) for name in server.applications})
            for application in server.applications:
                port = f":{server.port(application)} "
                assert eventually(lambda port=port: port in pod.namespace.run(["ss", "-ltn"])), process.log_path  # type: ignore[misc]
        yield Place(run, pod, sockets)
    remove_leftovers(directory)
