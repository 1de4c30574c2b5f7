"""nghttpd as the echo server for gRPC: it reads a call to its end, answers with framed messages and ends with trailers.

The messages lie ready in files; nothing is encoded for a call, so that the server takes as little as possible of what
is measured.
"""

from pathlib import Path
from typing import Final

from profiler.host.programs import first_line, require_program
from profiler.vocabulary.addresses import Address
from profiler.vocabulary.load import Load
from profiler.vocabulary.protocols import GRPC
from profiler.workload.base import Answers, Target
from profiler.workload.generators.connections import grpc_frame

_PORT: Final = 8082
_WINDOW_BITS: Final = "30"


class NghttpdServer:
    """Answers gRPC calls to `/meshinsight.Echo/<n>.grpc` (unary) and `…/<n>x<m>.grpc` (a stream of m messages)."""

    name = "nghttpd"
    applications: tuple[str, ...] = (GRPC,)
    unix_sockets = False

    def version(self) -> str:
        return first_line(require_program("nghttpd", "nghttp2-server"), "--version").removeprefix("nghttpd ")

    def port(self, application: str) -> int:
        return _PORT

    def socket(self, application: str, directory: Path) -> Path:
        raise NotImplementedError("nghttpd listens on TCP only")

    def argv(self, directory: Path, answers: Answers) -> list[str]:
        program = require_program("nghttpd", "nghttp2-server")
        for size, messages in answers.sizes:
            load = Load(1, None, 0, size, messages=messages)
            file = directory / Target(Address(), GRPC).path(load).lstrip("/")
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(grpc_frame(b"r" * size) * messages)
        types = directory / "types"
        types.write_text("application/grpc grpc\n")
        return [
            *(program, "--no-tls", f"--htdocs={directory}", f"--mime-types-file={types}", "--workers=1"),
            *("--trailer=grpc-status: 0", f"--window-bits={_WINDOW_BITS}", f"--connection-window-bits={_WINDOW_BITS}"),
            str(_PORT),
        ]
