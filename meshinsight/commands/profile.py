"""`meshinsight profile`: measure sidecars on this machine, save the profile, show it."""

import os
import shlex
import sys
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from meshinsight import numbers
from meshinsight.application import examples
from meshinsight.console import print_note, write_document
from meshinsight.on_cluster import YAML, print_plan, profile_on_cluster, resume_on_cluster
from meshinsight.options.checks import output_format
from meshinsight.options.cluster import Cluster, ClusterOptions
from meshinsight.options.dimensions import Dimensions
from meshinsight.options.full import Full
from meshinsight.options.groups import grouped
from meshinsight.options.panels import MEASURE, OUTPUT, RUN, TIME
from meshinsight.reports.formats import FORMATS
from profiler.errors import UsageError
from profiler.host import extras
from profiler.vocabulary.hop import TOGETHER

if TYPE_CHECKING:
    from profiler.measuring.profiling import Outcome
    from profiler.planning.settings import ProfileSettings

QUICK: Final = {"topologies": ("client", "both"), "repeats": 4, "duration_s": 0.35}
"""What `--quick` changes of the defaults: a first answer within two minutes."""

OF_VARIANTS: Final = {"placements": (TOGETHER,)}
"""What is different where variants are compared: where the scheduler places processes, `ipc` changes from window to
window by far more than what a comparison is to find."""

QUICK_VARIANTS: Final = {"topologies": ("both",), "temperatures": ("hot",), "repeats": 9, "duration_s": 0.25}
"""The same where variants are compared, whose intervals come from differences of rounds: more rounds, fewer cells.

With `--budget` these cells get as many rounds as fit."""

_EXAMPLES: Final = examples(
    "sudo meshinsight profile --quick",
    "sudo meshinsight profile --for shop.yaml",
    "sudo meshinsight profile --budget 30m --out profiles/mesh",
    "sudo meshinsight profile --protocol grpc --tls none,mtls --topology both",
    "sudo meshinsight profile --quick --proxy-version 1.38.2,1.40.0",
    "meshinsight profile --cluster --mesh istio --image IMAGE",
)

DEFAULT_MATRIX, QUICK_MATRIX, BUDGET_MATRIX = "default", "quick", "budget"
"""The matrices of runs without a matrix of their own; the first two where no option chooses hops."""

_OF_HOPS: Final = ("protocols", "topologies", "tls", "filters", "proxies", "proxy_config", "transports")
"""Settings of options that choose hops."""

_OF_GRAPHS: Final = ("protocols", "topologies", "tls", "filters", "proxy_config", "request_bytes", "response_bytes")
"""Settings that follow from the call graphs."""


def register(app: typer.Typer) -> None:
    """Add `profile` to the command line."""
    app.command(name="profile", epilog=_EXAMPLES)(grouped(profile))


@dataclass(frozen=True)
class Run:
    """What to do, and where to keep what comes of it."""

    quick: Annotated[
        bool, typer.Option("--quick", help="A first result within two minutes: few cells.", rich_help_panel=TIME)
    ] = False
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Directory to write.", show_default="profiles/<time>", rich_help_panel=OUTPUT),
    ] = None
    matrix: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="YAML file of what to measure, or filters, proxies or alternatives.",
            rich_help_panel=MEASURE,
        ),
    ] = None
    graphs: Annotated[
        list[Path] | None,
        typer.Option(
            "--for",
            metavar="GRAPH",
            help="Measure what predicting this call graph needs; repeatable.",
            rich_help_panel=MEASURE,
        ),
    ] = None
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Measure the most informative cells that fit in this time, such as 30m.",
            rich_help_panel=TIME,
        ),
    ] = None
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and do nothing else.", rich_help_panel=RUN)
    ] = False
    resume: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Continue an interrupted run.", rich_help_panel=RUN)
    ] = None


@dataclass(frozen=True)
class Shown:
    """How a profile is printed."""

    output: str
    full: bool


def profile(
    *,
    run: Run,
    dimensions: Dimensions,
    cluster: Cluster = False,
    place: ClusterOptions,
    output: Annotated[str, output_format("table", "json", "markdown", YAML)] = "table",
    full: Full = False,
    print_bpf: Annotated[
        bool, typer.Option("--print-bpf", help="Print the BPF programs and do nothing else.", rich_help_panel=RUN)
    ] = False,
) -> None:
    """Measure what sidecars cost, by component.

    Runs sidecars under load on this machine or on a cluster, measures the latency and CPU time that they add, and
    saves a profile.
    """
    if print_bpf:
        _print_bpf()
        return
    chosen = dimensions.settings()
    if not cluster:
        place.require_cluster()
    if output == YAML and not (cluster and run.dry_run):
        raise UsageError("--output yaml: prints the objects of a run on a cluster; add --cluster --dry-run")
    if run.resume is not None:
        with_others = replace(run, resume=None) != Run() or bool(chosen)
        _resume(run.resume, with_others, place if cluster else None, Shown(output, full))
        return
    settings = _settings(run, chosen, dimensions)
    settings = replace(settings, ends=()) if cluster else settings.on(len(os.sched_getaffinity(0)))
    if run.dry_run:
        if cluster:
            print_plan(settings, place, output)
        else:
            _print_plan(settings)
        return
    if run.graphs:
        _print_time(settings)
    if cluster:
        directory = _new_directory(run.out)
        _show(profile_on_cluster(settings, place, directory), Shown(output, full), _resuming(directory))
    else:
        _measure(settings, _new_directory(run.out), Shown(output, full))


def _settings(run: Run, given: dict[str, Any], dimensions: Dimensions) -> "ProfileSettings":
    """Defaults, then what `--quick`, a matrix or call graphs say, then what single options say."""
    from profiler.planning.matrix import load_matrix, matrix_error, parse_budget_s
    from profiler.planning.settings import ProfileSettings
    from profiler.vocabulary.hop import ENDS

    several = len(given.get("variants", ())) > 1
    chosen: dict[str, Any] = {"ends": ENDS}
    if run.quick or (several and run.budget is not None):
        chosen = dict(QUICK_VARIANTS if several else QUICK)
    if several:
        chosen.update(OF_VARIANTS)
    if run.graphs:
        chosen.update(_for_graphs(run, given, dimensions))
    elif run.matrix is not None or (run.budget is not None and not several):
        chosen.update(load_matrix(run.matrix or BUDGET_MATRIX))
    elif not several and not set(given) & set(_OF_HOPS):
        chosen.update(load_matrix(QUICK_MATRIX if run.quick else DEFAULT_MATRIX))
    if run.budget is not None:
        chosen["budget_s"] = parse_budget_s("--budget", run.budget)
    if run.matrix is not None and "hops" in chosen and (wrong := _first_of(given, _OF_HOPS[:4])):
        raise UsageError(f"--matrix {run.matrix}: names hops one by one; leave {wrong} out")
    chosen.update(given)
    if "placements" in chosen:
        chosen["ends"] = ()  # these are all placements that are wanted
    try:
        return ProfileSettings(**chosen)
    except UsageError as error:
        raise (error if run.matrix is None else matrix_error(run.matrix, error, given)) from error


def _for_graphs(run: Run, given: dict[str, Any], dimensions: Dimensions) -> dict[str, Any]:
    """The settings that the call graphs need. Files of `--filter-file` are those of filters in the graphs."""
    from predictor.graph.reader import load_graph
    from predictor.hop_costs.profile_plan import settings_for

    files = dimensions.single_filter_files
    if files and not dimensions.filter:
        del given["filters"]
    if run.matrix is not None:
        raise UsageError("--for: chooses what to measure, as a matrix does; leave --matrix out")
    if any(variant.filter_file or variant.bootstrap for variant in given.get("variants", ())):
        raise UsageError("--for: the call graph says what to measure; leave lists of filters and configurations out")
    if wrong := _first_of(given, _OF_GRAPHS):
        raise UsageError(f"--for: the call graph says what to measure; leave {wrong} out")
    resolved = [str(Path(file).resolve()) for file in files]
    return settings_for([load_graph(graph) for graph in run.graphs or ()], resolved)


def _first_of(given: dict[str, Any], settings: Collection[str]) -> str:
    """The first option that was given for one of the settings, as it is typed; empty if none was."""
    from meshinsight.options.dimensions import option_of

    return next((option_of(name) for name in given if name in settings), "")


def _new_directory(out: Path | None) -> Path:
    from profiler.measuring.journal import Journal
    from profiler.measuring.output_folder import require_place
    from profiler.measuring.profiling import default_directory
    from profiler.profile.document import FILE_NAME

    directory = out or default_directory()
    require_place(directory, "--out")
    if Journal(directory).begun:
        resume = _resuming(directory)
        raise UsageError(f"--out {directory}: holds an unfinished run; {resume}, or remove it")
    if (directory / FILE_NAME).exists():
        raise UsageError(f"--out {directory}: already holds a profile, which is kept; choose another directory")
    return directory


def _resume(directory: Path, with_others: bool, place: ClusterOptions | None, shown: Shown) -> None:
    """Continue a run, on a cluster if there is a `place`."""
    from profiler.measuring.journal import Journal
    from profiler.measuring.output_folder import require_place

    if with_others:
        raise UsageError("--resume: continues with the settings of the run; leave the other options out")
    journal = Journal(directory)
    settings = journal.settings()
    if journal.on_cluster and place is None:
        raise UsageError(f"--resume {directory}: was begun on a cluster; add --cluster")
    if place is not None and not journal.on_cluster:
        raise UsageError(f"--resume {directory}: was begun on this machine; leave --cluster out")
    require_place(directory, "--resume")
    if place is None:
        _measure(settings, directory, shown)
    else:
        _show(resume_on_cluster(settings, place, directory), shown, _resuming(directory))


def _resuming(directory: Path) -> str:
    """How the run that is kept in a directory is continued."""
    from profiler.measuring.journal import Journal

    journal = Journal(directory)
    cluster = ("--cluster",) if journal.begun and journal.on_cluster else ()
    return f"continue with: {shlex.join(('meshinsight', 'profile', *cluster, '--resume', str(directory)))}"


def _measure(settings: "ProfileSettings", directory: Path, shown: Shown) -> None:
    extras.require(extras.MEASURE, "profile")
    settings = _with_programs(settings)
    from meshinsight import __version__
    from meshinsight.progress import Progress
    from profiler.measuring.profiling import Invocation, Profiling

    profiling = Profiling(settings, Invocation(("meshinsight", *sys.argv[1:]), __version__))
    resume = _resuming(directory)
    try:
        with Progress() as progress:
            outcome = profiling.run(directory, progress.update)
    except KeyboardInterrupt:
        print_note(_kept(directory, resume))
        raise
    _show(outcome, shown, resume)


def _with_programs(settings: "ProfileSettings") -> "ProfileSettings":
    """The settings with the programs of their variants; versions that are not in the cache are fetched."""
    from profiler.proxies.own_program import with_program

    return replace(settings, variants=tuple(map(with_program, settings.variants)))


def _kept(directory: Path, resume: str) -> str:
    """What a run that was stopped without a profile leaves."""
    from profiler.measuring.journal import Journal

    journal = Journal(directory)
    if not journal.begun:
        return "stopped before a cell had two rounds: nothing is kept"
    return f"stopped early: {numbers.plural(journal.blocks, 'finished block')} kept; {resume}"


def _show(outcome: "Outcome", shown: Shown, advice: str = "") -> None:
    """Print a profile; where the run ended early, print `advice` and raise what ended it."""
    from meshinsight.models import profile_model
    from meshinsight.reports.subjects import model, profile_summary
    from meshinsight.reports.subjects import profile as everything

    found = model.with_model(outcome.profile, profile_model(outcome.path.parent, outcome.profile))
    report = everything.report if shown.full or shown.output == "json" else profile_summary.report
    FORMATS[shown.output](report(found), sys.stdout)
    print_note(f"saved: {outcome.path}")
    if outcome.interrupted:
        cells = numbers.plural(len(outcome.profile.cells), "cell")
        print_note(f"stopped early: {cells} kept" + (f"; {advice}" if advice else ""))
        raise outcome.interrupted


def _print_plan(settings: "ProfileSettings") -> None:
    from meshinsight.reports.subjects.plan import report
    from profiler.measuring.profiling import Schedule

    schedule = Schedule(settings)
    FORMATS["table"](report(schedule.listing(), schedule.settings), sys.stdout)


def _print_time(settings: "ProfileSettings") -> None:
    """How long the run takes, which of a graph nobody can guess."""
    from meshinsight.reports.subjects.plan import sum_text
    from profiler.measuring.profiling import Schedule

    schedule = Schedule(settings)
    print_note(sum_text(schedule.listing(), schedule.settings))


def _print_bpf() -> None:
    from profiler.measuring.profiling import bpf_texts

    for name, text in bpf_texts().items():
        write_document(f"// ---- {name}.bpf.c\n{text}\n", sys.stdout)
