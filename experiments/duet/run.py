"""Does a duet find what differs, and nothing where nothing does?

Usage: python experiments/duet/run.py [--equal N] [--each N] [--runs DIR] [--results DIR]
Run it as root from the root of the checkout; a run takes about two minutes. `result.json` and `result.md` are written
into the results folder. With `--runs` the profiles are kept in a folder; those that are there are not measured again.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from experiments.machine import IN_SHORT, MACHINE, machine_text
from profiler.comparison.variants import compare_variants, variant_names
from profiler.files.writing import write_whole
from profiler.host.environment import describe_environment
from profiler.profile.document import load_profile
from profiler.proxies.envoy import find_binary

HERE: Final = Path(__file__).parent
DELTA: Final = 0.02
CURRENCIES: Final = ("latency", "cpu")
EQUAL: Final = "equal"
INJECTED: Final = {"lua": "a Lua filter", "rbac": "RBAC, 100 rules", "headers": "10 more request headers"}
"""Files in `filters/`, and what they cost."""


@dataclass(frozen=True)
class Found:
    """One run: components better or worse, and differences of totals as shares with half of their intervals."""

    decided: Mapping[str, Sequence[str]]
    totals: Mapping[str, tuple[float, float]]


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--equal", type=int, default=20, help="runs of equal variants")
    parser.add_argument("--each", type=int, default=10, help="runs of each injected cost")
    parser.add_argument("--runs", type=Path, help="folder that keeps the profiles")
    parser.add_argument("--results", type=Path, default=HERE)
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="duet-") as temporary:
        runs = measured_runs(options.runs or Path(temporary), options.equal, options.each)
    result = {"cases": [case(name, found) for name, found in runs.items()], "environment": describe_environment()}
    write_whole(options.results / "result.json", json.dumps(result, indent=1) + "\n")
    text = as_text(result)
    write_whole(options.results / "result.md", text)
    print(text)


def measured_runs(folder: Path, equal: int, each: int) -> dict[str, list[Found]]:
    """The runs of each case; those whose profile is in the folder are read from it."""
    program = str(find_binary())
    variants = {EQUAL: ("--proxy-binary", f"{program},{program}")}
    variants |= {name: ("--filter-file", f"none,{HERE / 'filters' / name}.yaml") for name in INJECTED}
    counts = {name: each if name in INJECTED else equal for name in variants}
    # A case is not measured as a whole before the next: the machine may be another one an hour later.
    for number in range(max(counts.values())):
        for name, count in counts.items():
            if number < count:
                measure(folder / name / str(number), variants[name])
    return {name: [found_in(folder / name / str(number)) for number in range(count)] for name, count in counts.items()}


def measure(out: Path, variants: Sequence[str]) -> None:
    """One quick duet of HTTP/1.1, where it was not measured before."""
    if not (out / "profile.json").exists():
        out.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "meshinsight", "profile", "--quick", "--protocol", "http1", *variants]
        subprocess.run([*command, "--out", str(out)], check=True, stdout=subprocess.DEVNULL)


def found_in(folder: Path) -> Found:
    """What a comparison of the variants of a run says."""
    profile = load_profile(folder)
    old, new = variant_names(profile)
    found = compare_variants(profile, old, new, DELTA)
    keys = [entry.key for _, entry in found.figures() if entry.decided]
    decided = {currency: sorted({key.component for key in keys if key.currency == currency}) for currency in CURRENCIES}
    totals: dict[str, tuple[float, float]] = {}
    for mean in found.means:
        total = next(entry for key, entry in mean.figures.items() if key.component == "total")
        totals[mean.currency] = (total.difference.value, total.difference.half or 0.0)
    return Found(decided, totals)


def case(name: str, runs: Sequence[Found]) -> dict[str, Any]:
    """What the runs of one case found."""
    component = f"filter:{name}"
    return {
        "case": name,
        "runs": len(runs),
        "alarms": sum(any(found.decided.values()) for found in runs),
        "found": {currency: sum(component in found.decided[currency] for found in runs) for currency in CURRENCIES},
        "differences": [found.totals for found in runs],
    }


def as_text(result: Mapping[str, Any]) -> str:
    """The result in Markdown."""
    rows = [
        f"| {INJECTED.get(entry['case'], 'the same program twice')} | {entry['runs']} | {entry['alarms']} | "
        f"{entry['found']['latency']} | {entry['found']['cpu']} |"
        for entry in result["cases"]
    ]
    equal, *injected = result["cases"]
    found = [f"{INJECTED[entry['case']]} in {max(entry['found'].values())} of {entry['runs']}" for entry in injected]
    return "\n".join(
        [
            "# Does a duet find what differs, and nothing where nothing does?",
            "",
            f"{MACHINE}{machine_text(result['environment'])}.",
            "",
            "| case | runs | any verdict better or worse | its component in latency | in CPU |",
            "|---|--:|--:|--:|--:|",
            *rows,
            "",
            f"{IN_SHORT}On this machine {equal['alarms']} of {equal['runs']} runs of equal variants have a false alarm."
            f" Runs that find an injected cost in its component: {', '.join(found)}.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
