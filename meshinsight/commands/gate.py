"""`meshinsight gate`: whether a profile keeps limits, for CI. Works anywhere.

Exit status: 0 all limits hold; 1 one does not; 2 the request was wrong; 3 the intervals are too wide to decide.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from meshinsight.application import examples
from meshinsight.console import print_note
from meshinsight.options.cells import with_matching_cells
from meshinsight.options.checks import one_of, output_format
from meshinsight.options.comparison import CellGlob, Force
from meshinsight.options.panels import COMPARISON, LIMITS
from meshinsight.options.prediction import Profile
from meshinsight.reports.formats import FORMATS
from profiler.errors import UsageError

if TYPE_CHECKING:
    from profiler.comparison.limits import Limit as Parsed
    from profiler.profile.types import Profile as Found

EXIT_FAIL: Final = 1
EXIT_INCONCLUSIVE: Final = 3
_EXAMPLES: Final = examples(
    "meshinsight gate profile-out --limit 'latency.total.p99 < 2ms'",
    "meshinsight gate profile-out --baseline main --limit 'mean.cpu.total < +5%'",
    "meshinsight gate profile-out --baseline main --update-baseline",
)

Limits = Annotated[
    list[str] | None,
    typer.Option(
        "--limit",
        metavar="EXPRESSION",
        help="A limit, such as 'latency.parsing.p50 < +5%'. Can be given again.",
        rich_help_panel=LIMITS,
    ),
]
LimitsFile = Annotated[
    Path | None,
    typer.Option("--limits", metavar="FILE", help="File with a limit on each line.", rich_help_panel=LIMITS),
]
Baseline = Annotated[
    Path | None,
    typer.Option(metavar="PATH", help="Profile or its directory to compare with.", rich_help_panel=COMPARISON),
]
UpdateBaseline = Annotated[
    bool,
    typer.Option(
        "--update-baseline",
        help="Make PROFILE the baseline if all limits hold, or if there is none yet.",
        rich_help_panel=COMPARISON,
    ),
]
Inconclusive = Annotated[
    str | None,
    one_of(
        "--inconclusive",
        choices=("pass", "fail"),
        metavar="STATE",
        help="What an inconclusive result counts as: pass or fail; default: exit status 3.",
        rich_help_panel=LIMITS,
    ),
]


def register(app: typer.Typer) -> None:
    """Add `gate` to the command line."""
    app.command(name="gate", epilog=_EXAMPLES)(gate)


def gate(
    profile: Profile,
    limit: Limits = None,
    limits: LimitsFile = None,
    inconclusive: Inconclusive = None,
    baseline: Baseline = None,
    update_baseline: UpdateBaseline = False,
    cell: CellGlob = None,
    force: Force = False,
    output: Annotated[str, output_format(*FORMATS)] = "table",
) -> None:
    """Check whether a profile keeps limits.

    Limits are absolute or changes against a baseline, of the overhead or of one component. The exit status is 1 if a
    limit is not kept, and 3 if the intervals are too wide to decide.
    """
    wanted = _limits(limit or [], limits, update_baseline)
    if update_baseline and baseline is None:
        raise UsageError("--update-baseline: name the baseline to write with --baseline")
    from meshinsight.reports.subjects.gate import report
    from profiler.comparison.changes import changes, require_alike
    from profiler.comparison.compare import shared_cells
    from profiler.comparison.gate import FAIL, INCONCLUSIVE, PASS, check, overall
    from profiler.comparison.reading import load_comparable

    if update_baseline and baseline is not None and not wanted:
        load_comparable([profile])
        _store(profile, baseline)
        return
    found, before = _profiles(profile, baseline, cell, update_baseline)
    differing = changes(before, found, shared_cells(before, found)) if before else []
    if not force:
        require_alike(differing, str(baseline), str(profile))
    if update_baseline and before is None:
        print_note(f"--baseline {baseline}: no profile there yet, so limits of changes are not checked")
        wanted = [entry for entry in wanted if not entry.against]
    outcomes = check(wanted, found, before)
    if outcomes:
        shown = report(str(profile), None if before is None else str(baseline), outcomes, list(map(str, differing)))
        FORMATS[output](shown, sys.stdout)
    state: str = overall(outcomes)
    if state == INCONCLUSIVE and inconclusive is not None:
        state = inconclusive
    if state != PASS:
        raise typer.Exit(EXIT_FAIL if state == FAIL else EXIT_INCONCLUSIVE)
    if update_baseline and baseline is not None:
        _store(profile, baseline)


def _limits(given: list[str], file: Path | None, update_baseline: bool) -> "list[Parsed]":
    from profiler.comparison.limits import parse_limit, parse_limits
    from profiler.files.reading import read_text

    found = [parse_limit(text, "--limit") for text in given]
    if file is not None:
        found += parse_limits(read_text(file, "name a file with a limit on each line"), str(file))
    if not found and not update_baseline:
        raise UsageError("no limit given; give --limit 'latency.total.p99 < 2ms', or a file with --limits")
    return found


def _profiles(
    profile: Path, baseline: Path | None, cell: str | None, update_baseline: bool
) -> "tuple[Found, Found | None]":
    """The profile and the baseline; without a baseline where there is none, or none yet."""
    from profiler.comparison.reading import load_comparable

    if baseline is None or (update_baseline and not _profile_file(baseline).exists()):
        (found,) = load_comparable([profile])
        return with_matching_cells([(str(profile), found)], cell)[0], None
    if not _profile_file(baseline).exists():
        raise UsageError(
            f"--baseline {baseline}: no profile there; store one with: meshinsight gate PROFILE --baseline {baseline} "
            "--update-baseline"
        )
    before, found = load_comparable([baseline, profile])
    before, found = with_matching_cells([(str(baseline), before), (str(profile), found)], cell)
    return found, before


def _profile_file(path: Path) -> Path:
    from profiler.profile.document import FILE_NAME

    is_file = path.is_file() or (path.suffix == ".json" and not path.is_dir())
    return path if is_file else path / FILE_NAME


def _store(profile: Path, baseline: Path) -> None:
    """Copy the profile to the baseline's place, whole or not at all."""
    from profiler.files.reading import read_text
    from profiler.files.writing import unwritable, write_whole

    source, target = _profile_file(profile), _profile_file(baseline)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and source.samefile(target):
            raise UsageError(f"--baseline {baseline}: is the profile itself; name another place")
    except OSError as error:
        raise unwritable(target, error) from error
    write_whole(target, read_text(source, "name the profile's directory"))
    print_note(f"baseline written to {target}")
