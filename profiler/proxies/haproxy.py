"""HAProxy as a sidecar: it asks the kernel itself where a captured connection was bound for."""

import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

from profiler.errors import UsageError
from profiler.files.folders import write_private
from profiler.host.programs import first_line, require_program
from profiler.proxies.base import ProxyVersion, SidecarConfig
from profiler.proxies.config_tools import ChosenProgram, check_by_program, digest, refuse_filters, render_template
from profiler.vocabulary.addresses import Certificates
from profiler.vocabulary.protocols import GRPC, HTTP2, PROTOCOLS

_TEMPLATE: Final = "haproxy.cfg.j2"
_CONFIGURATION: Final = "haproxy.cfg"
_WORKERS: Final = "workers.cfg"
_IDENTITY: Final = "identity.pem"
_ALERT: Final = re.compile(r"^\[ALERT\]\s+\(\d+\) : (?:config : )?(?P<said>.*)$", re.MULTILINE)


class Haproxy(ChosenProgram):
    """HAProxy, one thread unless told otherwise."""

    name = "haproxy"
    protocols: tuple[str, ...] = PROTOCOLS
    tls_protocols: tuple[str, ...] = PROTOCOLS
    unix_sockets = True
    original_destination = True
    by_destination = False
    tunnels = False
    most_workers = 64

    def identify(self) -> ProxyVersion:
        binary = self.executable()
        if "-O0" in _build_options(binary):
            raise UsageError(f"{binary} was compiled without optimisation; its costs mean nothing, use a release build")
        # "HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/"
        name, _, version, *_ = first_line(str(binary), "-v").split()
        if "proxy" not in name.lower():
            raise ValueError(f"{binary} calls itself {name}")
        return ProxyVersion(version, "release", digest(binary))

    def installed(self) -> Path:
        return Path(require_program("haproxy", "haproxy")).resolve()

    def render(self, config: SidecarConfig, directory: Path) -> str:
        if config.bootstrap is not None:
            return config.bootstrap
        refuse_filters("HAProxy", config)
        return render_template(
            _TEMPLATE,
            protocol=config.protocol,
            h2=config.protocol in (HTTP2, GRPC),
            listeners=config.listeners,
            workers=config.workers,
            certificates=config.certificates,
            identity=directory / _IDENTITY,
        )

    def argv(self, config: SidecarConfig, directory: Path) -> list[str]:
        # -db: one process in the foreground.
        return [self.runnable(), "-db", *self._write(config, directory)]

    def validate(self, config: SidecarConfig, directory: Path) -> None:
        command = [self.runnable(), "-c", *self._write(config, directory)]
        check_by_program("HAProxy", command, _ALERT, directory)

    def ready(self, directory: Path) -> bool:
        """It listens only once it has taken its configuration."""
        return True

    def _write(self, config: SidecarConfig, directory: Path) -> list[str]:
        """Write what the sidecar reads and return the options that name its configuration files."""
        file = directory / _CONFIGURATION
        write_private(file, self.render(config, directory))
        if config.bootstrap is not None:
            # The last nbthread holds: the user's configuration runs with the workers that the profile says, too.
            write_private(directory / _WORKERS, f"global\n    nbthread {config.workers}\n")
            return ["-f", str(file), "-f", str(directory / _WORKERS)]
        if config.certificates is not None:
            _write_identity(config.certificates, directory / _IDENTITY)
        return ["-f", str(file)]


PROXY: Final = Haproxy()


def _write_identity(certificates: Certificates, file: Path) -> None:
    """Certificate chain and key in one file, as HAProxy wants them."""
    write_private(file, certificates.chain.read_bytes().rstrip() + b"\n" + certificates.key.read_bytes())


@cache
def _build_options(binary: Path) -> list[str]:
    run = subprocess.run([str(binary), "-vv"], capture_output=True, text=True, timeout=20, check=True)
    return run.stdout.split()
