"""Which processes to look at: process ids with a label. What is measured of them is none of this module's business."""

import os
import re
import select
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from profiler.errors import UsageError
from profiler.symbols.programs import executable


@dataclass(frozen=True)
class Target:
    """The processes of one sidecar, and what people call it."""

    label: str
    pids: tuple[int, ...]


def local_targets(pids: Iterable[int], proc: Path = Path("/proc")) -> tuple[Target, ...]:
    """One target for each process of this machine, in the order given.

    Raises:
        UsageError: there is no such process, or it is one thread of a process or of the kernel.
    """
    return tuple(_local_target(pid, proc) for pid in dict.fromkeys(pids))


def _local_target(pid: int, proc: Path) -> Target:
    try:
        # The name in it is bytes of the process's choice.
        status = (proc / str(pid) / "status").read_text(errors="replace")
    except OSError as error:
        raise UsageError(
            f"--pid {pid}: no such process here; `pgrep -a envoy` lists sidecars with their pids"
        ) from error
    fields = {"Name": "", "State": "X", **dict(re.findall(r"^(\w+):[ \t]*(.*)$", status, re.MULTILINE))}
    owner = fields.get("Tgid", "")
    if not re.fullmatch(r"[0-9]{1,9}", owner):
        raise UsageError(f"--pid {pid}: /proc does not say what it is; has it ended?")
    if int(owner) != pid:
        raise UsageError(f"--pid {pid}: this is a thread of process {owner}; use --pid {owner}")
    if fields["State"].startswith(("Z", "X")) or "VmSize" not in fields:
        raise UsageError(f"--pid {pid}: {fields['Name']} is a kernel thread or has ended; name a running proxy")
    return Target(f"pid {pid} ({executable(pid, proc).name or fields['Name']})", (pid,))


@dataclass
class Lives:
    """Waits, and notices meanwhile that processes end or that a file becomes readable.

    Process ids are held by descriptors, so one that is used again is not taken for the one it was.
    """

    running: dict[int, int] = field(default_factory=dict)
    """Descriptor by process id."""

    def wait(self, seconds: float, wake: Sequence[int] = ()) -> bool:
        """Wait so long, or until a descriptor of `wake` is readable (True) or a process ends."""
        by_descriptor = {descriptor: pid for pid, descriptor in self.running.items()}
        readable, _, _ = select.select([*by_descriptor, *wake], [], [], max(0.0, seconds))
        for descriptor in readable:
            if descriptor in by_descriptor:
                del self.running[by_descriptor[descriptor]]
        return any(descriptor in wake for descriptor in readable)


@contextmanager
def watched(targets: Iterable[Target]) -> Iterator[Lives]:
    """The lives of all processes of the targets.

    Raises:
        UsageError: one has ended already.
    """
    with ExitStack() as stack:
        lives = Lives()
        for pid in (pid for target in targets for pid in target.pids):
            try:
                descriptor = os.pidfd_open(pid)
            except ProcessLookupError as error:
                raise UsageError(f"--pid {pid}: the process has ended; name a running proxy") from error
            stack.callback(os.close, descriptor)
            lives.running[pid] = descriptor
        yield lives
