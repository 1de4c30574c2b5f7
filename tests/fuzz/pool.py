"""Spreads mutants over processes, so that one which hangs or kills its process is known and the run goes on."""

import json
import os
import queue
import select
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Lock, Thread
from typing import IO, Any, Final

ROOT: Final = Path(__file__).parents[2]
REGISTRY: Final = "tests.fuzz.parsers"
_CHUNK: Final = 100
_LAST_LINES: Final = 3


@dataclass(frozen=True)
class Limits:
    """How long and how large the reading of one input may be.

    `hang_s` is CPU time. `stuck_s` is wall time, for what waits or never comes back to the interpreter.
    """

    hang_s: float = 5.0
    stuck_s: float = 60.0
    memory_mib: int = 1024


@dataclass(frozen=True)
class Finding:
    """A mutant that broke a rule."""

    parser: str
    seed: int
    number: int
    kind: str
    text: str
    where: str

    @property
    def signature(self) -> tuple[str, str]:
        """What findings of the same cause have in common, as far as can be said."""
        return self.kind, self.where or self.text[:60]

    def __str__(self) -> str:
        again = f"make fuzz PARSER={self.parser} SEED={self.seed} MUTANT={self.number}"
        where = f"\n    at {self.where}" if self.where else ""
        return f"{self.parser}, seed {self.seed}, mutant {self.number}: {self.kind}: {self.text}{where}\n    {again}"


@dataclass
class Report:
    """What a run found, and how many mutants it tried."""

    tried: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def of(self, parser: str) -> list[Finding]:
        """The findings of one parser, one of each kind."""
        different = {found.signature: found for found in reversed(self.findings) if found.parser == parser}
        return list(reversed(different.values()))


class Pool:
    """Worker processes that try mutants of the parsers of a registry module."""

    def __init__(self, registry: str = REGISTRY, limits: Limits | None = None, processes: int | None = None) -> None:
        self._registry = registry
        self._limits = limits or Limits()
        self._processes = processes or max(1, len(os.sched_getaffinity(0)))

    def run(self, parsers: Sequence[str], seed: int, count: int, say: Callable[[str], None] = lambda _: None) -> Report:
        """Try so many mutants of each parser."""
        jobs: queue.SimpleQueue[tuple[str, int, int]] = queue.SimpleQueue()
        size = max(_CHUNK, count // 20)
        for parser in parsers:
            for first in range(0, count, size):
                jobs.put((parser, first, min(count, first + size)))
        report, lock = Report(dict.fromkeys(parsers, 0)), Lock()

        def work() -> None:
            with Worker(self._registry, self._limits) as worker:
                while True:
                    try:
                        parser, first, end = jobs.get_nowait()
                    except queue.Empty:
                        return
                    found = worker.tried(parser, seed, first, end)
                    with lock:
                        report.tried[parser] += end - first
                        report.findings += found
                        for finding in found:
                            say(str(finding))

        threads = [Thread(target=work) for _ in range(self._processes)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        report.findings.sort(key=lambda found: (found.parser, found.number))
        return report


class Worker:
    """One worker process, which is replaced when it ends or hangs."""

    def __init__(self, registry: str, limits: Limits) -> None:
        self._registry = registry
        self._limits = limits
        self._process: subprocess.Popen[str] | None = None
        self._stack = ExitStack()
        complaints = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 (closed with the stack)
        self._complaints = self._stack.enter_context(complaints)
        self._rest = ""

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._stack.close()

    def tried(self, parser: str, seed: int, first: int, end: int) -> list[Finding]:
        """Try the mutants from `first` up to `end`."""
        found: list[Finding] = []
        while first < end:
            number, ended = self._range(parser, seed, first, end, found)
            if ended is None:
                break
            kind, text = ended
            found.append(Finding(parser, seed, number, kind, text, ""))
            first = number + 1
        return found

    def _range(
        self, parser: str, seed: int, first: int, end: int, found: list[Finding]
    ) -> tuple[int, tuple[str, str] | None]:
        """Have a range tried. Returns the mutant at which the process hung or ended, and what happened."""
        process = self._running()
        order = {"parser": parser, "seed": seed, "first": first, "end": end, **asdict(self._limits)}
        number = first
        try:
            _written(process).write(json.dumps(order) + "\n")
            _written(process).flush()
        except OSError:
            return number, ("crash", self._stop())
        while True:
            answer = self._answer(process)
            if answer is None:
                stuck = process.poll() is None
                text = f"no end within {self._limits.stuck_s:g} s" if stuck else ""
                complaint = self._stop()
                return number, ("hang", text) if stuck else ("crash", complaint)
            if "done" in answer:
                return number, None
            number = answer.get("at", number)
            if "fault" in answer:
                found.append(Finding(parser, seed, number, **answer["fault"]))

    def _answer(self, process: subprocess.Popen[str]) -> dict[str, Any] | None:
        """The next line of the worker; None when it is stuck or has ended."""
        stream = process.stdout
        if stream is None:
            raise AssertionError
        while "\n" not in self._rest:
            readable, _, _ = select.select([stream], [], [], self._limits.stuck_s)
            data = os.read(stream.fileno(), 1 << 16) if readable else b""
            if not data:
                if readable:
                    process.wait()
                return None
            self._rest += data.decode()
        line, _, self._rest = self._rest.partition("\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._rest = ""
            self._complaints.truncate(0)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fuzz.worker", self._registry],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._complaints, text=True, cwd=ROOT,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "agg", "COLUMNS": "120"},
            )  # fmt: skip
        return self._process

    def _stop(self) -> str:
        """End the process. Returns its exit status and its last words."""
        process, self._process = self._process, None
        if process is None:
            return ""
        process.kill()
        status = process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        self._complaints.seek(0)
        last = " | ".join(self._complaints.read().splitlines()[-_LAST_LINES:])
        return f"the process ended with status {status}: {last}"[:500]


def _written(process: subprocess.Popen[str]) -> IO[str]:
    if process.stdin is None:
        raise AssertionError
    return process.stdin
