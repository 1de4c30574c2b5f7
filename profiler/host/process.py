"""One supervised process of a run: started in its place, watched, and stopped with its children.

The start goes through util-linux programs that replace themselves (nsenter, setpriv, taskset, chrt), so the pid is the
final program's and no Python code runs between fork and exec of a parent that may have threads. Every process leads its
own process group (Ctrl-C at the terminal does not reach it, and the group can be killed as one), but stays in the
session of the run: with CONFIG_SCHED_AUTOGROUP each session is a scheduling group of its own, and a SCHED_IDLE process
alone in its session gets half a CPU that a busy proxy of another session wants (tried: 50 % against 0.4 %).
"""

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from profiler.errors import ProcessError
from profiler.host.accounting import run_time_ns
from profiler.host.inherited import descriptors_in
from profiler.host.netns import Namespace
from profiler.host.programs import find_program, program_path
from profiler.host.search_path import absolute_entries
from profiler.host.waiting import wait_until

ROOT: Final = Path("/")
_LAUNCHERS: Final = ("nsenter", "setpriv", "taskset", "chrt")
_LAUNCH_WAIT_S: Final = 5.0
_KILL_WAIT_S: Final = 5.0
_LOG_TAIL_BYTES: Final = 4096
_LOG_TAIL_LINES: Final = 5
_ARGUMENTS_START: Final = 45
"""Of the fields of /proc/PID/stat after the name: where the arguments begin in memory; the next is where they end."""


@dataclass(frozen=True)
class Placement:
    """Where a process runs: network namespace, user (also its group) and CPUs (empty: all)."""

    netns: Namespace | None = None
    uid: int | None = None
    cpus: Sequence[int] = ()

    def launcher_argv(self) -> list[str]:
        """The programs that put the next one in place, each replacing itself by the next."""
        argv: list[str] = []
        if self.netns is not None:
            argv += ["nsenter", f"--net={self.netns.path}"]
        # The kernel clears the parent-death signal when the user changes: setpriv sets it after that.
        argv += ["setpriv", "--pdeathsig", "KILL"]
        if self.uid is not None:
            argv += [f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups"]
        if self.cpus:
            argv += ["taskset", "--cpu-list", ",".join(map(str, self.cpus))]
        return argv


@dataclass(frozen=True)
class ProcStat:
    """Two fields of /proc/PID/stat: state letter, and start time in clock ticks since boot."""

    state: str
    start_time_ticks: int


def read_stat(pid: int) -> ProcStat | None:
    """State and start time of a process, None when there is none. Pid and start time together name it for good."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may hold spaces and parentheses
    return ProcStat(state=fields[0], start_time_ticks=int(fields[19]))


class Process:
    """A running program of the run.

    Attributes: `name` for messages, `pid`, `log_path` (standard error, and standard output unless sent elsewhere). The
    pid stays reserved until `stop`, also after the program has ended, so a signal can never hit a foreign process.
    """

    def __init__(self, name: str, popen: subprocess.Popen[bytes], log_path: Path) -> None:
        self.name = name
        self.pid = popen.pid
        self.log_path = log_path
        self._popen = popen
        self._pidfd = os.pidfd_open(popen.pid)
        self._status: int | None = None
        self._final_run_time_ns: int | None = None

    @property
    def is_stopped(self) -> bool:
        """Whether `stop` has been through: nothing of it is left, not even its pid."""
        return self._final_run_time_ns is not None

    def poll(self) -> int | None:
        """Exit status (negative: the signal that ended it), None while it runs."""
        if self._status is None:
            ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is not None:
                self._status = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
        return self._status

    def wait(self, timeout_s: float | None = None) -> int:
        """Exit status once it has ended. Raises ProcessError after `timeout_s` seconds."""
        self._has_ended(timeout_s)
        status = self.poll()
        if status is None:
            raise ProcessError(f"{self.name} (pid {self.pid}) did not end within {timeout_s} s{self.last_words()}")
        return status

    def check(self) -> None:
        """Raise ProcessError, with the last lines of the log, if the process has ended."""
        status = self.poll()
        if status is not None:
            raise ProcessError(f"{self.name} (pid {self.pid}) {describe_status(status)}{self.last_words()}")

    def run_time_ns(self) -> int:
        """CPU time of all its threads so far, user and kernel, in ns; ended threads count, child processes do not."""
        if self._final_run_time_ns is not None:
            return self._final_run_time_ns
        return run_time_ns(self.pid)

    def rss_bytes(self) -> int:
        """Resident memory of the process in bytes; 0 if it has ended."""
        return resident_bytes(self.pid)

    def is_paused(self) -> bool:
        """Whether a stop signal holds it, so that it uses no CPU."""
        stat = read_stat(self.pid)
        return stat is not None and stat.state == "T"

    def signal(self, signum: int) -> None:
        """Send a signal to the process alone; no effect when it has ended."""
        if not self.is_stopped:
            signal.pidfd_send_signal(self._pidfd, signum)

    def stop(self, grace_s: float = 3.0) -> None:
        """End the process and its group: SIGTERM, after `grace_s` seconds SIGKILL. No effect the second time."""
        stop_all([self], grace_s)

    def _has_ended(self, timeout_s: float | None) -> bool:
        if self.poll() is not None:
            return True
        watch = select.poll()
        watch.register(self._pidfd, select.POLLIN)
        return bool(watch.poll(None if timeout_s is None else max(0.0, timeout_s) * 1000))

    def _signal_group(self, signum: int) -> None:
        # Safe although the leader may be dead: it is not reaped yet, so nobody else can have its number.
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signum)

    def _reap(self) -> None:
        if not self._has_ended(_KILL_WAIT_S):
            raise ProcessError(f"{self.name} (pid {self.pid}) does not react to SIGKILL; see /proc/{self.pid}/stack")
        self.poll()
        self._final_run_time_ns = self.run_time_ns()
        self._popen.wait()
        os.close(self._pidfd)

    def last_words(self) -> str:
        """The last lines of its log, to follow what a message says of it: the log itself goes with the run."""
        lines = _last_lines(self.log_path)
        return f": {' | '.join(lines)}" if lines else "; it wrote nothing to its log"

    def hide_argument(self, secret: str) -> None:
        """Overwrite a secret in the arguments of the running program, which every user can read; best effort.

        For programs that take it in no other way, once they have read their arguments. It stands there until then.
        """
        if not secret:
            return
        with suppress(OSError, ValueError, IndexError):
            fields = Path(f"/proc/{self.pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
            start, end = int(fields[_ARGUMENTS_START]), int(fields[_ARGUMENTS_START + 1])
            with Path(f"/proc/{self.pid}/mem").open("r+b", buffering=0) as memory:
                memory.seek(start)
                found = memory.read(end - start)
                position = found.find(secret.encode())
                while position >= 0:
                    memory.seek(start + position)
                    memory.write(b"x" * len(secret.encode()))
                    position = found.find(secret.encode(), position + 1)


def start_process(
    name: str,
    argv: Sequence[str],
    placement: Placement,
    *,
    env: Mapping[str, str],
    log_path: Path,
    stdout: Path | None,
    cwd: Path = ROOT,
) -> Process:
    """Start `argv` in its place, in the working directory `cwd` and with the environment `env`.

    Of `env`, PATH loses its entries that are not absolute. Must be called on a thread that lives as long as the run:
    the kernel kills the process when that thread ends. Raises MissingError for a program that is not there and
    ProcessError when it cannot be started.
    """
    environment = {**env, "PATH": absolute_entries(env.get("PATH"))}
    program = find_program(argv[0], environment["PATH"])
    launcher = placement.launcher_argv()
    launcher[0] = find_program(launcher[0])
    try:
        with _open_log(log_path, placement.uid) as log, _open_log(stdout or Path(os.devnull)) as output:
            popen = subprocess.Popen(
                [*launcher, program, *argv[1:]],
                stdin=subprocess.DEVNULL,
                stdout=log if stdout is None else output,
                stderr=log,
                env=environment,
                cwd=cwd,
                process_group=0,
                pass_fds=descriptors_in(argv),
            )
    except OSError as error:
        raise ProcessError(f"{name} could not be started: {error}") from error
    process = Process(name, popen, log_path)
    _await_final_program(process, program)
    return process


def _open_log(path: Path, uid: int | None = None) -> BinaryIO:
    """A file to be written from its beginning, readable by `uid` only: a program may open /dev/stdout again by name."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    if uid is not None:
        os.fchown(descriptor, uid, uid)
    return os.fdopen(descriptor, "wb")


def stop_all(processes: Iterable[Process], grace_s: float = 3.0) -> None:
    """End all of them at once, sharing one grace period; those stopped before are left out.

    Raises ProcessError naming those that do not end, after all others have been ended.
    """
    living = [process for process in processes if not process.is_stopped]
    for process in living:
        process._signal_group(signal.SIGTERM)
        process._signal_group(signal.SIGCONT)  # a paused process takes no SIGTERM
    deadline_s = time.monotonic() + grace_s
    for process in living:
        process._has_ended(deadline_s - time.monotonic())
    for process in living:
        process._signal_group(signal.SIGKILL)
    failures = []
    for process in living:
        try:
            process._reap()
        except ProcessError as error:
            failures.append(str(error))
    if failures:
        raise ProcessError("; ".join(failures))


def describe_status(status: int) -> str:
    """An exit status in words."""
    if status >= 0:
        return f"ended with exit status {status}"
    return f"was ended by {signal.Signals(-status).name}"


def _await_final_program(process: Process, program: str) -> None:
    # So that nobody who looks at the process (by name, or its executable for probes) takes a launcher for it.
    found = map(program_path, _LAUNCHERS)
    launchers = {os.path.realpath(path) for path in found if path}
    if os.path.realpath(program) in launchers:
        return
    entry = Path(f"/proc/{process.pid}")

    def is_there() -> bool:
        try:
            # The executable shows a moment before the arguments and environment do.
            return str((entry / "exe").readlink()) not in launchers and bool((entry / "cmdline").read_bytes())
        except OSError:
            return True

    wait_until(lambda: process.poll() is not None or is_there(), _LAUNCH_WAIT_S, every_s=0.0005)


def resident_bytes(pid: int) -> int:
    """Resident memory of a process in bytes; 0 if it has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _last_lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - _LOG_TAIL_BYTES))
            text = log.read().decode(errors="replace")
    except OSError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()][-_LOG_TAIL_LINES:]
