"""How much jitter and CPU do the load generators and servers bring along themselves?

    sudo .venv/bin/python experiments/load_generators/jitter.py

Sends one request at a time, without any sidecar, from each generator to each server, interleaved, CPUs kept awake, and
prints the latency's percentiles (median over the rounds) and the generator's and server's CPU time per request.
"""

import statistics
from collections import defaultdict
from pathlib import Path

import numpy as np

from profiler.host.process import Process
from profiler.host.programs import require_program
from profiler.testbed.neighbour import Neighbours
from profiler.testbed.pods import Pod, PodNetwork
from profiler.testbed.run import Run, measuring_lock
from profiler.vocabulary.addresses import Address
from profiler.vocabulary.load import Load
from profiler.vocabulary.protocols import HTTP1
from profiler.workload.base import Answers, LoadGenerator, Server, Target
from profiler.workload.generators.h2load import H2load
from profiler.workload.generators.own import OwnGenerator
from profiler.workload.servers.haproxy import HaproxyServer

ROUNDS = 8
SECONDS = 0.5
REQUEST_BYTES, RESPONSE_BYTES = 128, 1000
OPEN_RATE_RPS = 2000.0

NGINX = """daemon off; master_process off; pid {directory}/nginx.pid; error_log stderr crit;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 1000000000;
  server {{ listen {port}; location / {{ return 200 "{body}"; }} }} }}
"""


class NginxServer:
    """nginx with a canned answer: here only for comparison."""

    name = "nginx"
    applications: tuple[str, ...] = (HTTP1,)
    unix_sockets = False

    def port(self, application: str) -> int:
        return 8080

    def socket(self, application: str, directory: Path) -> Path:
        raise NotImplementedError("here it listens on TCP only")

    def version(self) -> str:
        return ""

    def argv(self, directory: Path, answers: Answers) -> list[str]:
        configuration = directory / "nginx.conf"
        body = "r" * answers.sizes[0][0]
        configuration.write_text(NGINX.format(directory=directory, port=self.port(HTTP1), body=body))
        return [require_program("nginx", "nginx"), "-c", str(configuration)]


def main() -> None:
    """Measure and print the table."""
    servers: tuple[Server, ...] = (HaproxyServer(), NginxServer())
    generators: tuple[tuple[LoadGenerator, float | None], ...] = ((H2load(), None), (OwnGenerator(), OPEN_RATE_RPS))
    figures = defaultdict(list)
    with measuring_lock(), Run.start() as run:
        run.suspend_autogroup()
        network = PodNetwork(run)
        client = network.add_pod("client")
        running = {server.name: serve(run, network, server) for server in servers}
        directory = run.add_directory("load")
        Neighbours(run).awake()
        for _ in range(ROUNDS):
            for generator, rate_rps in generators:
                for server in servers:
                    load = Load(1, rate_rps, REQUEST_BYTES, RESPONSE_BYTES)
                    pod, process = running[server.name]
                    before_ns = process.run_time_ns()
                    sender = run.spawn(
                        "load",
                        generator.argv(
                            Target(Address(pod.address, server.port(HTTP1)), HTTP1), load, SECONDS, directory
                        ),
                        netns=client.namespace,
                    )
                    sender.wait(30)
                    result = generator.result(directory)
                    percentiles = np.percentile(result.latency_ns, [10, 50, 90, 99]) / 1e3
                    cpu_us = [sender.run_time_ns() / 1e3, (process.run_time_ns() - before_ns) / 1e3]
                    sender.stop()
                    figures[generator.name, server.name].append(
                        [*percentiles, *(time / len(result.due_ns) for time in cpu_us)]
                    )
    columns = "".join(f"{name:>8}" for name in ("p10", "p50", "p90", "p99"))
    print(f"{'generator':22}{'server':10}{columns} µs; CPU µs per request of generator and server")
    for (generator_name, server_name), rows in figures.items():
        medians = [statistics.median(column) for column in zip(*rows, strict=True)]
        print(f"{generator_name:22}{server_name:10}" + "".join(f"{value:8.1f}" for value in medians))


def serve(run: Run, network: PodNetwork, server: Server) -> tuple[Pod, Process]:
    """A pod with `server` running in it."""
    pod = network.add_pod(server.name)
    argv = server.argv(run.add_directory(server.name), Answers(((RESPONSE_BYTES, 1),), REQUEST_BYTES))
    return pod, run.spawn(server.name, argv, netns=pod.namespace)


if __name__ == "__main__":
    main()
