"""What does `meshinsight attach` see of proxies in Go? User time with a component, and messages against the load's own.

Usage: python experiments/go_proxies/run.py --traefik FILE --caddy FILE [--seconds S] [--max-overhead R] [--results DIR]
Run it as root from the root of the checkout; it takes about two minutes. `result.json` and `result.md` are written into
the results folder.
"""

import argparse
import json
import re
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[2]))

from experiments.machine import IN_SHORT, MACHINE, machine_text
from experiments.measuring import measuring_run
from profiler.attach.attach import attach
from profiler.attach.measuring import Settings
from profiler.attach.results import Attached
from profiler.attach.targets import local_targets
from profiler.attach.user_time import USER_UNRESOLVED
from profiler.errors import MeshInsightError
from profiler.files.writing import write_whole
from profiler.host.environment import describe_environment
from profiler.host.process import Process
from profiler.host.programs import first_line
from profiler.symbols.catalogue import Catalogue, parse_catalogues
from profiler.symbols.stacks import Stack
from profiler.testbed.certificates import make_certificates
from profiler.testbed.run import Run
from profiler.vocabulary.addresses import SERVER_NAME, Address, Certificates
from profiler.vocabulary.components import PARSING, PROXY_CORE, RUNTIME, TLS
from profiler.vocabulary.cpu_states import USER
from profiler.vocabulary.load import Load
from profiler.vocabulary.protocols import HTTP1, HTTP2
from profiler.workload.base import Answers, LoadResult, Target
from profiler.workload.generators.h2load import H2load
from profiler.workload.servers.haproxy import HaproxyServer

HERE: Final = Path(__file__).parent
QUESTION: Final = "What does attach see of proxies in Go?"
NAMED_GOAL: Final = 0.9
"""Of the user time of a proxy, what is to have a component."""
MESSAGES_GOAL: Final = 0.03
"""How far the rate of messages may be from twice that of the requests."""

PLAIN: Final = "HTTP/1.1"
SECURE: Final = "HTTP/2 with TLS"
PORTS: Final = {PLAIN: 18080, SECURE: 18443}
LOAD: Final = Load(16, None, 0, 1024)
"""As fast as answers come."""
AHEAD_S: Final = 1.0
"""Load before attach begins."""
START_S: Final = 20.0
"""Load for so much longer than attach measures, for its start and its reading."""
READY_WITHIN_S: Final = 20.0
END_WITHIN_S: Final = 30.0

CADDYFILE: Final = """\
{{
 admin off
 auto_https off
 persist_config off
 default_sni {name}
}}
http://127.0.0.1:{plain} {{
 reverse_proxy 127.0.0.1:{server}
}}
https://127.0.0.1:{secure} {{
 tls {chain} {key}
 reverse_proxy 127.0.0.1:{server}
}}
"""
TRAEFIK_STATIC: Final = """\
global: {{checkNewVersion: false, sendAnonymousUsage: false}}
log: {{level: ERROR}}
entryPoints: {{plain: {{address: "127.0.0.1:{plain}"}}, secure: {{address: "127.0.0.1:{secure}"}}}}
providers: {{file: {{filename: "{dynamic}", watch: false}}}}
"""
TRAEFIK_DYNAMIC: Final = """\
http:
  routers:
    plain: {{rule: "PathPrefix(`/`)", service: server, entryPoints: [plain]}}
    secure: {{rule: "PathPrefix(`/`)", service: server, entryPoints: [secure], tls: {{}}}}
  services: {{server: {{loadBalancer: {{servers: [{{url: "http://127.0.0.1:{server}"}}]}}}}}}
tls: {{stores: {{default: {{defaultCertificate: {{certFile: "{chain}", keyFile: "{key}"}}}}}}}}
"""


def caddy_argv(program: str, directory: Path, certificates: Certificates) -> list[str]:
    """The command that runs Caddy."""
    file = directory / "Caddyfile"
    file.write_text(CADDYFILE.format(**named_values(certificates)))
    return [program, "run", "--config", str(file), "--adapter", "caddyfile"]


def traefik_argv(program: str, directory: Path, certificates: Certificates) -> list[str]:
    """The command that runs Traefik."""
    static, dynamic = directory / "traefik.yaml", directory / "dynamic.yaml"
    static.write_text(TRAEFIK_STATIC.format(dynamic=dynamic, **named_values(certificates)))
    dynamic.write_text(TRAEFIK_DYNAMIC.format(**named_values(certificates)))
    return [program, f"--configFile={static}"]


def named_values(certificates: Certificates) -> dict[str, Any]:
    """What the configurations of both are filled with."""
    server = HaproxyServer().port(HTTP1)
    ports = {"plain": PORTS[PLAIN], "secure": PORTS[SECURE], "server": server}
    return {**ports, "chain": certificates.chain, "key": certificates.key, "name": SERVER_NAME}


PROXIES: Final[Mapping[str, Callable[[str, Path, Certificates], list[str]]]] = {
    "traefik": traefik_argv,
    "caddy": caddy_argv,
}


@dataclass(frozen=True)
class Scene:
    """What attach found of a proxy under one load, and how many requests per second were answered meanwhile."""

    found: Attached
    requests_rps: float

    def row(self, rules: Catalogue) -> dict[str, Any]:
        """What the result has of it; `rules` as `rules_of_packages`."""
        target = self.found.targets[0]
        user = {name: part.share for name, part in target.components.items() if is_user_time(name)}
        whole = sum(user.values())
        messages = target.messages
        return {
            "requests_rps": self.requests_rps,
            "messages_per_request": messages.per_second / self.requests_rps if messages else None,
            "timed": messages.count if messages else 0,
            "untimed": messages.untimed if messages else 0,
            "bursts": self.found.overhead.bursts,
            "overhead": self.found.overhead.ratio,
            "vcpus": target.vcpus,
            "samples": target.samples,
            "user_shares": {name: share / whole for name, share in sorted(user.items(), key=lambda one: -one[1])},
            "named": 1 - sum(user.get(name, 0.0) for name in (USER, USER_UNRESOLVED)) / whole,
            "by_package": by_package(self.found.stacks[0].stacks, rules),
            "warnings": [*self.found.warnings, *target.warnings],
        }


def is_user_time(component: str) -> bool:
    """Whether a component is a part of user time."""
    return component in (PARSING, PROXY_CORE, TLS, RUNTIME, USER, USER_UNRESOLVED) or component.startswith("filter:")


def by_package(stacks: Sequence[Stack], rules: Catalogue) -> float:
    """The part of user time that a rule for its package gave a component to."""
    user = [stack for stack in stacks if stack.kind == USER]
    ruled = sum(stack.weight for stack in user if rules.component(stack.file, stack.frames[-1]))
    return ruled / sum(stack.weight for stack in user)


def rules_of_packages() -> Catalogue:
    """The catalogue of Go without its last rule, which gives to the proxy's core what no other rule takes."""
    file = resources.files("profiler.proxies").joinpath("go.symbols.yaml")
    catalogue = parse_catalogues(file.read_text(encoding="utf-8"), file.name)[0]
    return replace(catalogue, rules=catalogue.rules[:-1])


class Bench:
    """A server, and one proxy at a time before it, in a network namespace of their own."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.namespace = run.add_namespace("go-proxies")
        self.directory = run.add_directory("go-proxies")
        self.certificates = make_certificates(self.directory)
        server = HaproxyServer().argv(self.directory, Answers(((LOAD.response_bytes, 1),), LOAD.request_bytes))
        run.spawn("server", server, netns=self.namespace)

    def proxy(self, name: str, program: str) -> Process:
        """Start a proxy, which keeps what it writes in the run's folder."""
        argv = PROXIES[name](program, self.directory, self.certificates)
        home = {"HOME": str(self.directory), "XDG_DATA_HOME": str(self.directory)}
        return self.run.spawn(name, argv, netns=self.namespace, env=home)

    def load(self, protocol: str, seconds: float) -> Process:
        """Start load for so long."""
        target = Target(Address("127.0.0.1", PORTS[protocol]), HTTP1 if protocol == PLAIN else HTTP2)
        *argv, url = H2load().argv(target, LOAD, seconds, self.directory)
        url = url if protocol == PLAIN else url.replace("http:", "https:", 1)
        return self.run.spawn("load", [*argv, url], netns=self.namespace)

    def wait_until_ready(self, protocol: str) -> None:
        """Wait until requests are answered."""
        end_s = time.monotonic() + READY_WITHIN_S
        while True:
            self.ended(self.load(protocol, 0.2))
            try:
                self.result()
            except MeshInsightError:
                if time.monotonic() > end_s:
                    raise
            else:
                return

    def result(self) -> LoadResult:
        """The requests of the load that has ended."""
        return H2load().result(self.directory)

    @staticmethod
    def ended(load: Process) -> None:
        """Wait for the end of a load."""
        load.wait(END_WITHIN_S)
        load.stop()

    def scene(self, proxy: Process, protocol: str, settings: Settings) -> Scene:
        """Load a proxy and attach to it meanwhile."""
        self.wait_until_ready(protocol)
        load = self.load(protocol, AHEAD_S + settings.duration_s + START_S)
        time.sleep(AHEAD_S)
        stamps_ns: list[int] = []
        found, _ = attach(local_targets([proxy.pid]), settings, lambda _: stamps_ns.append(time.monotonic_ns()))
        load.signal(signal.SIGINT)
        self.ended(load)
        _, start_ns, end_ns = stamps_ns
        return Scene(found, self.result().rate_rps(start_ns, end_ns))


def main() -> None:
    """Measure, and write what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in PROXIES:
        parser.add_argument(f"--{name}", required=True, metavar="FILE", help=f"the program of {name.capitalize()}")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--max-overhead", type=float, default=0.01, metavar="R")
    parser.add_argument("--results", type=Path, default=HERE)
    options = parser.parse_args()
    programs = {name: str(Path(vars(options)[name]).resolve()) for name in PROXIES}
    options.results.mkdir(exist_ok=True, parents=True)
    with measuring_run() as run:
        scenes = measure(Bench(run), programs, Settings(options.seconds, options.max_overhead))
        versions = {name: version(program) for name, program in programs.items()}
    document = {
        "question": QUESTION,
        "date": time.strftime("%Y-%m-%d"),
        "environment": {**describe_environment(), **versions},
        "seconds": options.seconds,
        "max_overhead": options.max_overhead,
        "connections": LOAD.connections,
        "scenes": scenes,
    }
    write_whole(options.results / "result.json", json.dumps(document, indent=1) + "\n")
    write_whole(options.results / "result.md", text_of(document))
    print(verdict(document))


def version(program: str) -> str:
    """The version of a proxy, without what it says around the number."""
    line = first_line(program, "version")
    found = re.search(r"\d+(\.\d+)+", line)
    return found[0] if found else line


def measure(bench: Bench, programs: Mapping[str, str], settings: Settings) -> list[dict[str, Any]]:
    """Each proxy under each load."""
    rules = rules_of_packages()
    rows = []
    for name, program in programs.items():
        proxy = bench.proxy(name, program)
        for protocol in PORTS:
            print(f"{name}, {protocol}", file=sys.stderr, flush=True)
            rows.append({"proxy": name, "protocol": protocol, **bench.scene(proxy, protocol, settings).row(rules)})
        proxy.stop()
    return rows


def text_of(document: Mapping[str, Any]) -> str:
    """The result as Markdown."""
    machine = document["environment"]
    head = (
        f"{MACHINE}{machine_text(machine)}.\nTraefik {machine['traefik']}, Caddy {machine['caddy']}; "
        f"{document['connections']} connections, {document['seconds']:g} s each, bound {document['max_overhead']:.1%}, "
        f"{document['date']}. Raw: [result.json](result.json)."
    )
    return "\n\n".join(["# Result", head, table(document), shares(document), verdict(document)]) + "\n"


def table(document: Mapping[str, Any]) -> str:
    """One row for each load."""
    lines = [
        "| proxy | protocol | requests/s | messages per request | timed | bursts | user time with a component "
        "| by its package | overhead |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in document["scenes"]:
        lines.append(
            f"| {row['proxy']} | {row['protocol']} | {row['requests_rps']:,.0f} | {row['messages_per_request']:.3f} "
            f"| {row['timed']:,} | {row['bursts']} | {row['named']:.1%} | {row['by_package']:.1%} "
            f"| {row['overhead']:.2%} |"
        )
    return "\n".join(lines)


def shares(document: Mapping[str, Any]) -> str:
    """User time by component, those that have one percent of it somewhere."""
    rows = document["scenes"]
    names = dict.fromkeys(name for row in rows for name, share in row["user_shares"].items() if share >= 0.01)
    lines = [f"| proxy | protocol | {' | '.join(names)} |", f"|---|---|{'--:|' * len(names)}"]
    for row in rows:
        parts = " | ".join(f"{row['user_shares'].get(name, 0.0):.1%}" for name in names)
        lines.append(f"| {row['proxy']} | {row['protocol']} | {parts} |")
    return "Parts of user time:\n\n" + "\n".join(lines)


def verdict(document: Mapping[str, Any]) -> str:
    """How much of user time has a component, and how far the messages are from twice the requests."""
    rows = document["scenes"]
    named, off = zip(*((row["named"], abs(row["messages_per_request"] / 2 - 1)) for row in rows), strict=True)
    kept = sum(part >= NAMED_GOAL and wrong <= MESSAGES_GOAL for part, wrong in zip(named, off, strict=True))
    return (
        f"{IN_SHORT}On this machine at least {min(named):.1%} of user time has a component, and the rate of messages "
        f"is at most {max(off):.1%} from twice that of the requests. The goals of {NAMED_GOAL:.0%} and "
        f"{MESSAGES_GOAL:.0%} are kept by {kept} of {len(rows)}."
    )


if __name__ == "__main__":
    main()
