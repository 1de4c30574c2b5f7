"""Loads `.bpf.c` programs through bcc and keeps account of every probe.

Programs use raw tracepoints only and never read kernel structures, so any recent kernel headers will do for compiling;
the header tree is taken from BCC_KERNEL_SOURCE, then the running kernel's own, then the tree `make setup` merges.
"""

import importlib.util
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from profiler.errors import MissingError, ProbeError

TRACEFS_PATHS: Final = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))


@dataclass
class ProbeStatus:
    """One probe of one program: did it attach, how often was it hit, how many of its events were dropped."""

    program: str
    name: str
    attached: bool = False
    hits: int = 0
    dropped: int = 0
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def program_path(name: str) -> Path:
    """The source file of program `name`."""
    return Path(__file__).with_name(f"{name}.bpf.c")


def program_text(name: str, defines: Mapping[str, int]) -> str:
    """The program as it is loaded: its defines, then its source. This is what `--print-bpf` shows."""
    head = "".join(f"#define {key} {value}\n" for key, value in sorted(defines.items()))
    return f"{head}{program_path(name).read_text()}"


def kernel_headers() -> Path:
    """Where bcc finds kernel headers.

    Raises:
        MissingError: there are none.
    """
    candidates = [Path("/lib/modules") / platform.release() / "build", Path(sys.prefix) / "kernel-headers"]
    if named := os.environ.get("BCC_KERNEL_SOURCE"):
        candidates.insert(0, Path(named))
    for candidate in candidates:
        if (candidate / "include" / "linux").is_dir():
            return candidate
    raise MissingError(
        "kernel headers for bcc not found; run `make setup`, or install linux-headers and set BCC_KERNEL_SOURCE"
    )


def require_bcc() -> None:
    """Check everything that loading a program needs.

    Raises:
        MissingError: not root, no tracefs, no bcc, another package named bcc, or no kernel headers.
    """
    if sys.platform != "linux":
        raise MissingError("kernel probes need Linux; `show`, `report` and `predict` work here")
    if os.geteuid() != 0:
        raise MissingError("kernel probes need root; run again with sudo")
    if not any((path / "events").is_dir() for path in TRACEFS_PATHS):
        raise MissingError("tracefs is not mounted; run `mount -t tracefs nodev /sys/kernel/tracing`")
    if importlib.util.find_spec("bcc") is None:
        raise MissingError("bcc is not importable; install Debian's python3-bpfcc and run `make setup`")
    import bcc

    if not hasattr(bcc, "BPF"):
        raise MissingError(
            "the installed `bcc` is the lattice package from PyPI, not the BPF compiler collection; "
            "run `pip uninstall bcc` and `make setup`"
        )
    kernel_headers()


def load_program(name: str, defines: Mapping[str, int | str], source: Path | None = None) -> Any:
    """Compile and load `source`, by default profiler/probes/`name`.bpf.c; nothing is attached yet.

    The result is a `bcc.BPF` (which is not annotated upstream, hence Any).

    Raises:
        MissingError: see `require_bcc`.
        ProbeError: the kernel or the compiler refused the program.
    """
    require_bcc()
    from bcc import BPF

    os.environ["BCC_KERNEL_SOURCE"] = str(kernel_headers())
    flags = [f"-D{key}={value}" for key, value in defines.items()]
    try:
        return BPF(src_file=str(source or program_path(name)).encode(), cflags=[*flags, "-Wno-macro-redefined"])
    except Exception as error:  # bcc raises bare Exception
        raise ProbeError(
            f"BPF program {name} could not be loaded: {error}; `meshinsight doctor` may tell why"
        ) from error


class RawTracepoints:
    """The raw tracepoint probes of one loaded program: attached and detached together.

    Function names in the program are `on_<tracepoint>`, or all are `function`.
    """

    def __init__(self, program: str, bpf: Any, tracepoints: tuple[str, ...], function: str | None = None) -> None:
        self.bpf = bpf
        self._function = function
        self.statuses = {name: ProbeStatus(program, name) for name in tracepoints}
        self._attached: list[str] = []

    def attach(self) -> None:
        """Attach all probes.

        Raises:
            ProbeError: one could not be attached; those attached before it are detached again.
        """
        for name, status in self.statuses.items():
            try:
                self.bpf.attach_raw_tracepoint(tp=name.encode(), fn_name=(self._function or f"on_{name}").encode())
            except Exception as error:  # bcc raises bare Exception
                status.error = str(error)
                self.detach()
                raise ProbeError(f"raw tracepoint {name} of {status.program} did not attach: {error}") from error
            status.attached = True
            self._attached.append(name)

    def detach(self) -> None:
        """Detach what is attached. Does nothing the second time."""
        while self._attached:
            self.bpf.detach_raw_tracepoint(tp=self._attached.pop().encode())
