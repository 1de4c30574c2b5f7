"""`python -m tests.fuzz`: try mutants of all parsers or some, or one mutant again with its whole traceback."""

import argparse
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.fuzz.parsers import PARSERS
from tests.fuzz.pool import Pool


def main() -> int:
    """Returns the exit status: 1 if anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument(
        "parsers", nargs="*", metavar="PARSER", help="of tests/fuzz/parsers.py, or beginnings; all by default"
    )
    parser.add_argument("--count", "-n", type=int, default=300, help="mutants per parser")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mutant", type=int, help="try only this one, here, and keep its input")
    parser.add_argument("--list", action="store_true", help="list the parsers")
    given = parser.parse_args()
    chosen = [one for one in PARSERS if not given.parsers or one.name.startswith(tuple(given.parsers))]
    if given.list or not chosen:
        print("\n".join(one.name for one in PARSERS))
        return 0 if given.list else 2
    if given.mutant is not None:
        return _again(chosen[0].name, given.seed, given.mutant)
    began_s = time.monotonic()
    report = Pool().run([one.name for one in chosen], given.seed, given.count, _say)
    tried = sum(report.tried.values())
    print(
        f"seed {given.seed}: {tried} mutants of {len(chosen)} parsers in {time.monotonic() - began_s:.0f} s, "
        f"{len(report.findings)} findings"
    )
    return 1 if report.findings else 0


def _say(text: str) -> None:
    print(text, flush=True)  # a run that is stopped has said what it found


def _again(name: str, seed: int, number: int) -> int:
    chosen = next(one for one in PARSERS if one.name == name)
    mutant = chosen.mutant(chosen.seeds(), seed, number)
    kept = Path(tempfile.gettempdir()) / f"meshinsight-mutant-{name}-{seed}-{number}"
    kept.write_bytes(mutant)
    print(f"{kept}: the input, {len(mutant)} bytes")
    with tempfile.TemporaryDirectory() as folder:
        try:
            chosen.read(mutant, Path(folder))
        except chosen.raises as error:
            print(f"refused: {type(error).__name__}: {str(error)!a}")
        except Exception:  # noqa: BLE001 (shown as it is)
            traceback.print_exc()
            return 1
        else:
            print("read")
    return 0


if __name__ == "__main__":
    sys.exit(main())
