"""`meshinsight advise`: the fewest changes of sidecars that meet limits. Works anywhere.

Exit status: 0 the limits are met, by changes or as it is; 1 they cannot be, or no way was found; 2 the request was
wrong.
"""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from meshinsight.models import load_model
from meshinsight.options.checks import out_file, output_format
from meshinsight.options.prediction import (
    CpuModel,
    CrossingShare,
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


def register(app: typer.Typer) -> None:
    """Add `advise` to the command line."""
    app.command(name="advise")(advise)


def advise(
    profile: ProfileOrModel,
    graph: Graph,
    slo: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STAT=DURATION", help="Limit of latency with sidecars: mean, p50, p90 or p99, as p99=50ms."
        ),
    ] = None,
    max_overhead: Annotated[
        list[str] | None, typer.Option(metavar="STAT=DURATION", help="Limit of what sidecars add to it, as p99=5ms.")
    ] = None,
    max_cpu: Annotated[float | None, typer.Option(metavar="VCPU", help="Limit of CPU of all sidecars.")] = None,
    max_memory: Annotated[str | None, typer.Option(metavar="SIZE", help="Limit of their memory, as 2GiB.")] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND", help="Kinds of changes besides protocol, client, uds: tls, filter, shared, none; all."
        ),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Leave alone: a kind of change, edges or services (globs)."),
    ] = None,
    output: Annotated[str, output_format(*text_formats())] = "table",
    out: Annotated[Path | None, out_file(metavar="FILE", help="Write the changed call graph there.")] = None,
    proxy: Proxy = None,
    transport: Transport = "ip",
    seed: Seed = 1,
    samples: Samples = 10_000,
    cpu_model: CpuModel = None,
    crossing_share: CrossingShare = None,
) -> None:
    """Find the fewest changes that meet limits of latency, CPU and memory, in order of what each saves.

    What the file marks as required stays. Exit status 1 says that the limits cannot be met.
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
    found = advising(loaded, load_model(profile), limits, chosen, options)
    if out is not None:
        save_graph(found.graph, out)
    FORMATS[output](report(found, _check(found, profile, graph, out, options)), sys.stdout)
    if not found.met:
        raise typer.Exit(EXIT_NOT_MET)


def _limits(
    slo: "list[str] | tuple[()]", overhead: "list[str] | tuple[()]", cpu: float | None, memory: str | None
) -> "list[Limit]":
    """All limits that were given. Raises `UsageError` if there is none."""
    from predictor.advise.limits import cpu_limit, parse_memory_limit, parse_time_limit

    found = [parse_time_limit("--slo", "latency", text) for text in slo]
    found += [parse_time_limit("--max-overhead", "overhead", text) for text in overhead]
    found += [cpu_limit("--max-cpu", cpu)] if cpu is not None else []
    found += [parse_memory_limit("--max-memory", memory)] if memory is not None else []
    if not found:
        raise UsageError("no limit given; give one or more of --slo, --max-overhead, --max-cpu, --max-memory")
    return found


def _check(found: "Advice", profile: Path, graph: Path, out: Path | None, options: "Options") -> str:
    """The command that predicts the changed graph; empty where nothing changes, or services do and no file has them."""
    if not found.steps or (found.sidecars and out is None):
        return ""
    words = ["meshinsight", "predict", str(profile), str(graph if out is None else out)]
    if out is None:
        words += [word for text in found.settings for word in ("--set", text)]
    words += ["--transport", found.transport] if found.transport != "ip" else []
    words += ["--proxy", options.proxy] if options.proxy is not None else []
    words += ["--cpu-model", options.cpu_model] if options.cpu_model is not None else []
    words += ["--crossing-share", str(options.crossing_share)] if options.crossing_share is not None else []
    words += ["--seed", str(options.seed)] if options.seed != 1 else []
    words += ["--samples", str(options.samples)] if options.samples != 10_000 else []
    return shlex.join(words)
