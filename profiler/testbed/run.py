"""One run of the testbed: everything it starts on this machine, and its end, however it comes.

All that belongs to a run carries its run id, so that it can be told from other runs and removed later by
`profiler.testbed.leftovers` when the run was killed outright.
"""

import atexit
import os
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from profiler.errors import MeshInsightError, ProcessError, with_note
from profiler.files.folders import ONLY_OWNER, hand_over
from profiler.host.interrupts import Interrupts
from profiler.host.netns import Namespace
from profiler.host.process import ROOT, Placement, Process, start_process, stop_all
from profiler.testbed import autogroup, leftovers
from profiler.testbed.leftovers import STATE_DIR, LeftBehindError
from profiler.testbed.locks import MEASURING, LockHeldError, Owner, lock

_LOCK_WAIT_S: Final = 1.0
_PASSABLE: Final = 0o711


class Run:
    """A run of the testbed; made by `Run.start`, ended by leaving its `with` block or by `stop`.

    Attributes: `id` (8 hexadecimal digits), `directory` (folders of configurations, logs and sockets, each for those
    who need it; every user can pass through).
    Start and spawn on the main thread.
    """

    def __init__(self, run_id: str, directory: Path, interrupts: Interrupts) -> None:
        self.id = run_id
        self.directory = directory
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
                _enter(state_dir, run_id, interrupts.raise_pending)
            except BaseException:
                interrupts.uninstall()
                raise
            run = cls(run_id, state_dir / run_id, interrupts)
            # Also for what others start meanwhile (tools, perf, compilers): whatever is alive after a kill is found.
            os.environ[leftovers.RUN_ID_VARIABLE] = run_id
            atexit.register(run.stop)
        return run

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.stop()
            return
        try:
            self.stop()
        except LeftBehindError as failure:
            with_note(error, failure)  # the first error stays the one that is raised

    def stop(self) -> None:
        """End all processes, remove namespaces, recorded files and the directory. No effect the second time.

        A first interrupt that arrives meanwhile is raised at the end. Raises LeftBehindError naming all that is left.
        """
        if self._stopped or os.getpid() != self._owner_pid:  # a forked child must not end its parent's run
            return
        with self._interrupts.held_back():
            self._stopped = True
            try:
                failures = [failure for step in (self._end_processes, self._remove_traces) if (failure := step())]
            finally:
                os.environ.pop(leftovers.RUN_ID_VARIABLE, None)
                atexit.unregister(self.stop)
                self._interrupts.uninstall()
            if failures:
                raise LeftBehindError("; ".join(failures))

    def _end_processes(self) -> str | None:
        """What could not be ended, in words."""
        try:
            stop_all(self._processes)
        except ProcessError as error:
            return str(error)
        return None

    def _remove_traces(self) -> str | None:
        """What could not be removed, in words."""
        try:
            with leftovers.registry_lock(self.directory.parent):
                leftovers.remove_traces(self.directory)
        except (MeshInsightError, OSError) as error:
            return str(error)
        return None

    def spawn(
        self,
        name: str,
        argv: Sequence[str],
        *,
        netns: Namespace | None = None,
        uid: int | None = None,
        cpu: int | Sequence[int] = (),
        env: Mapping[str, str] | None = None,
        stdout: Path | None = None,
        cwd: Path = ROOT,
    ) -> Process:
        """Start a program as part of the run; its log is `logs/<name>.log`, `env` is added to this environment.

        A name can be used again once its process has been stopped; the log is emptied then. `uid` is the group as
        well. `cpu` is the one that it is pinned to, or those that it may use: by default all. The working directory is
        the root directory, so that nothing is read from the user's: `cwd` is for programs with a configuration of the
        user's, which may name files relative to it. Raises MissingError for a program that is not there, ProcessError
        when it cannot be started.
        """
        _require_main_thread()
        self._refuse_after_stop()
        if name in {process.name for process in self._processes if process.poll() is None}:
            raise ValueError(f"a process named {name} is running")
        placement = Placement(netns=netns, uid=uid, cpus=(cpu,) if isinstance(cpu, int) else cpu)
        environment = {**os.environ, **(env or {}), leftovers.RUN_ID_VARIABLE: self.id}
        log_path = self.directory / "logs" / f"{name}.log"
        with self._interrupts.held_back():
            process = start_process(name, argv, placement, env=environment, log_path=log_path, stdout=stdout, cwd=cwd)
            self._processes = [other for other in self._processes if not other.is_stopped] + [process]
        return process

    def add_namespace(self, name: str) -> Namespace:
        """A new network namespace `mi-<id>-<name>` with its loopback device up. Raises ProcessError."""
        self._refuse_after_stop()
        namespace = Namespace(f"mi-{self.id}-{name}")
        with self._interrupts.held_back():
            namespace.create()
        return namespace

    def add_directory(self, name: str, uid: int | None = None, *, passable: bool = False) -> Path:
        """A subdirectory of the run's, which only root can look into.

        With `passable` other users can pass through to what they know by name, such as a socket. With `uid` it is that
        user's from the start: root must not write into it, see `profiler.files.folders`.
        """
        directory = self.directory / name
        directory.mkdir(mode=ONLY_OWNER)
        directory.chmod(_PASSABLE if passable else ONLY_OWNER)  # whatever the umask
        if uid is not None:
            hand_over(directory, uid)
        return directory

    def suspend_autogroup(self) -> None:
        """Have the scheduler treat all processes alike while the run lasts; see `profiler.testbed.autogroup`."""
        state_dir = self.directory.parent
        with self._interrupts.held_back(), leftovers.registry_lock(state_dir, self._interrupts.raise_pending):
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
    with ExitStack() as held:
        try:
            _make_state_dir(state_dir)
            # A child that a killed run had forked holds its lock for the moment until it executes its program.
            held.enter_context(lock(state_dir, MEASURING, _LOCK_WAIT_S))
        except LockHeldError as error:
            raise _another_is_measuring(state_dir, error.owner) from error
        except OSError as error:
            raise _cannot_write(state_dir, error) from error
        yield


def _another_is_measuring(state_dir: Path, owner: Owner | None) -> MeshInsightError:
    if owner is None:
        return MeshInsightError(
            "another process is about to measure on this machine and two at once would disturb each other; try again "
            "in a minute"
        )
    ids = [run.name for run in leftovers.run_directories(state_dir) if leftovers.read_owner(run) == owner]
    return MeshInsightError(
        f"run {', '.join(ids) or '(starting)'} (pid {owner.pid}) is measuring on this machine and two at once "
        f"would disturb each other; wait for it to end, or end it with `kill {owner.pid}`"
    )


def _enter(state_dir: Path, run_id: str, waiting: Callable[[], None]) -> None:
    directory = state_dir / run_id
    try:
        _make_state_dir(state_dir)
        leftovers.remove_leftovers(state_dir, waiting)
        with leftovers.registry_lock(state_dir, waiting):
            directory.mkdir()
            try:
                directory.chmod(0o755)
                leftovers.write_owner(directory)
                (directory / "logs").mkdir(mode=ONLY_OWNER)
            except BaseException as error:
                try:
                    leftovers.remove_traces(directory)
                except LeftBehindError as failure:
                    with_note(error, failure)
                raise
    except OSError as error:
        raise _cannot_write(state_dir, error) from error


def _make_state_dir(state_dir: Path) -> None:
    if state_dir.is_symlink():
        raise MeshInsightError(f"{state_dir} is a symbolic link; remove it, then try again")
    if not state_dir.is_dir():
        state_dir.mkdir(parents=True, exist_ok=True)
        state_dir.chmod(0o755)  # whatever the umask: the proxy's user has to pass through


def _cannot_write(state_dir: Path, error: OSError) -> MeshInsightError:
    return MeshInsightError(f"cannot write to {state_dir}: {error.strerror}; free space there or make it writable")


def _require_main_thread() -> None:
    # Signals are handled there, and a spawned process is killed by the kernel when the thread that spawned it ends.
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("runs start, and spawn their processes, on the main thread")
