"""HAProxy as the echo server: it reads a request to its end and answers with a chosen number of bytes.

Chosen over nginx, which answers before it has read a large body, so that the request's size would not be in the
exchange; with one request in flight the two are equally fast (see docs/method.md).
"""

from pathlib import Path
from typing import Final

from profiler.workload.programs import first_line, require_program

_CONFIGURATION: Final = """\
global
  nbthread 1
  log stderr format raw daemon emerg
  tune.bufsize {buffer_bytes}
  tune.maxrewrite 1024
defaults
  mode http
  timeout client 1h
  timeout server 1h
  timeout connect 5s
  timeout http-keep-alive 1h
frontend echo
  bind :{port}
  http-request wait-for-body time 30s
{answers}
"""
_ANSWER: Final = (
    "  http-request return status 200 content-type application/octet-stream file {file} if {{ path /{size} }}"
)


class HaproxyServer:
    """Answers `/<n>` with n bytes, for every n it was set up for."""

    name = "haproxy"
    port = 8080

    def version(self) -> str:
        return first_line(require_program("haproxy", "haproxy"), "-v").split()[2]

    def argv(self, directory: Path, response_bytes: tuple[int, ...], largest_request_bytes: int) -> list[str]:
        program = require_program("haproxy", "haproxy")
        answers = []
        for size in response_bytes:
            file = directory / f"response-{size}"
            file.write_bytes(b"r" * size)
            answers.append(_ANSWER.format(file=file, size=size))
        buffer_bytes = max(16_384, *response_bytes, largest_request_bytes) + 8_192
        configuration = directory / "haproxy.cfg"
        configuration.write_text(
            _CONFIGURATION.format(buffer_bytes=buffer_bytes, port=self.port, answers="\n".join(answers))
        )
        return [program, "-db", "-f", str(configuration)]
