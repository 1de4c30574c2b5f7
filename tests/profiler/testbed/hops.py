"""Deploying one hop in a test, and asking through it."""

from dataclasses import dataclass
from pathlib import Path

from profiler.measuring.profiling import default_toolbox
from profiler.measuring.testbeds import server_of
from profiler.testbed.certificates import make_certificates
from profiler.testbed.deployment import Deployment, Secrets
from profiler.testbed.pods import Pod, PodNetwork
from profiler.testbed.run import Run
from profiler.testbed.tokens import make_token
from profiler.vocabulary.hop import Hop
from profiler.vocabulary.load import Load
from profiler.vocabulary.protocols import HTTP1
from profiler.workload.base import Answers, LoadResult, Server
from profiler.workload.generators.own import OwnGenerator

ANSWERS = Answers(((0, 1), (1024, 1), (1024, 10), (1 << 20, 1)), 1 << 20)


@dataclass
class Deployed:
    """A hop that is up, in a network of its own."""

    run: Run
    network: PodNetwork
    secrets: Secrets
    deployment: Deployment

    def curl(self, path: str, *options: str, pod: Pod | None = None) -> str:
        """What curl prints of a request from the client's pod, or another."""
        address = self.deployment.target.address
        by_socket = ["--unix-socket", str(address.socket)] if address.socket else []
        host = "localhost" if address.socket else str(address)
        argv = ["curl", "--silent", "--show-error", "--max-time", "9", *by_socket, *options, f"http://{host}{path}"]
        return (pod or self.deployment.client).namespace.run(argv)

    def status(self, path: str, *options: str) -> str:
        return self.curl(path, "--output", "/dev/null", "--write-out", "%{http_code}", *options)

    def load(self, load: Load, seconds: float = 0.4) -> LoadResult:
        """Put load on the hop by the own generator, as the bench does."""
        directory: Path = self.run.add_directory(f"load-{id(load)}")
        argv = OwnGenerator().argv(self.deployment.target, self.secrets.filled(load), seconds, directory)
        process = self.run.spawn("load", argv, netns=self.deployment.client.namespace)
        assert process.wait(30) == 0, process.log_path.read_text()
        process.stop()
        return OwnGenerator().result(directory)


def deploy(run: Run, hop: Hop, server: Server | None = None, *, ready: bool = True) -> Deployed:
    network = PodNetwork(run)
    secrets = Secrets(make_certificates(run.add_directory("certificates")), make_token())
    server = server or server_of(default_toolbox().servers, hop.application or HTTP1)
    deployed = Deployed(run, network, secrets, Deployment(run, network, 0, hop, server, ANSWERS, secrets))
    if ready:
        deployed.deployment.wait_ready()
    return deployed
