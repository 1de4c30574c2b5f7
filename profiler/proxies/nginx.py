"""nginx as a sidecar: it cannot look up where a captured connection was bound for, so it is told.

Its only HTTP/2 towards upstreams is gRPC's, one request at a time on each connection.
"""

import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

from profiler.errors import MissingError, UsageError
from profiler.files.folders import write_private
from profiler.host.programs import first_line, require_program
from profiler.proxies.base import ProxyVersion, SidecarConfig
from profiler.proxies.config_tools import ChosenProgram, check_by_program, digest, refuse_filters, render_template
from profiler.vocabulary.addresses import SERVER_NAME
from profiler.vocabulary.protocols import GRPC, HTTP1, TCP

STREAM_MODULE: Final = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
"""What makes a TCP proxy of Debian's nginx."""

_TEMPLATE: Final = "nginx.conf.j2"
_CONFIGURATION: Final = "nginx.conf"
_CONNECTIONS: Final = 16_384
_ENDLESS: Final = 2**31 - 1
_COMPLAINT: Final = re.compile(r"\[(?:emerg|alert|crit)\] (?:\d+#\d+: )?(?P<said>.*)")


class Nginx(ChosenProgram):
    """nginx as a single process, without a master."""

    name = "nginx"
    protocols: tuple[str, ...] = (TCP, HTTP1, GRPC)
    tls_protocols: tuple[str, ...] = (TCP, HTTP1, GRPC)
    unix_sockets = True
    original_destination = False
    by_destination = False
    tunnels = False
    most_workers = 1

    def identify(self) -> ProxyVersion:
        binary = self.executable()
        if re.search(r"-O0\b", _build_options(binary)):
            raise UsageError(f"{binary} was compiled without optimisation; its costs mean nothing, use a release build")
        # "nginx version: nginx/1.22.1", perhaps with "(Ubuntu)" behind it
        version = first_line(str(binary), "-v").split("nginx/", 1)[1].split()[0]
        return ProxyVersion(version, "release", digest(binary))

    def installed(self) -> Path:
        return Path(require_program("nginx", "nginx")).resolve()

    def render(self, config: SidecarConfig, directory: Path) -> str:
        if config.bootstrap is not None:
            return config.bootstrap
        refuse_filters("nginx", config)
        return render_template(
            _TEMPLATE,
            protocol=config.protocol,
            listeners=config.listeners,
            certificates=config.certificates,
            directory=directory,
            stream_module=STREAM_MODULE,
            connections=_CONNECTIONS,
            endless=_ENDLESS,
            server_name=SERVER_NAME,
        )

    def argv(self, config: SidecarConfig, directory: Path) -> list[str]:
        # Without a master, nginx does not raise its own limit of open files.
        import resource  # not on every system on which plans are made

        files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        limit = "unlimited" if files == resource.RLIM_INFINITY else str(files)
        return [
            *(require_program("prlimit", "util-linux"), f"--nofile={limit}:{limit}"),
            *(self.runnable(), *self._write(config, directory)),
        ]

    def validate(self, config: SidecarConfig, directory: Path) -> None:
        command = [self.runnable(), "-t", *self._write(config, directory)]
        check_by_program("nginx", command, _COMPLAINT, directory)

    def ready(self, directory: Path) -> bool:
        """It listens only once it has taken its configuration."""
        return True

    def _write(self, config: SidecarConfig, directory: Path) -> list[str]:
        """Write the configuration and return the options that name it.

        Raises:
            MissingError: the module for TCP is not installed.
        """
        if config.protocol == TCP and config.bootstrap is None and not STREAM_MODULE.exists():
            raise MissingError(
                "nginx's stream module is not installed; run `make setup` or `apt-get install libnginx-mod-stream`"
            )
        text = self.render(config, directory)
        file = directory / _CONFIGURATION
        write_private(file, text)
        options = ["-c", str(file), "-p", f"{directory}/", "-e", "stderr"]
        foreground = _missing_directives(text)
        return [*options, "-g", foreground] if foreground else options


PROXY: Final = Nginx()


def _missing_directives(text: str) -> str:
    """What makes nginx one process in the foreground, as far as the text does not say it: twice is an error."""
    said = {name for name in ("daemon", "master_process") if re.search(rf"^\s*{name}\s", text, re.MULTILINE)}
    return " ".join(f"{name} off;" for name in ("daemon", "master_process") if name not in said)


@cache
def _build_options(binary: Path) -> str:
    run = subprocess.run([str(binary), "-V"], capture_output=True, text=True, timeout=20, check=True)
    return run.stderr
