"""HAProxy as the echo server for HTTP: it reads a request to its end and answers with a chosen number of bytes.

Chosen over nginx, which answers before it has read a large body, so that the request's size would not be in the
exchange; with one request in flight the two are equally fast (see docs/explanation/method.md).
"""

from pathlib import Path
from typing import Final

from profiler.host.programs import first_line, require_program
from profiler.vocabulary.protocols import HTTP1, HTTP2
from profiler.workload.base import Answers

_CONFIGURATION: Final = """\
global
  nbthread 1
  log stderr format raw daemon emerg
  tune.bufsize {buffer_bytes}
  tune.maxrewrite 8192
  tune.http.maxhdr 1024
  tune.h2.initial-window-size 16777216
defaults
  mode http
  timeout client 1h
  timeout server 1h
  timeout connect 5s
  timeout http-keep-alive 1h
frontend echo
{binds}
  http-request wait-for-body time 30s
{answers}
"""
_ANSWER: Final = (
    "  http-request return status 200 content-type application/octet-stream file {file} if {{ path /{size} }}"
)
_PORTS: Final = {HTTP1: 8080, HTTP2: 8081}
_PROTOCOL: Final = {HTTP1: "", HTTP2: " proto h2"}


class HaproxyServer:
    """Answers `/<n>` with n bytes, for every n it was set up for, over TCP and Unix domain sockets."""

    name = "haproxy"
    applications: tuple[str, ...] = (HTTP1, HTTP2)
    unix_sockets = True

    def version(self) -> str:
        return first_line(require_program("haproxy", "haproxy"), "-v").split()[2]

    def port(self, application: str) -> int:
        return _PORTS[application]

    def socket(self, application: str, directory: Path) -> Path:
        return directory / f"{application}.sock"

    def argv(self, directory: Path, answers: Answers) -> list[str]:
        program = require_program("haproxy", "haproxy")
        sizes = sorted({size for size, messages in answers.sizes if messages == 1})
        lines = []
        for size in sizes:
            file = directory / f"response-{size}"
            file.write_bytes(b"r" * size)
            lines.append(_ANSWER.format(file=file, size=size))
        binds = [
            f"  bind {where}{_PROTOCOL[application]}"
            for application in self.applications
            for where in (f":{_PORTS[application]}", f"unix@{self.socket(application, directory)} mode 666")
        ]
        buffer_bytes = max(32_768, *sizes, answers.largest_request_bytes) + 32_768
        text = _CONFIGURATION.format(buffer_bytes=buffer_bytes, binds="\n".join(binds), answers="\n".join(lines))
        configuration = directory / "haproxy.cfg"
        configuration.write_text(text)
        return [program, "-db", "-f", str(configuration)]
