"""One run of the testbed: everything it starts on this machine, and its end, however it comes.

All that belongs to a run carries its run id, so that it can be told from other runs and removed later by
`profiler.testbed.leftovers` when the run was killed outright.
"""

import atexit
import fcntl
import os
import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from profiler.errors import MeshInsightError
from profiler.interrupts import Interrupts
from profiler.testbed import autogroup, leftovers
from profiler.testbed.leftovers import STATE_DIR, Leftover
from profiler.testbed.netns import Namespace
from profiler.testbed.process import Placement, Process, start_process, stop_all

_MEASURING_LOCK: Final = "measuring.lock"
_LOCK_WAIT_S: Final = 1.0


class Run:
    """A run of the testbed; made by `Run.start`, ended by leaving its `with` block or by `stop`.

    Attributes: `id` (8 hexadecimal digits), `directory` (configurations, logs, sockets; readable by every user), and
    `removed_leftovers` (dead runs that were removed at the start). Start and spawn on the main thread.
    """

    def __init__(self, run_id: str, directory: Path, interrupts: Interrupts) -> None:
        self.id = run_id
        self.directory = directory
        self.removed_leftovers: list[Leftover] = []
        self._interrupts = interrupts
        self._owner_pid = os.getpid()
        self._processes: list[Process] = []
        self._stopped = False

    @classmethod
    def start(cls, state_dir: Path = STATE_DIR) -> Self:
        """Enter a new run below `state_dir`, after removing what dead runs have left there.

        From here on the first Ctrl-C, SIGTERM or SIGHUP raises `Interrupted`; further ones change nothing, so that what
        follows (a partial result, the end of the run) is not cut short. The run is stopped at the latest when the
        interpreter ends. Raises MissingError without root, MeshInsightError when the directory cannot be written.
        """
        leftovers.require_root()
        _require_main_thread()
        run_id = secrets.token_hex(4)
        interrupts = Interrupts()
        with interrupts.held_back():
            interrupts.install()
            try:
                removed = _enter(state_dir, run_id)
            except BaseException:
                interrupts.uninstall()
                raise
            run = cls(run_id, state_dir / run_id, interrupts)
            run.removed_leftovers = removed
            # Also for what others start meanwhile (tools, perf, compilers): whatever is alive after a kill is found.
            os.environ[leftovers.RUN_ID_VARIABLE] = run_id
            atexit.register(run.stop)
        return run

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End all processes, remove namespaces, recorded files and the directory. No effect the second time.

        A first interrupt that arrives meanwhile is raised at the end. Raises MeshInsightError naming what is left.
        """
        if self._stopped or os.getpid() != self._owner_pid:  # a forked child must not end its parent's run
            return
        with self._interrupts.held_back():
            self._stopped = True
            try:
                stop_all(self._processes)
            finally:
                try:
                    with leftovers.registry_lock(self.directory.parent):
                        leftovers.remove_traces(self.directory)
                finally:
                    os.environ.pop(leftovers.RUN_ID_VARIABLE, None)
                    atexit.unregister(self.stop)
                    self._interrupts.uninstall()

    def spawn(
        self,
        name: str,
        argv: Sequence[str],
        *,
        netns: Namespace | None = None,
        uid: int | None = None,
        cpu: int | None = None,
        sched_idle: bool = False,
        env: Mapping[str, str] | None = None,
        stdout: Path | None = None,
    ) -> Process:
        """Start a program as part of the run; its log is `logs/<name>.log`, `env` is added to this environment.

        A name can be used again once its process has been stopped; the log begins anew then. `uid` is the group as
        well. Raises MissingError for a program that is not there, ProcessError when it cannot be started.
        """
        _require_main_thread()
        self._refuse_after_stop()
        if name in {process.name for process in self._processes if process.poll() is None}:
            raise ValueError(f"a process named {name} is running")
        placement = Placement(netns=netns, uid=uid, cpu=cpu, sched_idle=sched_idle)
        environment = {**os.environ, **(env or {}), leftovers.RUN_ID_VARIABLE: self.id}
        log_path = self.directory / "logs" / f"{name}.log"
        with self._interrupts.held_back():
            process = start_process(name, argv, placement, env=environment, log_path=log_path, stdout=stdout)
            self._processes = [other for other in self._processes if not other.is_stopped] + [process]
        return process

    def add_namespace(self, name: str) -> Namespace:
        """A new network namespace `mi-<id>-<name>` with its loopback device up. Raises ProcessError."""
        self._refuse_after_stop()
        namespace = Namespace(f"mi-{self.id}-{name}")
        with self._interrupts.held_back():
            namespace.create()
        return namespace

    def add_directory(self, name: str, uid: int | None = None) -> Path:
        """A subdirectory of the run's, owned by `uid` so that a program of that user can make its socket there."""
        directory = self.directory / name
        directory.mkdir(mode=0o755)
        if uid is not None:
            os.chown(directory, uid, uid)
        return directory

    def suspend_autogroup(self) -> None:
        """Have the scheduler treat all processes alike while the run lasts; see `profiler.testbed.autogroup`."""
        state_dir = self.directory.parent
        with self._interrupts.held_back(), leftovers.registry_lock(state_dir):
            others = [other for other in leftovers.run_directories(state_dir) if other != self.directory]
            autogroup.suspend(self.directory, others)

    def record_path(self, path: Path) -> None:
        """Have a file outside of the run's directory removed with the run, should it still be there at the end.

        Its name must hold the run id (ValueError). Raises MeshInsightError when that cannot be noted.
        """
        try:
            leftovers.record_path(self.directory, path)
        except OSError as error:
            raise MeshInsightError(f"cannot note {path} in {self.directory}: {error.strerror}") from error

    def _refuse_after_stop(self) -> None:
        if self._stopped:
            raise RuntimeError(f"run {self.id} has been stopped")


@contextmanager
def measuring_lock(state_dir: Path = STATE_DIR) -> Iterator[None]:
    """Hold this while measuring: two runs at once would measure each other.

    Raises MeshInsightError naming the run that holds it. A killed run holds nothing.
    """
    leftovers.require_root()
    try:
        _make_state_dir(state_dir)
        descriptor = os.open(state_dir / _MEASURING_LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise _cannot_write(state_dir, error) from error
    try:
        try:
            _lock_soon(descriptor)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        except BlockingIOError as error:
            raise _another_is_measuring(state_dir, os.pread(descriptor, 32, 0)) from error
        except OSError as error:
            raise _cannot_write(state_dir, error) from error
        yield
    finally:
        os.close(descriptor)


def _lock_soon(descriptor: int) -> None:
    # A child that a killed run had forked holds its lock too, for the moment until it executes its program.
    deadline_s = time.monotonic() + _LOCK_WAIT_S
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline_s:
                raise
        time.sleep(0.02)


def _another_is_measuring(state_dir: Path, holder: bytes) -> MeshInsightError:
    pid = int(holder) if holder.isdigit() else None
    ids = []
    for directory in leftovers.run_directories(state_dir):
        owner = leftovers.read_owner(directory)
        if owner is not None and owner.pid == pid:
            ids.append(directory.name)
    return MeshInsightError(
        f"run {', '.join(ids) or '(starting)'} (pid {pid or 'unknown'}) is measuring on this machine and two at once "
        f"would disturb each other; wait for it to end, or end it with `kill {pid or 'PID'}`"
    )


def _enter(state_dir: Path, run_id: str) -> list[Leftover]:
    directory = state_dir / run_id
    try:
        _make_state_dir(state_dir)
        removed = leftovers.remove_leftovers(state_dir)
        with leftovers.registry_lock(state_dir):
            directory.mkdir()
            try:
                directory.chmod(0o755)
                leftovers.write_owner(directory)
                (directory / "logs").mkdir(mode=0o755)
            except BaseException:
                leftovers.remove_traces(directory)
                raise
    except OSError as error:
        raise _cannot_write(state_dir, error) from error
    return removed


def _make_state_dir(state_dir: Path) -> None:
    if not state_dir.is_dir():
        state_dir.mkdir(parents=True, exist_ok=True)
        state_dir.chmod(0o755)  # whatever the umask: the proxy's user has to pass through


def _cannot_write(state_dir: Path, error: OSError) -> MeshInsightError:
    return MeshInsightError(f"cannot write to {state_dir}: {error.strerror}; free space there or make it writable")


def _require_main_thread() -> None:
    # Signals are handled there, and a spawned process is killed by the kernel when the thread that spawned it ends.
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("runs start, and spawn their processes, on the main thread")
