"""Pods on this machine: network namespaces joined by a bridge, with nginx and Envoy, and rules of capture."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from string import Template
from typing import Final

import yaml

from profiler.errors import ProcessError
from profiler.host.programs import require_program, run_tool
from profiler.proxies.envoy import find_binary

HERE: Final = Path(__file__).parent
PREFIX: Final = "harness"
CLIENT: Final = "client"
SERVICES: Final = ("s1", "s2", "s3", "s4")
NAMES: Final = (CLIENT, *SERVICES)
PORT: Final = 8080
ANSWER: Final = "x" * 1024
ENVOY_UID: Final = 1337
PROXY_PORTS: Final = {"tcp": (15001, 15006), "http1": (15011, 15016)}
"""Listeners of envoy.yaml by protocol: outbound, inbound."""
READY_S: Final = 20.0
_LISTENING: Final = re.compile(r"^ *\d+: [0-9A-F]{8}:([0-9A-F]{4}) 0{8}:0000 0A ", re.MULTILINE)
_HIT: Final = re.compile(r"^\[[1-9][0-9]*:[0-9]+\] -A .* REDIRECT ", re.MULTILINE)


class Pods:
    """A client's pod and the pods of the services, each with an Envoy. All is removed when the context ends."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._ending = ExitStack()

    def __enter__(self) -> "Pods":
        try:
            remove_leftovers()
            self._join()
            for name in NAMES:
                self._start(name)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # Removal is not interrupted.
        before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
        self._ending.close()
        for number, handler in before.items():
            signal.signal(number, handler)

    def spawn(self, name: str, label: str, command: Sequence[str], uid: int = 0) -> "Started":
        """Start a program in a pod, as that user. It also ends when this process is killed."""
        user = ["--reuid", str(uid), "--regid", str(uid), "--clear-groups", "--pdeathsig", "KILL"]
        output = self.directory / f"{label}-{name}.out"
        started = Started(label, [*inside(name), "setpriv", *user, *command], output)
        self._ending.callback(started.stop)
        return started

    def capture(self, protocol: str, names: Sequence[str]) -> None:
        """Lead the connections of these pods through their Envoy, which treats them as this protocol."""
        for name in names:
            run_tool([*inside(name), "iptables-restore", "--wait", "5"], input_text=capture_rules(protocol))

    def release(self) -> None:
        """Take out the rules. With the last one the kernel stops tracking connections (not with legacy iptables)."""
        for name in NAMES:
            run_tool([*inside(name), "iptables", "--wait", "5", "-t", "nat", "-F"])

    def rules_hit(self) -> int:
        """How many of the rules have led a connection to an Envoy."""
        return sum(count_hit(run_tool([*inside(name), "iptables-save", "-c", "-t", "nat"])) for name in NAMES)

    def _join(self) -> None:
        bridge = namespace("bridge")
        for name in (bridge, *map(namespace, NAMES)):
            self._ending.callback(remove, name)
            run_tool(["ip", "netns", "add", name])
        run_tool(["ip", "-n", bridge, "link", "add", "br0", "type", "bridge"])
        run_tool(["ip", "-n", bridge, "link", "set", "br0", "up"])
        for name in NAMES:
            pod = namespace(name)
            link = ["link", "add", "eth0", "type", "veth", "peer", "name", name, "netns", bridge]
            run_tool(["ip", "-n", pod, *link])
            run_tool(["ip", "-n", bridge, "link", "set", name, "master", "br0", "up"])
            run_tool(["ip", "-n", pod, "address", "add", f"{address(name)}/24", "dev", "eth0"])
            for device in ("eth0", "lo"):
                run_tool(["ip", "-n", pod, "link", "set", device, "up"])

    def _start(self, name: str) -> None:
        bootstrap = json.dumps(yaml.safe_load((HERE / "envoy.yaml").read_text()))
        options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
        envoy = self.spawn(name, "envoy", [str(find_binary()), "--config-yaml", bootstrap, *options], ENVOY_UID)
        if name in SERVICES:
            folder = self.directory / name
            folder.mkdir()
            configuration = folder / "nginx.conf"
            configuration.write_text(nginx_configuration(name, folder))
            nginx = [require_program("nginx", "nginx"), "-p", str(folder), "-c", str(configuration)]
            self.spawn(name, "nginx", [*nginx, "-e", str(folder / "nginx.log")]).await_listening({PORT})
        envoy.await_listening({port for ports in PROXY_PORTS.values() for port in ports})


class Started:
    """A process of the harness, with what it writes."""

    def __init__(self, label: str, command: Sequence[str], output: Path) -> None:
        self.label = label
        self.output = output
        with output.open("w") as opened:
            # A group, so that Ctrl-C does not reach it; the same session, so that SCHED_IDLE gives way to all of it.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=opened, stderr=opened, process_group=0, cwd="/"
            )

    def stop(self) -> None:
        """Kill it, if it still runs."""
        self._process.kill()
        self._process.wait()

    def text_at_end(self, timeout_s: float) -> str:
        """What it has written, once it has ended. Raises ProcessError where it failed or does not end."""
        try:
            status = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise ProcessError(f"{self.label} did not end within {timeout_s:g} s") from error
        if status != 0:
            raise ProcessError(f"{self.label} ended with exit status {status}: {self._last_line()}")
        return self.output.read_text()

    def check(self) -> None:
        """Raise ProcessError if it has ended."""
        if (status := self._process.poll()) is not None:
            raise ProcessError(f"{self.label} ended early with exit status {status}: {self._last_line()}")

    def await_listening(self, ports: set[int]) -> None:
        """Wait until something in its namespace listens on all of these ports."""
        table = Path(f"/proc/{self._process.pid}/net/tcp")
        deadline_s = time.monotonic() + READY_S
        while True:
            self.check()
            if ports <= listening(table.read_text()):
                return
            if time.monotonic() > deadline_s:
                raise ProcessError(f"{self.label} does not listen after {READY_S:g} s: {self._last_line()}")
            time.sleep(0.02)

    def _last_line(self) -> str:
        return ([line for line in self.output.read_text(errors="replace").splitlines() if line] or ["no output"])[-1]


def namespace(name: str) -> str:
    """The network namespace of a pod of this run."""
    return f"{PREFIX}-{os.getpid()}-{name}"


def inside(name: str) -> list[str]:
    """What stands before a command that runs in a pod."""
    return ["ip", "netns", "exec", namespace(name)]


def address(name: str) -> str:
    """The address of a pod."""
    return f"10.77.0.{1 + NAMES.index(name)}"


def remove(name: str) -> None:
    """Remove a namespace, if it exists."""
    subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False, process_group=0)


def remove_leftovers() -> None:
    """Remove the namespaces of runs that were killed."""
    for name in re.findall(rf"^{PREFIX}-[0-9]+-\w+", run_tool(["ip", "netns", "list"]), re.MULTILINE):
        if not Path(f"/proc/{name.split('-')[1]}").exists():
            remove(name)


def capture_rules(protocol: str) -> str:
    """The rules of one pod, for iptables-restore."""
    outbound, inbound = PROXY_PORTS[protocol]
    out = f"-p tcp --dport {PORT} -m owner ! --uid-owner {ENVOY_UID} -j REDIRECT --to-ports {outbound}"
    return (
        "*nat\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
        f"-A PREROUTING -p tcp --dport {PORT} -j REDIRECT --to-ports {inbound}\n-A OUTPUT {out}\nCOMMIT\n"
    )


def count_hit(rules: str) -> int:
    """How many REDIRECT rules in the output of iptables-save have counted packets."""
    return len(_HIT.findall(rules))


def listening(table: str) -> set[int]:
    """The ports that something listens on, of a /proc/PID/net/tcp."""
    return {int(port, 16) for port in _LISTENING.findall(table)}


def nginx_configuration(name: str, folder: Path) -> str:
    """The configuration of a service, which asks the one after it."""
    following = NAMES[(NAMES.index(name) + 1) % len(NAMES)]  # the last one asks nobody
    values = {"directory": str(folder), "port": str(PORT), "next": f"{address(following)}:{PORT}", "answer": ANSWER}
    return Template((HERE / "nginx.conf").read_text()).substitute(values)
