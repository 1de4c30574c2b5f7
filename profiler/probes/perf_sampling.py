"""Samples what every CPU runs, with kernel stacks, through `perf record`: the second method beside the tracepoints.

Where the machine has a PMU the event is `cycles`, else `cpu-clock`. `cpu-clock` is driven by a timer interrupt, so a
sample due while interrupts are off (a spinlock, the entry of an interrupt) is taken where they come on again: work done
with interrupts off shows at its end, under `_raw_spin_unlock_irqrestore` and the like. It also wakes idle CPUs, which
changes how cold a sidecar's caches are: sample in windows of their own, not in those that latency comes from.
"""

import os
import re
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Final

from profiler.errors import ProcessError
from profiler.host.accounting import softirq_threads
from profiler.host.programs import find_program, program_path
from profiler.host.search_path import absolute_entries
from profiler.probes.stack_classes import SampleClass, classify
from profiler.symbols.maps import NOWHERE, AddressSpaces, UserAddress, read_mappings
from profiler.symbols.stacks import KERNEL, USER_MODE, Stack
from profiler.text import one_line
from profiler.vocabulary.components import PLACES, SIDECARS
from profiler.vocabulary.cpu_states import IDLE, KSOFTIRQD, REST, TOOL, UNRESOLVED, USER

CPU_CLOCK: Final = "cpu-clock"
CYCLES: Final = "cycles"
DEFAULT_FREQUENCY_HZ: Final = 2999
"""Not a multiple of the kernel's tick, so that samples do not keep step with it."""

_FIELDS: Final = "pid,tid,cpu,misc,period,ip,sym"
_HEADER = re.compile(r"\s*(?P<process>-?\d+)/(?P<thread>-?\d+)\s+\[(?P<cpu>\d+)\]\s+(?P<mode>\w*)\s+(?P<period>\d+)\s*")
_ADDRESS_FIELDS: Final = "pid,misc,period,ip"
_ADDRESS = re.compile(r"\s*(?P<process>\d+)\s+(?P<mode>\w*)\s+(?P<period>\d+)\s+(?P<address>[0-9a-f]+)\s*")
_FRAME = re.compile(r"\s+[0-9a-f]+ (?P<name>.+?)\s*")
_LOST = re.compile(r".*PERF_RECORD_LOST(?:_SAMPLES)?\b\D*(?P<count>\d+)\s*")
_BUFFER_PAGES: Final = "512"
_WITH_STACKS: Final = frozenset((*PLACES, KSOFTIRQD))
"""The roles whose stacks are kept: those of the hop, and what receives packets for it."""
_ANSWER_S: Final = 20.0
_PARSE_S: Final = 120.0


@dataclass(frozen=True)
class Sample:
    """One sample: the process, the time it stands for, and the kernel functions on its stack, innermost first.

    `period` is in the event's unit: nanoseconds for cpu-clock, cycles for cycles. `process` is 0 for the idle loop.
    """

    process: int
    in_user_mode: bool
    period: int
    frames: tuple[str, ...]


@dataclass(frozen=True)
class SampledTimes:
    """The samples of one window, added up.

    `weights` and `folded_weights` are by (role, class), in the event's unit; folded is the class as the tracepoints
    would see it. `lost` counts the samples that perf or the kernel dropped. `user` are the weights of the sidecars'
    samples in user mode alone, by (role, place of the instruction); `user_samples` is their number. `stacks` are the
    stacks of the hop's processes: of `user`, only once its functions were looked up.
    """

    event: str
    weights: dict[tuple[str, str], float]
    folded_weights: dict[tuple[str, str], float]
    samples: int
    lost: int
    user: dict[tuple[str, UserAddress], float] = field(default_factory=dict)
    user_samples: int = 0
    stacks: list[Stack] = field(default_factory=list)

    @property
    def unresolved_share(self) -> float:
        """The part of all non-idle samples whose kernel stack told nothing, in [0, 1]."""
        busy = sum(weight for (_, kind), weight in self.weights.items() if kind != IDLE)
        return sum(weight for (_, kind), weight in self.weights.items() if kind == UNRESOLVED) / busy if busy else 0.0

    def time_ns(self, folded: bool = False, busy_ns: float | None = None) -> dict[tuple[str, str], float]:
        """CPU nanoseconds by (role, class).

        Args:
            folded: as the tracepoints would see it, to compare the two.
            busy_ns: the CPU time of the whole machine to which non-idle samples are scaled. Needed where the event is
                not a clock.

        Raises:
            ValueError: the event is not a clock, and `busy_ns` is missing.
        """
        weights = self.folded_weights if folded else self.weights
        if busy_ns is None and self.event != CPU_CLOCK:
            raise ValueError(f"samples of {self.event} become time only with busy_ns")
        busy = sum(weight for (_, kind), weight in weights.items() if kind != IDLE)
        scale = 1.0 if busy_ns is None or not busy else busy_ns / busy
        return {key: weight * scale for key, weight in weights.items()}


def best_event(devices: Path = Path("/sys/bus/event_source/devices")) -> str:
    """`cycles` where the machine has a CPU PMU, else `cpu-clock`."""
    pmu = any(path.name == "cpu" or path.name.startswith(("cpu_", "armv")) for path in devices.glob("*"))
    return CYCLES if pmu else CPU_CLOCK


class ParsedScript:
    """Iterates over the samples in the text of `perf script -F pid,tid,cpu,misc,period,ip,sym`.

    `lost` and `ignored` (lines that are none of sample, frame, loss report) are complete when the iteration ended.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = lines
        self.lost = 0
        self.ignored = 0

    def __iter__(self) -> Iterator[Sample]:
        header: re.Match[str] | None = None
        frames: list[str] = []
        for line in self._lines:
            if header and (frame := _FRAME.fullmatch(line)):
                frames.append(frame["name"])
                continue
            if header:
                yield _sample(header, frames)
            header, frames = _HEADER.fullmatch(line), []
            if header is None and line.strip():
                self._note(line)
        if header:
            yield _sample(header, frames)

    def _note(self, line: str) -> None:
        if lost := _LOST.fullmatch(line):
            self.lost += int(lost["count"])
        else:
            self.ignored += 1


def _sample(header: re.Match[str], frames: list[str]) -> Sample:
    return Sample(int(header["process"]), "U" in header["mode"], int(header["period"]), tuple(frames))


def add_up(script: ParsedScript, roles: Mapping[int, str], event: str) -> SampledTimes:
    """Classify all samples.

    Args:
        script: the samples.
        roles: process id to role; process 0 is `idle`, others that are missing are `rest`.
        event: the event that was sampled.
    """
    weights: dict[tuple[str, str], float] = {}
    folded_weights: dict[tuple[str, str], float] = {}
    stacks: dict[tuple[str, str, tuple[str, ...]], float] = {}
    samples = 0
    for sample in script:
        role = IDLE if sample.process == 0 else roles.get(sample.process, REST)
        kind = _classify(sample.frames, sample.in_user_mode, sample.process == 0)
        weights[role, kind.name] = weights.get((role, kind.name), 0.0) + sample.period
        folded_weights[role, kind.folded] = folded_weights.get((role, kind.folded), 0.0) + sample.period
        if role in _WITH_STACKS and not (sample.in_user_mode and role in SIDECARS):
            key = role, kind.name, sample.frames
            stacks[key] = stacks.get(key, 0.0) + sample.period
        samples += 1
    kept = [_stack(*key, weight) for key, weight in stacks.items()]
    return SampledTimes(event, weights, folded_weights, samples, script.lost, stacks=kept)


def _stack(role: str, kind: str, frames: tuple[str, ...], weight: float) -> Stack:
    """A stack of the kernel's functions; that of another program in user mode is not known."""
    if kind == USER:
        return Stack(role, kind, USER_MODE, (USER_MODE,), weight)
    return Stack(role, kind, KERNEL, frames[::-1] or ("[unknown]",), weight)


def add_up_user(
    lines: Iterable[str], roles: Mapping[int, str], spaces: AddressSpaces | None = None
) -> tuple[dict[tuple[str, UserAddress], float], int]:
    """Weights by (role, place) of the samples in user mode, and their number.

    Args:
        lines: the text of `perf script -G -F pid,misc,period,ip --show-mmap-events`.
        roles: process id to role; other processes are left out.
        spaces: where to look for addresses that the text has no mapping for; /proc by default.
    """
    recorded = AddressSpaces()
    by_address: dict[tuple[int, int], float] = {}
    samples = 0
    for line in lines:
        sample = _ADDRESS.fullmatch(line)
        if sample is None:
            recorded.add_record(line)
        elif "U" in sample["mode"] and int(sample["process"]) in roles:
            key = int(sample["process"]), int(sample["address"], 16)
            by_address[key] = by_address.get(key, 0.0) + float(sample["period"])
            samples += 1
    places = {key: recorded.place(*key) for key in by_address}
    missing = {process for (process, _), place in places.items() if place.dso == NOWHERE}
    spaces = spaces or AddressSpaces({process: read_mappings(process) for process in missing})
    weights: dict[tuple[str, UserAddress], float] = {}
    for key, weight in by_address.items():
        place = places[key] if places[key].dso != NOWHERE else spaces.place(*key)
        owner = roles[key[0]], place
        weights[owner] = weights.get(owner, 0.0) + weight
    return weights, samples


@lru_cache(maxsize=65536)
def _classify(frames: tuple[str, ...], in_user_mode: bool, is_idle_task: bool) -> SampleClass:
    return classify(frames, in_user_mode, is_idle_task)


class PerfSampling:
    """Samples all CPUs between `start` and `stop`; a context manager, good for one window.

    Entering it starts `perf record` with its event disabled, so that the window begins at once. The raw data live in a
    folder of their own below `directory` (the system's temporary one by default) that leaving it removes.

    Raises:
        MissingError: there is no perf.
        ProcessError: perf failed or did not answer in time.
    """

    def __init__(
        self, frequency_hz: int = DEFAULT_FREQUENCY_HZ, event: str | None = None, directory: Path | None = None
    ) -> None:
        self.frequency_hz = frequency_hz
        self.directory = directory
        self.event = event or best_event()
        self._stack = ExitStack()
        self._directory = Path()
        self._perf: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def __enter__(self) -> "PerfSampling":
        with ExitStack() as stack:
            folder = tempfile.TemporaryDirectory(prefix="meshinsight-perf-", dir=self.directory)
            self._directory = Path(stack.enter_context(folder)).absolute()
            self._spawn(stack)
            self._command("ping")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def process_id(self) -> int:
        """The process id of perf, which is of role `tool`."""
        return _started(self._perf).pid

    def start(self) -> None:
        """Begin the window."""
        self._command("enable")

    def pause(self) -> None:
        """End the window at once; `stop` is still to come."""
        self._command("disable")

    def stop(self) -> None:
        """End the window and let perf finish its data."""
        self._command("disable")
        perf = _started(self._perf)
        perf.send_signal(signal.SIGINT)
        try:
            perf.wait(_ANSWER_S)
        except subprocess.TimeoutExpired as error:
            raise self._failure(f"did not end within {_ANSWER_S:.0f} s") from error

    def read(self, roles: Mapping[int, str], between_ns: tuple[int, int] | None = None) -> SampledTimes:
        """Classify the samples of the window that `stop` ended.

        Args:
            roles: process id to role, as for `CpuTime.set_roles`.
            between_ns: only those taken between two times of the monotonic clock.
        """
        known = {os.getpid(): TOOL, self.process_id: TOOL, **dict.fromkeys(softirq_threads(), KSOFTIRQD), **roles}
        times = add_up(ParsedScript(self.script(between_ns).splitlines()), known, self.event)
        sidecars = {process: role for process, role in roles.items() if role in SIDECARS}
        if not sidecars:
            return times
        user, samples = add_up_user(self.addresses(sidecars, between_ns).splitlines(), sidecars)
        return replace(times, user=user, user_samples=samples)

    def script(self, between_ns: tuple[int, int] | None = None) -> str:
        """The samples as text, as `ParsedScript` reads them."""
        return self._script(["--fields", _FIELDS, "--show-lost-events"], between_ns)

    def addresses(self, processes: Iterable[int], between_ns: tuple[int, int] | None = None) -> str:
        """The samples of processes and the mappings of all as text, as `add_up_user` reads it.

        A pass of its own: a sample with kernel callchains prints the chain in place of its instruction pointer, and
        the chain of a sample in user mode is empty. Without symbols it takes about 0.1 s.
        """
        options = ["--hide-call-graph", "--fields", _ADDRESS_FIELDS, "--show-mmap-events"]
        return self._script([*options, "--pid", ",".join(map(str, processes))], between_ns)

    def _script(self, options: Sequence[str], between_ns: tuple[int, int] | None) -> str:
        command = [*_dying_with_us(_perf_program()), "script", "--input", str(self._directory / "perf.data"), *options]
        if between_ns:
            command += ["--time", ",".join(f"{at_ns // 10**9}.{at_ns % 10**9:09}" for at_ns in between_ns)]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                timeout=_PARSE_S,
                check=True,
                stdin=subprocess.DEVNULL,
                cwd="/",
                env=_environment(),
            )
        except subprocess.TimeoutExpired as error:
            raise ProcessError(f"perf script took over {_PARSE_S:.0f} s; use a shorter window") from error
        except subprocess.CalledProcessError as error:
            raise ProcessError(f"perf script failed: {_said(error.stderr)}") from error
        return done.stdout.decode(errors="replace")

    def _spawn(self, stack: ExitStack) -> None:
        self._control, theirs = (stack.enter_context(end) for end in socket.socketpair())
        self._control.settimeout(_ANSWER_S)
        number = theirs.fileno()
        command = [*_dying_with_us(_perf_program()), "record", "--all-cpus", "--event", self.event]
        command += ["--freq", str(self.frequency_hz), "-g", "--kernel-callchains", "--mmap-pages", _BUFFER_PAGES]
        command += [
            "--no-buildid",
            "--no-buildid-cache",
            "--clockid",
            "mono",
            "--delay",
            "-1",
            "--control",
            f"fd:{number},{number}",
        ]
        command += ["--output", str(self._directory / "perf.data")]
        # Without its side thread for BPF events, which it would wait for up to a second at the end.
        command += ["--no-bpf-event"]
        log = stack.enter_context((self._directory / "perf.log").open("wb"))
        self._perf = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(number,),
            process_group=0,
            cwd="/",
            env=_environment(),
        )
        stack.callback(_end, self._perf)
        theirs.close()  # so that its death ends our wait for an answer

    def _command(self, name: str) -> None:
        """Send perf a command and wait until it has carried it out."""
        control = self._control
        if control is None:
            raise ProcessError("perf record was not started; use PerfSampling in a with statement")
        try:
            control.sendall(f"{name}\n".encode())
            answer = control.recv(64)
        except TimeoutError as error:
            raise self._failure(f"did not answer `{name}` within {_ANSWER_S:.0f} s") from error
        except OSError as error:
            raise self._failure(f"ended before `{name}`") from error
        if not answer.startswith(b"ack"):
            raise self._failure(f"ended at `{name}`")

    def _failure(self, what: str) -> ProcessError:
        said = _said((self._directory / "perf.log").read_bytes())
        return ProcessError(
            f"perf record of {self.event} {what}: {said}; `meshinsight doctor` says what perf may do here"
        )


def perf_available() -> bool:
    """Whether perf is installed; without it CPU is accounted by the tracepoints alone."""
    return program_path("perf") is not None


def _started(perf: "subprocess.Popen[bytes] | None") -> "subprocess.Popen[bytes]":
    if perf is None:
        raise ProcessError("perf record was not started; use PerfSampling in a with statement")
    return perf


def _end(perf: "subprocess.Popen[bytes]") -> None:
    perf.kill()
    perf.wait()


def _environment() -> dict[str, str]:
    """The environment of perf: no settings of the user's, and only absolute places for the programs that it starts.

    It runs in the root directory, since it would take a file `vmlinux` of the working directory for the kernel's.
    """
    return {**os.environ, "PERF_CONFIG_NOGLOBAL": "1", "PERF_CONFIG_NOSYSTEM": "1", "PATH": absolute_entries()}


def _perf_program() -> str:
    return find_program("perf", remedy="run `make setup`, or install Debian's linux-perf")


def _dying_with_us(program: str) -> list[str]:
    """The command that runs `program` so that the kernel kills it when this process dies."""
    return [find_program("setpriv", remedy="it is part of util-linux"), "--pdeathsig", "KILL", program]


def _said(output: bytes) -> str:
    """The beginning of what a program said, as one line."""
    return one_line(output.decode(errors="replace"), 300) or "no message"
