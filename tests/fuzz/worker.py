"""The process that mutants are tried in: one line in per range of mutants, lines out per mutant.

What it writes goes to the descriptor that standard output was at the start, so nothing that a parser prints comes in
between. Lines are JSON: `{"at": number}` before a mutant, `{"fault": …}` after one that broke a rule, `{"done": true}`.
"""

import contextlib
import importlib
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn

from tests.fuzz.checks import BrokenRuleError
from tests.fuzz.parser import Parser

MIB: Final = 1 << 20


class Hang(BaseException):
    """Too much CPU time was spent on one input. No Exception, so that no parser takes it for its own."""


def main() -> None:
    """Serve until standard input ends. The first argument is the module whose `PARSERS` are tried."""
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    parsers: dict[str, Parser] = {entry.name: entry for entry in importlib.import_module(sys.argv[1]).PARSERS}
    signal.signal(signal.SIGPROF, _hang)
    with tempfile.TemporaryDirectory(prefix="meshinsight-fuzz-") as name:
        for line in sys.stdin:
            order = json.loads(line)
            Trial(parsers[order["parser"]], order, Path(name)).run(answers)


class Trial:
    """A range of mutants of one parser."""

    def __init__(self, parser: Parser, order: dict[str, Any], folder: Path) -> None:
        self._parser = parser
        self._order = order
        self._folder = folder
        self._most_bytes = int(order["memory_mib"]) * MIB

    def run(self, answers: Any) -> None:
        """Try each mutant, and write what happens."""
        seeds = self._parser.seeds()
        self._warm_up(seeds)
        for number in range(self._order["first"], self._order["end"]):
            answers.write(json.dumps({"at": number}) + "\n")
            if fault := self.tried(self._parser.mutant(seeds, self._order["seed"], number), number):
                answers.write(json.dumps({"fault": fault, "number": number}) + "\n")
        _limit_memory(None)
        answers.write(json.dumps({"done": True}) + "\n")

    def _warm_up(self, seeds: Sequence[bytes]) -> None:
        """Read each seed once: modules are loaded and caches filled before anything is counted."""
        for number, seed in enumerate(seeds[:2]):
            with contextlib.suppress(Exception):
                self._read(seed, -1 - number)
        _forget_peak()
        _limit_memory(_memory("VmSize") + self._most_bytes)

    def tried(self, mutant: bytes, number: int) -> dict[str, str] | None:
        """What is wrong with how a mutant was read."""
        _forget_peak()
        began_s = time.process_time()
        try:
            self._read(mutant, number)
        except self._parser.raises:
            pass
        except BrokenRuleError as error:
            return {"kind": "rule", "text": str(error), "where": _where(error)}
        except Hang as error:
            return {"kind": "hang", "text": f"more than {self._order['hang_s']} s of CPU time", "where": _where(error)}
        except MemoryError as error:
            return {"kind": "memory", "text": f"asks for too much memory: {error}", "where": _where(error)}
        except Exception as error:  # noqa: BLE001 (any other exception is what is looked for)
            return {"kind": "exception", "text": f"{type(error).__name__}: {error}"[:500], "where": _where(error)}
        if (peak := _memory("VmHWM")) > self._most_bytes:
            return {"kind": "memory", "text": f"{peak // MIB} MiB", "where": ""}
        if (took_s := time.process_time() - began_s) > self._order["hang_s"]:
            return {"kind": "hang", "text": f"{took_s:.1f} s of CPU time", "where": ""}
        return None

    def _read(self, data: bytes, number: int) -> None:
        folder = Path(tempfile.mkdtemp(prefix=f"{number}-", dir=self._folder))
        signal.setitimer(signal.ITIMER_PROF, self._order["hang_s"])
        try:
            self._parser.read(data, folder)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            shutil.rmtree(folder, ignore_errors=True)


def _hang(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise Hang


def _where(error: BaseException) -> str:
    """The innermost lines of the project's own code."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/tests/fuzz/" not in frame.filename]
    own = [frame for frame in frames if "site-packages" not in frame.filename and "/lib/python" not in frame.filename]
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(own[-3:]))


def _memory(field: str) -> int:
    """A figure of /proc/self/status in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return 0


def _limit_memory(most_bytes: int | None) -> None:
    """Let this process have no more address space, or again as much as it may have."""
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (most if most_bytes is None else most_bytes, most))


def _forget_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


if __name__ == "__main__":
    main()
