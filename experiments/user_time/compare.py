"""Splits the user time of HAProxy, nginx and Envoy on loopback by symbols, by nameless ranges and by the ladder."""

import argparse
import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[2]))

from profiler.errors import MeshInsightError
from profiler.probes.perf_sampling import PerfSampling
from profiler.proxies.envoy import find_binary
from profiler.symbols.catalogue import Catalogue, load_catalogue
from profiler.symbols.histogram import UserHistogram, added, by_function, user_histogram
from profiler.symbols.maps import UserAddress
from profiler.symbols.split import (
    Rung,
    UserSplit,
    compare,
    split_by_ladder,
    split_by_rungs,
    split_by_symbols,
)
from profiler.symbols.tables import FunctionTables
from profiler.vocabulary.components import PARSING, PROXY_CORE, SERVER_SIDECAR
from profiler.vocabulary.cpu_states import USER

RUNGS: Final = {"tcp": PROXY_CORE, "http": PARSING, "https": "tls"}
NGINX_STREAM: Final = Path("/usr/lib/nginx/modules/ngx_stream_module.so")

HAPROXY: Final = """
global
  nbthread 1
defaults
  mode {mode}
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend in
  bind 127.0.0.1:{port} {tls}
  default_backend out
backend out
  server s 127.0.0.1:{server}
"""
SERVER: Final = """
global
  nbthread 1
defaults
  mode http
  timeout client 60s
frontend in
  bind 127.0.0.1:{port}
  http-request return status 200 content-type text/plain string {body}
"""
NGINX: Final = {
    "http": """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 100000000;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  upstream out {{ server 127.0.0.1:{server}; keepalive 64; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} {tls}
    location / {{ proxy_pass http://out; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
""",
    "tcp": f"load_module {NGINX_STREAM};"
    + """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
stream {{ server {{ listen 127.0.0.1:{port}; proxy_pass 127.0.0.1:{server}; }} }}
""",
}
ENVOY_FILTER: Final = {
    "tcp": """
      - name: envoy.filters.network.tcp_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: in
          cluster: out
""",
    "http": """
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          route_config:
            virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: out}}]}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
""",
}
ENVOY_TLS: Final = """
      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            tls_certificates:
            - certificate_chain: {filename: @folder@/both.pem}
              private_key: {filename: @folder@/both.pem}
"""
ENVOY: Final = """
static_resources:
  listeners:
  - address: {socket_address: {address: 127.0.0.1, port_value: @port@}}
    filter_chains:
    - filters:
@filter@
  clusters:
  - name: out
    type: STATIC
    load_assignment:
      cluster_name: out
      endpoints:
      - lb_endpoints:
        - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: @server@}}}
"""


@dataclass(frozen=True)
class Window:
    """One run of the load generator: samples, requests, and the proxy's user time in ns."""

    user: dict[tuple[str, UserAddress], float]
    samples: int
    requests: int
    user_ns: float


def haproxy(mode: str, port: int, server: int, folder: Path) -> list[str]:
    """The command of HAProxy as a proxy."""
    tls = f"ssl crt {_certificate(folder)}" if mode == "https" else ""
    return _haproxy(HAPROXY.format(mode=mode.rstrip("s"), port=port, server=server, tls=tls), folder)


def _haproxy(text: str, folder: Path) -> list[str]:
    file = folder / "haproxy.cfg"
    file.write_text(text)
    return ["haproxy", "-db", "-f", str(file)]


def nginx(mode: str, port: int, server: int, folder: Path) -> list[str]:
    """The command of nginx as a proxy."""
    file = folder / "nginx.conf"
    both = _certificate(folder) if mode == "https" else None
    tls = f"ssl; ssl_certificate {both}; ssl_certificate_key {both};" if both else ";"
    file.write_text(NGINX[mode.rstrip("s")].format(port=port, server=server, folder=folder, tls=tls))
    return ["nginx", "-c", str(file), "-e", str(folder / "error.log")]


def envoy(mode: str, port: int, server: int, folder: Path) -> list[str]:
    """The command of Envoy as a proxy."""
    file = folder / "envoy.yaml"
    text = ENVOY.replace("@port@", str(port)).replace("@server@", str(server))
    tls = ENVOY_TLS.replace("@folder@", str(_certificate(folder).parent)) if mode == "https" else ""
    file.write_text(text.replace("@filter@", ENVOY_FILTER[mode.rstrip("s")] + tls))
    return [
        *(str(find_binary()), "--config-path", str(file), "--concurrency", "1"),
        *("--disable-hot-restart", "--log-level", "error"),
    ]


def _certificate(folder: Path) -> Path:
    """A certificate and its key in one file, good for this run."""
    key, certificate, both = (folder / name for name in ("key.pem", "certificate.pem", "both.pem"))
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=localhost", "-days", "1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, capture_output=True, check=True, timeout=20)
    both.write_text(certificate.read_text() + key.read_text())
    return both


PROXIES: Final[dict[str, tuple[Callable[[str, int, int, Path], list[str]], str]]] = {
    "haproxy": (haproxy, "-v"),
    "nginx": (nginx, "-v"),
    "envoy": (envoy, "--version"),
}


@contextmanager
def running(argv: list[str], port: int, folder: Path) -> Iterator[int]:
    """A program that listens at a port; yields its process id."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        until = time.monotonic() + 10
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"{argv[0]} does not listen: {(folder / 'log').read_text()[-400:]}")
            time.sleep(0.05)
        yield process.pid
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def load(mode: str, port: int, seconds: int, connections: int) -> int:
    """Answered requests of a closed loop."""
    scheme = "https" if mode == "https" else "http"
    command = ["h2load", "--h1", "-t", "1", "-c", str(connections), "-D", str(seconds), f"{scheme}://127.0.0.1:{port}/"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 20, check=True)
    found = re.search(r"(\d+) succeeded, (\d+) failed", done.stdout)
    if not found or not int(found[1]) or int(found[2]):
        raise SystemExit(f"h2load: {done.stdout[-600:]}")
    return int(found[1])


def window(mode: str, process: int, port: int, seconds: int, connections: int) -> Window:
    """Sample a proxy under load."""
    with PerfSampling() as perf:
        perf.start()
        requests = load(mode, port, seconds, connections)
        perf.stop()
        times = perf.read({process: SERVER_SIDECAR})
    return Window(times.user, times.user_samples, requests, times.time_ns().get((SERVER_SIDECAR, USER), 0.0))


def histogram(windows: list[Window], tables: FunctionTables) -> UserHistogram:
    """All windows of one rung together."""
    user_ns = sum(entry.user_ns for entry in windows) / sum(entry.requests for entry in windows)
    functions = by_function(added(entry.user for entry in windows), tables)
    return user_histogram(functions, sum(entry.samples for entry in windows), user_ns)


def measure(name: str, options: argparse.Namespace) -> dict[str, list[Window]]:
    """Windows of each rung, interleaved."""
    command = PROXIES[name][0]
    found: dict[str, list[Window]] = {mode: [] for mode in RUNGS}
    with ExitStack() as stack:
        server, ports, processes = free_port(), {}, {}
        folder = stack.enter_context(temporary())
        text = SERVER.format(port=server, body="x" * options.body)
        stack.enter_context(running(_haproxy(text, folder), server, folder))
        for mode in RUNGS:
            port, folder = free_port(), stack.enter_context(temporary())
            ports[mode] = port
            processes[mode] = stack.enter_context(running(command(mode, port, server, folder), port, folder))
        for _ in range(options.rounds):
            for mode in RUNGS:
                found[mode].append(window(mode, processes[mode], ports[mode], options.seconds, options.connections))
    return found


@contextmanager
def temporary() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="meshinsight-user-time-") as folder:
        yield Path(folder)


def version_of(name: str) -> str:
    """What the program says its version is."""
    program = str(find_binary()) if name == "envoy" else name
    done = subprocess.run([program, PROXIES[name][1]], capture_output=True, text=True, timeout=20, check=True)
    found = re.search(r"\d+\.\d+\.\d+[^\s/]*", done.stdout + done.stderr)
    return found[0] if found else "unknown"


def result(name: str, windows: dict[str, list[Window]]) -> dict[str, Any]:
    """What each rung took, and the split of each rung but the first by all sources."""
    version = version_of(name)
    catalogue = load_catalogue(name, version)
    named, nameless = (
        {mode: histogram(entries, FunctionTables(hide_symbols=hide)) for mode, entries in windows.items()}
        for hide in (False, True)
    )
    modes = list(RUNGS)
    return {
        "version": version,
        "user_us_per_request": _rounded({mode: entry.total_ns / 1000 for mode, entry in nameless.items()}),
        "samples": {mode: sum(entry.samples for entry in entries) for mode, entries in windows.items()},
        "functions": {mode: len(entry.cpu_ns) for mode, entry in nameless.items()},
        "tcp_by_symbols": _rounded(split_by_symbols(named["tcp"], catalogue).shares),
        **{mode: _split(modes[: index + 1], named, nameless, catalogue) for index, mode in enumerate(modes) if index},
    }


def _split(
    modes: list[str], named: dict[str, UserHistogram], nameless: dict[str, UserHistogram], catalogue: Catalogue
) -> dict[str, Any]:
    splits = [
        split_by_symbols(named[modes[-1]], catalogue),
        split_by_rungs([Rung(RUNGS[mode], nameless[mode]) for mode in modes]),
        split_by_ladder([(RUNGS[mode], nameless[mode].total_ns) for mode in modes]),
    ]
    names_only = split_by_symbols(named[modes[-1]], catalogue, per_stream=PROXY_CORE)
    return {
        **{split.source: _describe(split) for split in splits},
        "symbols, work per stream as proxy_core": _rounded(names_only.shares),
        "disagreement_points": {
            f"{entry.first} − {entry.second}": _rounded(entry.points, 2) for entry in compare(splits)
        },
    }


def _describe(split: UserSplit) -> dict[str, Any]:
    resolved_ns = sum(split.cpu_ns.values())
    return {
        "us_per_request": _rounded({name: spent_ns / 1000 for name, spent_ns in split.cpu_ns.items()}),
        "shares": _rounded(split.shares),
        "parsing_of_resolved": round(split.cpu_ns.get(PARSING, 0.0) / resolved_ns, 4) if resolved_ns else None,
        "unresolved_share": round(split.unresolved_share, 4),
        "growth_us": _rounded({name: grown_ns / 1000 for name, grown_ns in split.growth_ns.items()}),
        "inferred_share": round(split.inferred_ns / split.total_ns, 4) if split.total_ns else 0.0,
    }


def _rounded(values: Mapping[str, float], digits: int = 4) -> dict[str, float]:
    return {name: round(value, digits) for name, value in values.items()}


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("proxies", nargs="*", help=f"of {', '.join(PROXIES)}; all by default")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--body", type=int, default=1024, help="bytes of an answer, up to 8192")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    if shutil.which("h2load") is None:
        raise SystemExit("h2load is not installed; it is in Debian's nghttp2-client")
    found = {}
    for name in options.proxies or PROXIES:
        try:
            found[name] = result(name, measure(name, options))
        except MeshInsightError as error:
            raise SystemExit(f"{name}: {error}") from error
        print(name, json.dumps(found[name], indent=1, ensure_ascii=False))
    if options.output:
        options.output.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
