"""What a run leaves on the machine, and its removal when the run itself no longer can.

A run is known by its directory, named by its run id, below the state directory; the directory names the owner (pid and
start time). From the id follow the rest: namespaces `mi-<id>-…`, processes that have MESHINSIGHT_RUN_ID=<id> in their
environment or live in one of these namespaces, and files that the run recorded, which carry the id in their names.
Nothing is ever looked for by any other rule, so nothing else can be hit. BPF programs and perf events need no removal:
the kernel drops them with the process that holds them.
"""

import os
import re
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from profiler.errors import MeshInsightError, MissingError, ProcessError
from profiler.files.folders import remove_entry
from profiler.files.json_text import decode_json, json_line
from profiler.host.netns import Namespace, namespace_names
from profiler.testbed import autogroup
from profiler.testbed.locks import REGISTRY, Owner, lock

STATE_DIR: Final = Path("/run/meshinsight")
RUN_ID_VARIABLE: Final = "MESHINSIGHT_RUN_ID"
_OWNER_FILE: Final = "owner.json"
_PATHS_FILE: Final = "paths"
_RUN_ID: Final = re.compile(r"[0-9a-f]{8}")
_SETTLE_S: Final = 0.2
_KILL_ROUNDS: Final = 10
_KILL_WAIT_MS: Final = 2000
_REGISTRY_WAIT_S: Final = 30.0


class LeftBehindError(MeshInsightError):
    """Something of a run could not be removed."""


@dataclass(frozen=True)
class Leftover:
    """What is there of one run whose owner is dead."""

    run_id: str
    directory: Path
    processes: tuple[int, ...]
    namespaces: tuple[str, ...]
    files: tuple[Path, ...]


def find_leftovers(state_dir: Path = STATE_DIR) -> list[Leftover]:
    """Runs below `state_dir` whose owner is dead, by run id. Without root, processes of other users are not seen."""
    if not state_dir.is_dir():
        return []
    with registry_lock(state_dir):
        return _find(state_dir)


def remove_leftovers(state_dir: Path = STATE_DIR, waiting: Callable[[], None] = lambda: None) -> list[Leftover]:
    """Remove everything of the runs whose owner is dead and return what was found of them.

    `waiting` is as for `locks.lock`. Raises MissingError without root, and LeftBehindError naming all that could not be
    removed, after all else has been.
    """
    require_root()
    if not state_dir.is_dir():
        return []
    with registry_lock(state_dir, waiting):
        if not _find(state_dir):
            return []
        # What the owner had forked just before it was killed is known as the run's only once it executes its program.
        time.sleep(_SETTLE_S)
        leftovers = _find(state_dir)
        failures = []
        for leftover in leftovers:
            try:
                remove_traces(leftover.directory)
            except LeftBehindError as error:
                failures.append(str(error))
        if failures:
            raise LeftBehindError("; ".join(failures))
        return leftovers


def require_root() -> None:
    """Raise MissingError unless this is root: namespaces, capture rules and probes need it."""
    if os.geteuid() != 0:
        raise MissingError("not root: the testbed makes network namespaces; run the command again with sudo")


@contextmanager
def registry_lock(state_dir: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the state directory while a run enters or leaves it, so that nobody sees one half there.

    Without root nothing is held: other users can look, but not lock. `waiting` is as for `locks.lock`.
    Raises MeshInsightError when another process holds it too long, OSError when it cannot be made.
    """
    try:
        held = ExitStack()
        held.enter_context(lock(state_dir, REGISTRY, _REGISTRY_WAIT_S, waiting))
    except PermissionError:
        if os.geteuid() == 0:
            raise
    with held:
        yield


def run_directories(state_dir: Path) -> list[Path]:
    """Directories of runs, living and dead. One of a fitting name is a run's if it names an owner or is empty."""
    return [
        path
        for path in sorted(state_dir.iterdir())
        if _RUN_ID.fullmatch(path.name) and not path.is_symlink() and path.is_dir() and _is_run_directory(path)
    ]


def write_owner(directory: Path) -> None:
    """Name this process as the owner of a new run's directory."""
    owner = Owner.this_process()
    if owner is None:
        raise MissingError("/proc does not show this process; mount it: mount -t proc proc /proc")
    file = directory / _OWNER_FILE
    file.write_text(owner.text(), encoding="utf-8")
    file.chmod(0o644)  # whatever the umask: without root, cleanup --dry-run reads it


def read_owner(directory: Path) -> Owner | None:
    """Owner of a run's directory, None when it was killed before it had written that."""
    try:
        return Owner.parse((directory / _OWNER_FILE).read_bytes())
    except OSError:
        return None


def record_path(directory: Path, path: Path) -> None:
    """Note a file or folder outside of the run's directory, to be removed with the run.

    Raises ValueError when its name lacks the run id: that is what keeps a damaged record from hitting anything else.
    """
    if directory.name not in path.name:
        raise ValueError(f"{path.name} lacks the run id {directory.name}")
    with (directory / _PATHS_FILE).open("a", encoding="utf-8") as file:
        file.write(json_line(str(path.absolute())))


def run_processes(run_id: str) -> list[int]:
    """Pids of the run's processes, however far they have strayed from their parents. Never this process."""
    variable = f"{RUN_ID_VARIABLE}={run_id}".encode()
    namespaces = _namespace_inodes(run_id)
    pids = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())
    return sorted(pid for pid in pids if pid != os.getpid() and _belongs(pid, variable, namespaces))


def remove_traces(directory: Path) -> None:
    """Remove everything of the run with this directory: processes, namespaces, recorded files, then the directory.

    The directory goes last and only when the rest is gone, so that what fails now is found again later. Raises
    LeftBehindError naming all that could not be removed. The caller holds the registry lock.
    """
    run_id = directory.name
    failures: list[str] = []

    def attempt(step: Callable[[], None]) -> None:
        try:
            step()
        except (MeshInsightError, OSError) as error:
            failures.append(str(error))

    attempt(partial(_kill_processes, run_id))
    for name in namespace_names(f"mi-{run_id}-"):
        attempt(Namespace(name).delete)
    attempt(partial(_resume_autogroup, directory))
    for path in _recorded_paths(directory):
        attempt(partial(remove_entry, path))
    if not failures:
        attempt(partial(remove_entry, directory))
    if failures:
        raise LeftBehindError(f"run {run_id} left something behind, try `meshinsight cleanup`: {'; '.join(failures)}")


def _resume_autogroup(directory: Path) -> None:
    if directory.parent.is_dir():
        autogroup.resume(directory, [other for other in run_directories(directory.parent) if other != directory])


def _find(state_dir: Path) -> list[Leftover]:
    leftovers = []
    for directory in run_directories(state_dir):
        owner = read_owner(directory)
        if owner is not None and owner.is_alive():
            continue
        leftovers.append(
            Leftover(
                run_id=directory.name,
                directory=directory,
                processes=tuple(run_processes(directory.name)),
                namespaces=tuple(namespace_names(f"mi-{directory.name}-")),
                files=tuple(path for path in _recorded_paths(directory) if path.exists()),
            )
        )
    return leftovers


def _is_run_directory(path: Path) -> bool:
    return (path / _OWNER_FILE).is_file() or next(path.iterdir(), None) is None


def _recorded_paths(directory: Path) -> list[Path]:
    try:
        lines = (directory / _PATHS_FILE).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    paths = []
    for line in lines:
        with suppress(ValueError, TypeError):  # a line cut short by a full disk or a kill
            paths.append(Path(decode_json(line)))
    return [path for path in paths if path.is_absolute() and directory.name in path.name]


def _namespace_inodes(run_id: str) -> set[tuple[int, int]]:
    inodes = set()
    for name in namespace_names(f"mi-{run_id}-"):
        with suppress(OSError):
            status = Namespace(name).path.stat()
            inodes.add((status.st_dev, status.st_ino))
    return inodes


def _belongs(pid: int, variable: bytes, namespaces: set[tuple[int, int]]) -> bool:
    # The namespace counts too since a program may overwrite its environment (nginx does, to name its workers).
    with suppress(OSError):
        if variable in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            return True
    with suppress(OSError):
        status = Path(f"/proc/{pid}/ns/net").stat()
        return (status.st_dev, status.st_ino) in namespaces
    return False


def _kill_processes(run_id: str) -> None:
    for _ in range(_KILL_ROUNDS):  # again and again: one may have forked while it was looked at
        pids = run_processes(run_id)
        if not pids:
            return
        for pid in pids:
            _kill(pid, run_id)
    raise ProcessError(f"processes {', '.join(map(str, run_processes(run_id)))} do not react to SIGKILL")


def _kill(pid: int, run_id: str) -> None:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        # Looked at again with the pidfd in hand: the number may have passed to another process since it was listed.
        if _belongs(pid, f"{RUN_ID_VARIABLE}={run_id}".encode(), _namespace_inodes(run_id)):
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            watch = select.poll()
            watch.register(pidfd, select.POLLIN)
            watch.poll(_KILL_WAIT_MS)
    finally:
        os.close(pidfd)
