"""`meshinsight advise`: the fewest changes of sidecars that meet limits. Works anywhere.

Exit status: 0 the limits are met, by changes or as it is; 1 they cannot be, or no way was found; 2 the request was
wrong.
"""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from meshinsight.application import examples
from meshinsight.models import load_model, planned_for
from meshinsight.options.checks import out_file, output_format
from meshinsight.options.panels import CHANGES, LIMITS
from meshinsight.options.prediction import (
    CpuModel,
    CrossingShare,
    Further,
    Graph,
    ProfileOrModel,
    Proxy,
    Samples,
    Seed,
    Transport,
)
from meshinsight.reports.formats import FORMATS, text_formats
from profiler.errors import UsageError

if TYPE_CHECKING:
    from predictor.advise.limits import Limit
    from predictor.advise.types import Advice
    from predictor.hop_costs.options import Options

EXIT_NOT_MET: Final = 1
_EXAMPLES: Final = examples(
    "meshinsight advise profile-out shop.yaml --slo p99=50ms",
    "meshinsight advise profile-out shop.yaml --max-cpu 200m --allow tls",
    "meshinsight advise profile-out shop.yaml --slo p95=20ms --out changed.yaml",
)

Slo = Annotated[
    list[str] | None,
    typer.Option(
        metavar="STAT=TIME",
        help="Limit of the latency with sidecars: mean, p50, p90, p95 or p99, such as p99=50ms.",
        rich_help_panel=LIMITS,
    ),
]
MaxOverhead = Annotated[
    list[str] | None,
    typer.Option(
        metavar="STAT=TIME", help="Limit of the latency that sidecars add, such as p99=5ms.", rich_help_panel=LIMITS
    ),
]
MaxCpu = Annotated[
    str | None,
    typer.Option(metavar="CPUS", help="Limit of the CPU of all sidecars, such as 4 or 200m.", rich_help_panel=LIMITS),
]
MaxMemory = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE", help="Limit of the memory of all sidecars, such as 512Mi or 2GiB.", rich_help_panel=LIMITS
    ),
]
Allow = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KIND",
        help="Kind of change to allow as well: tls, filter, shared, none, all.",
        show_default="protocol, client, uds",
        rich_help_panel=CHANGES,
    ),
]
Keep = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Do not change: a kind of change, or edges or services (globs).",
        rich_help_panel=CHANGES,
    ),
]


def register(app: typer.Typer) -> None:
    """Add `advise` to the command line."""
    app.command(name="advise", epilog=_EXAMPLES)(advise)


def advise(
    profile: ProfileOrModel,
    graph: Graph,
    further: Further = None,
    slo: Slo = None,
    max_overhead: MaxOverhead = None,
    max_cpu: MaxCpu = None,
    max_memory: MaxMemory = None,
    allow: Allow = None,
    keep: Keep = None,
    output: Annotated[str, output_format(*text_formats())] = "table",
    out: Annotated[Path | None, out_file(metavar="FILE", help="Call graph file to write, with the changes.")] = None,
    proxy: Proxy = None,
    transport: Transport = "ip",
    seed: Seed = 1,
    samples: Samples = 10_000,
    cpu_model: CpuModel = None,
    crossing_share: CrossingShare = None,
) -> None:
    """Find the fewest changes that meet latency and CPU limits.

    The changes are listed in order of what each saves; memory can be limited too. What the call graph marks as required
    stays. The exit status is 1 if the limits are not met.
    """
    limits = _limits(slo or (), max_overhead or (), max_cpu, max_memory)
    from meshinsight.reports.subjects.advice import report
    from predictor.advise.advise import advise as advising
    from predictor.advise.candidates import rules
    from predictor.graph.reader import load_graph
    from predictor.graph.writer import save_graph
    from predictor.hop_costs.options import Options

    loaded = load_graph(graph)
    chosen = rules(loaded, allow or (), keep or ())
    options = Options(proxy, transport, samples, seed, cpu_model, crossing_share=crossing_share)
    with planned_for(graph):
        found = advising(loaded, load_model(profile, further or ()), limits, chosen, options)
    if out is not None:
        save_graph(found.graph, out)
    FORMATS[output](report(found, _check(found, (profile, *(further or ())), graph, out, options)), sys.stdout)
    if not found.met:
        raise typer.Exit(EXIT_NOT_MET)


def _limits(
    slo: "list[str] | tuple[()]", overhead: "list[str] | tuple[()]", cpu: str | None, memory: str | None
) -> "list[Limit]":
    """All limits that were given. Raises `UsageError` if there is none."""
    from predictor.advise.limits import parse_cpu_limit, parse_memory_limit, parse_time_limit

    found = [parse_time_limit("--slo", "latency", text) for text in slo]
    found += [parse_time_limit("--max-overhead", "overhead", text) for text in overhead]
    found += [parse_cpu_limit("--max-cpu", cpu)] if cpu is not None else []
    found += [parse_memory_limit("--max-memory", memory)] if memory is not None else []
    if not found:
        raise UsageError("no limit given; give one or more of --slo, --max-overhead, --max-cpu, --max-memory")
    return found


def _check(found: "Advice", profiles: Sequence[Path], graph: Path, out: Path | None, options: "Options") -> str:
    """The command that predicts the changed graph; empty where nothing changes, or services do and no file has them."""
    if not found.steps or (found.sidecars and out is None):
        return ""
    words = ["meshinsight", "predict", str(profiles[0]), str(graph if out is None else out)]
    words += [word for further in profiles[1:] for word in ("--profile", str(further))]
    if out is None:
        words += [word for text in found.settings for word in ("--set", text)]
    words += ["--transport", found.transport] if found.transport != "ip" else []
    words += ["--proxy", options.proxy] if options.proxy is not None else []
    words += ["--cpu-model", options.cpu_model] if options.cpu_model is not None else []
    words += ["--crossing-share", str(options.crossing_share)] if options.crossing_share is not None else []
    words += ["--seed", str(options.seed)] if options.seed != 1 else []
    words += ["--samples", str(options.samples)] if options.samples != 10_000 else []
    return shlex.join(words)
