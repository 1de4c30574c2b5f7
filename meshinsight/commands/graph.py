"""`meshinsight graph`: call graph files from traces, metrics, topologies and manifests, and a check of such files."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TextIO

import typer

from profiler.errors import UsageError

if TYPE_CHECKING:
    from predictor.graph.types import CallGraph
    from predictor.importers.traces import TraceImport, TraceOptions

LISTED: Final = 12
"""So many lines of a kind are shown; the file has them all."""

graph_app = typer.Typer(
    name="graph",
    help="Make and check call graph files, what `meshinsight predict` works on.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Inputs = Annotated[
    list[Path],
    typer.Argument(metavar="INPUT…", help="Files, directories, or - for standard input; .gz is read as it is."),
]
Topology = Annotated[Path, typer.Argument(metavar="INPUT", help="One topology file.")]
Out = Annotated[Path, typer.Option("--out", metavar="GRAPH.yaml", help="The call graph file to write; - prints it.")]
Rate = Annotated[float | None, typer.Option("--rate", metavar="RPS", help="Requests per second that come in, in all.")]
FromTraces = Annotated[
    bool, typer.Option("--rate-from-traces", help="Take the rate from the time between the traces: all were recorded.")
]
Operation = Annotated[
    str | None, typer.Option("--operation", metavar="NAME", help="Only traces whose first span has this name.")
]
Incomplete = Annotated[
    bool, typer.Option("--allow-incomplete", help="Use what there is of traces with spans whose parent is missing.")
]


def register(app: typer.Typer) -> None:
    """Add `graph` and its subcommands to the command line."""
    app.add_typer(graph_app)


@graph_app.command(name="check")
def check(graph: Annotated[Path, typer.Argument(metavar="FILE", help="A call graph file.")]) -> None:
    """Check a call graph file: one line says what is wrong and where, or what is in it and what it leaves open."""
    from predictor.graph.reader import load_graph

    _describe(load_graph(graph), sys.stdout)


@graph_app.command(name="from-jaeger")
def from_jaeger(
    inputs: Inputs,
    out: Out,
    rate: Rate = None,
    rate_from_traces: FromTraces = False,
    operation: Operation = None,
    allow_incomplete: Incomplete = False,
) -> None:
    """From Jaeger's JSON: many traces become one graph with mean calls per request, sizes, service times."""

    def read(options: "TraceOptions") -> "TraceImport":
        from predictor.importers.jaeger import read_jaeger
        from predictor.importers.spans import Vocabulary
        from predictor.importers.traces import import_traces

        words = Vocabulary()
        return import_traces(read_jaeger(inputs, words), words, _named(inputs), options)

    _traces(read, out, rate, rate_from_traces, operation, allow_incomplete)


@graph_app.command(name="from-otlp")
def from_otlp(
    inputs: Inputs,
    out: Out,
    rate: Rate = None,
    rate_from_traces: FromTraces = False,
    operation: Operation = None,
    allow_incomplete: Incomplete = False,
) -> None:
    """From OpenTelemetry's traces, OTLP as JSON or protobuf."""

    def read(options: "TraceOptions") -> "TraceImport":
        from predictor.importers.otlp import read_otlp
        from predictor.importers.spans import Vocabulary
        from predictor.importers.traces import import_traces

        words = Vocabulary()
        return import_traces(read_otlp(inputs, words), words, _named(inputs), options)

    _traces(read, out, rate, rate_from_traces, operation, allow_incomplete)


@graph_app.command(name="from-zipkin")
def from_zipkin(
    inputs: Inputs,
    out: Out,
    rate: Rate = None,
    rate_from_traces: FromTraces = False,
    operation: Operation = None,
    allow_incomplete: Incomplete = False,
) -> None:
    """From Zipkin's JSON, version 2, Envoy's own traces included."""

    def read(options: "TraceOptions") -> "TraceImport":
        from predictor.importers.spans import Vocabulary
        from predictor.importers.traces import import_traces
        from predictor.importers.zipkin import read_zipkin

        words = Vocabulary()
        return import_traces(read_zipkin(inputs, words), words, _named(inputs), options)

    _traces(read, out, rate, rate_from_traces, operation, allow_incomplete)


@graph_app.command(name="from-isotope")
def from_isotope(topology: Topology, out: Out, rate: Rate = None) -> None:
    """From a service graph of Isotope (istio/tools)."""
    _check_rate(rate)
    from predictor.importers.isotope import read_isotope

    _write(read_isotope(topology, rate), out)


@graph_app.command(name="from-prometheus")
def from_prometheus(
    inputs: Inputs,
    out: Out,
    rate: Rate = None,
    over: Annotated[
        float | None, typer.Option("--over", metavar="SECONDS", help="The values are totals over so many seconds.")
    ] = None,
) -> None:
    """From istio_requests_total and the sizes beside it: Prometheus text, or the JSON of an instant query."""
    _check_rate(rate)
    if over is not None and not 0 < over < 1e12:
        raise UsageError(f"--over {over:g}: expected a number of seconds above 0")
    from predictor.importers.prometheus import read_prometheus

    _write(read_prometheus(inputs, rate, over), out)


@graph_app.command(name="from-manifests")
def from_manifests(inputs: Inputs, out: Out, rate: Rate = None) -> None:
    """From Kubernetes manifests: replicas, protocols by port, and calls as far as containers' settings name them."""
    _check_rate(rate)
    from predictor.importers.manifests import read_manifests

    _write(read_manifests(inputs, rate), out)


def _traces(
    read: "Callable[[TraceOptions], TraceImport]",
    out: Path,
    rate: float | None,
    from_traces: bool,
    operation: str | None,
    allow_incomplete: bool,
) -> None:
    """Read traces, write their graph, and say what determines how long they take."""
    _check_rate(rate)
    if rate is not None and from_traces:
        raise UsageError("--rate and --rate-from-traces: both say the rate; give one")
    from predictor.importers.merge import Rates
    from predictor.importers.traces import TraceOptions

    found = read(TraceOptions(Rates(rate, from_traces), operation, allow_incomplete))
    _write(found.graph, out)
    total = found.way_ns_per_trace + sum(share.own_ns_per_trace for share in found.path)
    print(
        f"{found.tally.traces} traces, {found.tally.spans} spans; critical path, {total / 1e6:.3g} ms:", file=sys.stderr
    )
    for share in found.path[:LISTED]:
        if share.own_ns_per_trace > 0:
            print(f"  {share.own_ns_per_trace / total:6.1%}  {share.service}", file=sys.stderr)
    if total > 0:
        print(f"  {found.way_ns_per_trace / total:6.1%}  between services", file=sys.stderr)


def _check_rate(rate: float | None) -> None:
    if rate is not None and not 0 <= rate < 1e12:
        raise UsageError(f"--rate {rate:g}: expected requests per second, 0 or more")


def _named(inputs: list[Path]) -> str:
    return str(inputs[0]) if len(inputs) == 1 else f"{inputs[0]} and {len(inputs) - 1} more"


def _write(graph: "CallGraph", out: Path) -> None:
    from predictor.graph.writer import graph_text, save_graph

    if str(out) == "-":
        sys.stdout.write(graph_text(graph))
    else:
        save_graph(graph, out)
        print(f"{out} written", file=sys.stderr)
    _describe(graph, sys.stderr)


def _describe(graph: "CallGraph", stream: TextIO) -> None:
    """What a graph has, and what in it is assumed."""
    rate = sum(entry.rate_rps for entry in graph.ingress)
    counts = f"{len(graph.services)} services, {len(graph.calls)} calls, {rate:g} requests per second from outside"
    print(counts, file=stream)
    if graph.assumed:
        print(f"assumed ({len(graph.assumed)}):", file=stream)
    for item in graph.assumed[:LISTED]:
        print(f"  {item}", file=stream)
    if len(graph.assumed) > LISTED:
        print(f"  … and {len(graph.assumed) - LISTED} more", file=stream)
