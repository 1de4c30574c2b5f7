"""Generates random call graphs by seeds, validates each against a profile, and sums up the errors.

Usage: python experiments/random_graphs/run.py --seeds 1-20 --profile DIR [--seconds S] [--results DIR]
       python experiments/random_graphs/run.py --seeds 1-20 --generate-only [--results DIR]
       python experiments/random_graphs/run.py --seeds 1-20 --profile DIR --rescore RESULTS/VERSION
       python experiments/random_graphs/run.py --seeds 1-40 --profile DIR --calibrate RESULTS/VERSION [--calibrate …]
Seeds below 100 are for development, 101 to 120 for reporting.
"""

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from experiments.machine import machine_text
from experiments.random_graphs.calibration import Scored, own_errors, scored
from experiments.random_graphs.generator import FILTERS, Kinds, RandomGraph, random_graph
from experiments.random_graphs.summary import FIGURES, HEADER, KINDS, not_scored, pair_of, rows_of, table
from meshinsight.models import load_model
from predictor.graph.types import PROTOCOLS, TLS_MODES
from predictor.graph.writer import graph_text, save_graph
from predictor.predict import own_error
from profiler.errors import MeshInsightError, UsageError
from profiler.files.writing import write_whole
from profiler.profile.document import load_profile
from profiler.text import not_one_of
from profiler.vocabulary.temperature import APPLICATION_TEMPERATURES

HERE: Final = Path(__file__).parent
REPORTING: Final = range(101, 121)
LACKING: Final = "lacking"
FAILED: Final = "failed"

_USAGE_STATUS: Final = 2
_MOST_SEED: Final = 10**9
_LEAST_ROUNDS: Final = 4
_LEAST_WINDOW_S: Final = 0.5
_MOST_WINDOW_S: Final = 2.0
_REQUESTS: Final = 10.0
"""A window is so long that it has so many requests, within its bounds."""

_SETUP_S: Final = 8.0
_ROUND_S: Final = 6.0
_WINDOWS: Final = 4.0
"""What a validation takes before its rounds, what a round takes in addition to its windows, and how many windows'
lengths it measures: one of latency for each copy, and in every second round one of twice the length of CPU."""

_RUN: Final = "python experiments/random_graphs/run.py --profile DIR --seeds"

T = TypeVar("T", bound=str)


@dataclass
class Found:
    """What became of the seeds: documents of `validate`, and why others have none, by the name of the graph."""

    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    missing: dict[str, dict[str, str]] = field(default_factory=lambda: {LACKING: {}, FAILED: {}})


def main() -> int:
    """Generate, validate and sum up what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=_seeds, default="1-20", metavar="A-B,C", help="as 1-20 or 3,7; default 1-20")
    parser.add_argument(
        "--profile", type=Path, action="append", metavar="DIR", help="again for further ones of the same machine"
    )
    parser.add_argument("--seconds", type=_seconds, default=40.0, metavar="S", help="about so long per graph")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--generate-only", action="store_true", help="write the graphs and stop")
    parser.add_argument(
        "--rescore",
        type=Path,
        action="append",
        metavar="DIR",
        help="predict again what a version measured into DIR; measure nothing; may be given again for further versions",
    )
    parser.add_argument(
        "--calibrate",
        type=Path,
        action="append",
        metavar="DIR",
        help="the same, to learn from it what the model's own error is",
    )
    parser.add_argument(
        "--protocol", type=_some(PROTOCOLS), default=PROTOCOLS, metavar="NAME,…", help="no others occur"
    )
    parser.add_argument("--tls", type=_some(TLS_MODES), default=TLS_MODES, metavar="NAME,…")
    parser.add_argument("--filter", type=_some(FILTERS, none=True), default=FILTERS, metavar="NAME,…", help="or none")
    parser.add_argument(
        "--temperature", type=_some(APPLICATION_TEMPERATURES), default=APPLICATION_TEMPERATURES, metavar="NAME,…"
    )
    options = parser.parse_args()
    if options.profile is None and not options.generate_only:
        parser.error("--profile DIR is needed to validate; or give --generate-only")
    kinds = Kinds(options.protocol, options.tls, options.filter, options.temperature)
    try:
        run(options, kinds)
    except MeshInsightError as error:
        print(f"error: {error}", file=sys.stderr)
        return _USAGE_STATUS if isinstance(error, UsageError) else 1
    return 0


def run(options: argparse.Namespace, kinds: Kinds) -> None:
    """Do what was asked for. Raises `MeshInsightError`."""
    if options.rescore is not None:
        print("\n".join(summary(rescored(options.rescore, options.seeds, options.profile))))
        return
    if options.calibrate is not None:
        calibrate(options.calibrate, options.seeds, options.profile)
        return
    version = "" if options.generate_only else code_version()
    _refuse(options.seeds, kinds, version)
    folder = options.results / version
    folder.mkdir(parents=True, exist_ok=True)
    graphs = {f"seed-{seed}": random_graph(seed, kinds) for seed in options.seeds}
    for name, one in graphs.items():
        _save(folder, name, one)
    if options.generate_only:
        for name, one in graphs.items():
            print(f"{folder / name}.yaml: {_described(one)}")
        return
    load_profile(options.profile[0])  # one that cannot be read is one error, not one for each graph
    found = Found()
    for name, one in graphs.items():
        _validate(found, folder, name, one, options)
        _write(folder, found, options.seeds, options.profile, version)
    print("\n".join(summary(found)))


def _save(folder: Path, name: str, one: RandomGraph) -> None:
    """Write the graph; what was measured of another graph of that seed is removed."""
    file = folder / f"{name}.yaml"
    if file.exists() and file.read_text() != graph_text(one.graph):
        file.with_suffix(".json").unlink(missing_ok=True)
    save_graph(one.graph, file)


def _refuse(seeds: Sequence[int], kinds: Kinds, version: str) -> None:
    """Raise `UsageError` where reporting seeds would not be what they are for."""
    if version and not set(REPORTING).isdisjoint(seeds):
        if kinds != Kinds():
            raise UsageError("reporting seeds 101 to 120 are validated as they are; leave --protocol and the like out")
        if version.endswith("-changed"):
            raise UsageError(
                "reporting seeds 101 to 120 run once per version; commit the changes of this checkout first"
            )


def code_version() -> str:
    """The commit of this checkout, with `-changed` where a file differs from it. Raises `UsageError` without git."""
    try:
        commit, changes = (
            subprocess.run(["git", *words], cwd=HERE, capture_output=True, text=True, check=True).stdout.strip()
            for words in (("rev-parse", "--short=12", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
        )
    except (OSError, subprocess.CalledProcessError):
        raise UsageError("the version of the model is that of git, which knows none here; run in a checkout") from None
    return f"{commit}-changed" if changes else commit


def _validate(found: Found, folder: Path, name: str, one: RandomGraph, options: argparse.Namespace) -> None:
    """Validate a graph unless this version has done so, and keep what came of it."""
    file = folder / f"{name}.json"
    if file.exists() and not folder.name.endswith("-changed"):
        found.documents[name] = json.loads(file.read_text())
        print(f"{name}: measured before by this version ({file})", flush=True)
        return
    began_s = time.monotonic()
    kind, result = validated(options.profile, folder / f"{name}.yaml", one, options.seconds)
    if kind:
        file.unlink(missing_ok=True)
        found.missing[kind][name] = str(result)
        print(f"{name}: {_described(one)}: {kind}: {result}", flush=True)
        return
    document: dict[str, Any] = json.loads(result)
    found.documents[name] = document
    write_whole(file, json.dumps(document, indent=1) + "\n")
    print(f"{name}: {_described(one)}, {time.monotonic() - began_s:.0f} s: {_line(document)}", flush=True)


def validated(profiles: Sequence[Path], graph: Path, one: RandomGraph, seconds: float) -> tuple[str, str]:
    """What `meshinsight validate` says of a graph: nothing and its JSON, or why there is none and its last line."""
    window_s, rounds = windows(sum(entry.rate_rps for entry in one.graph.ingress), seconds)
    first, *further = map(str, profiles)
    command = [sys.executable, "-m", "meshinsight", "validate", first, str(graph), "-o", "json"]
    command += [word for path in further for word in ("--profile", path)]
    command += ["--temperature", one.temperature, "--rounds", str(rounds), "--duration", f"{window_s:g}s"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode == 0:
        return "", ran.stdout
    lines = ran.stderr.strip().splitlines() or [f"ended with status {ran.returncode}"]
    # What cannot be predicted is refused as wrong usage before anything is started; a run that fails says 1.
    return LACKING if ran.returncode == _USAGE_STATUS else FAILED, lines[-1].removeprefix("error: ")


def windows(rate_rps: float, seconds: float) -> tuple[float, int]:
    """How long windows are and how many rounds of them fit into so many seconds, or the fewest that are a result."""
    window_s = min(max(_REQUESTS / rate_rps, _LEAST_WINDOW_S), _MOST_WINDOW_S)
    rounds = int((seconds - _SETUP_S) / (_WINDOWS * window_s + _ROUND_S))
    if rounds < _LEAST_ROUNDS:
        window_s = max(_LEAST_WINDOW_S, ((seconds - _SETUP_S) / _LEAST_ROUNDS - _ROUND_S) / _WINDOWS)
    return round(window_s, 2), max(rounds, _LEAST_ROUNDS)


def rescored(folders: Sequence[Path], seeds: Sequence[int], paths: Sequence[Path]) -> Found:
    """What is in the folders of versions, predicted by the code and the profile of now. The folders stay."""
    from experiments.application_graphs.rescore import rescore  # it draws, which takes a second to load

    model, profile = load_model(paths[0], paths[1:]), load_profile(paths[0])
    found, files = measured(folders, seeds)
    for name, document in list(found.documents.items()):
        try:
            rescore(document, files[name].with_suffix(".yaml"), model, profile)
        except UsageError as error:
            found.missing[LACKING][name] = str(error)
            del found.documents[name]
    return found


def measured(folders: Sequence[Path], seeds: Sequence[int]) -> tuple[Found, dict[str, Path]]:
    """What is in the folders of versions, each seed from the first that has it, and the files it is in."""
    found, files = Found(), {}
    for name in (f"seed-{seed}" for seed in seeds):
        file = next((file for folder in folders if (file := folder / f"{name}.json").exists()), None)
        if file is None:
            listed = " or ".join(map(str, folders))
            found.missing[FAILED][name] = f"{name}.json is not in {listed}: it was not measured"
        else:
            files[name] = file
            found.documents[name] = json.loads(file.read_text())
    return found, files


def calibrate(folders: Sequence[Path], seeds: Sequence[int], paths: Sequence[Path]) -> None:
    """Learn the model's own error from what is in the folders of versions, and store it with where it comes from.

    Raises `UsageError`: reporting seeds are not to learn from, or there are too few graphs.
    """
    from experiments.application_graphs.rescore import predictions

    if not set(REPORTING).isdisjoint(seeds):
        raise UsageError("--calibrate: reporting seeds 101 to 120 are not to learn from; give development seeds")
    model, profile = load_model(paths[0], paths[1:]), load_profile(paths[0])
    known, files = measured(folders, seeds)
    graphs: dict[str, dict[str, Scored]] = {}
    for name, document in known.documents.items():
        try:
            raw, _, _ = predictions(document, files[name].with_suffix(".yaml"), model, profile)
        except UsageError as error:
            known.missing[LACKING][name] = str(error)
        else:
            graphs[name] = scored(document, raw)
    figures = own_errors(graphs)
    environment = next(iter(known.documents.values()))["environment"]
    in_a_row = list(seeds) == list(range(seeds[0], seeds[-1] + 1))
    listed = f"{seeds[0]}-{seeds[-1]}" if in_a_row else ",".join(map(str, seeds))
    learnt = {
        "format": own_error.FORMAT,
        "version": own_error.VERSION,
        "model": code_version(),
        "measured_by": ", ".join(folder.name for folder in folders),
        "machine": {name: environment.get(name) for name in ("cpu_model", "cpus", "kernel")},
        "profiles": [{"run_id": one.run_id, "cells": len(one.cells)} for one in map(load_profile, paths)],
        "commands": [
            f"{_RUN} {listed}",
            f"{_RUN} {listed} {' '.join(f'--calibrate results/{f.name}' for f in folders)}",
        ],
        "figures": figures,
        "graphs": {
            name: {figure: [*_figure_values(one)] for figure, one in found.items()} for name, found in graphs.items()
        },
        "left_out": {name: why for missing in known.missing.values() for name, why in missing.items()},
    }
    write_whole(own_error.FILE, json.dumps(learnt, indent=1) + "\n")
    for figure, one in figures.items():
        factors = ", ".join(f"× {math.exp(one[own_error.key(level)]):.3f} at {level:.0%}" for level in own_error.LEVELS)
        print(f"{figure}: {factors}, from {one['graphs']} graphs")


def _figure_values(one: Scored) -> tuple[float, ...]:
    """Predicted, both ends of what the profile says, and measured, to as many digits as matter."""
    values = (one.predicted.value, *one.predicted.interval, one.measured)
    return tuple(float(f"{value:.6g}") for value in values)


def _write(folder: Path, found: Found, seeds: Sequence[int], profiles: Sequence[Path], version: str) -> None:
    """The result so far, for people and for programs."""
    first = next(iter(found.documents.values()), None)
    part = "reporting" if set(seeds) <= set(REPORTING) else "development"
    figures = {name: _figures(document) for name, document in found.documents.items()}
    result = {
        "version": version,
        "seeds": list(seeds),
        "profiles": [str(path) for path in profiles],
        "environment": first["environment"] if first else {},
        "graphs": figures,
        **found.missing,
    }
    write_whole(folder / f"{part}.json", json.dumps(result, indent=1) + "\n")
    lines = ["# Result", "", f"Version {version}, {part} seeds."]
    lines += [f"Measured on {machine_text(first['environment'])}.", ""] if first else [""]
    write_whole(folder / f"{part}.md", "\n".join([*lines, *summary(found), ""]))


def _figures(document: Mapping[str, Any]) -> dict[str, Any]:
    """What a graph contributes to the summary: measured, predicted and their intervals. ns and vCPU."""
    return {
        "services": document["services"],
        "temperature": document["temperature"],
        "rate_rps": document["rate_rps"],
        "profile_run_id": document["profile_run_id"],
        **{
            figure: {
                kind: None if pair is None else [pair.predicted, *pair.outer, *pair.inner, pair.measured]
                for kind in KINDS
                for pair in [pair_of(document, figure, kind)]
            }
            for figure in FIGURES
        },
    }


def summary(found: Found) -> list[str]:
    """The summary table, and what is not in it."""
    missing = sum(map(len, found.missing.values()))
    lines = [f"{len(found.documents)} of {len(found.documents) + missing} graphs were validated.", ""]
    lines += table(HEADER, (row.cells() for row in rows_of(found.documents)))
    for kind, title in ((LACKING, "cannot be predicted"), (FAILED, "failed")):
        if found.missing[kind]:
            lines += ["", f"{len(found.missing[kind])} {title}:"]
            lines += [f"- {name}: {why}" for name, why in found.missing[kind].items()]
    if unscored := not_scored(found.documents):
        lines += ["", *(f"- {line}" for line in unscored)]
    return lines


def _line(document: Mapping[str, Any]) -> str:
    """One graph's errors in a line."""
    texts = []
    for figure in FIGURES:
        pairs = [pair_of(document, figure, kind) for kind in KINDS]
        shown = ["-" if pair is None else f"{pair.error_ratio:+.0%}" for pair in pairs]
        texts.append(f"{'CPU' if figure == 'cpu' else figure} {' / '.join(shown)}")
    return f"{document['rate_rps']:g}/s; raw / anchored: {', '.join(texts)}"


def _described(one: RandomGraph) -> str:
    graph = one.graph
    return (
        f"{len(graph.services)} services, {len(graph.calls)} calls, {graph.ingress[0].rate_rps:g} requests/s, "
        f"{one.temperature}"
    )


def _seeds(text: str) -> list[int]:
    """`1-20,101` as numbers in order, each once."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdecimal() or not (last or first).isdecimal():
            raise argparse.ArgumentTypeError(f"expected seeds such as 1-20 or 3,7; found {text!r}")
        low, high = int(first), int(last or first)
        if not low <= high <= _MOST_SEED or high - low >= 10_000:
            raise argparse.ArgumentTypeError(f"expected at most 10,000 seeds in rising order; found {part!r}")
        found += range(low, high + 1)
    return list(dict.fromkeys(found))


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 1.0 <= value <= 3600.0:
        raise argparse.ArgumentTypeError(f"expected seconds between 1 and 3600, found {text!r}")
    return value


def _some(known: tuple[T, ...], *, none: bool = False) -> Callable[[str], tuple[T, ...]]:
    """Reads some of the known names; with `none` that word stands for no name at all."""

    def parse(text: str) -> tuple[T, ...]:
        names = [] if none and text == "none" else text.split(",")
        wrong = next((name for name in names if name not in known), None)
        if wrong is not None:
            raise argparse.ArgumentTypeError(not_one_of(wrong, known))
        return tuple(name for name in known if name in names)

    return parse


if __name__ == "__main__":
    sys.exit(main())
