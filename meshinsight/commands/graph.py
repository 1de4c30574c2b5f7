"""`meshinsight graph`: call graph files from traces, metrics, topologies and manifests, and a check of such files."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TextIO

import typer

from meshinsight import numbers
from meshinsight.application import Application, Commands, examples
from meshinsight.console import is_quiet, print_line, print_note, write_document
from meshinsight.options.checks import duration_option, out_file, rate_option
from meshinsight.options.panels import SOURCE
from profiler.errors import UsageError

if TYPE_CHECKING:
    from predictor.graph.types import CallGraph
    from predictor.importers.traces.reading import TraceImport

LISTED: Final = 12
"""So many lines of a kind are shown; the file has them all."""

graph_app = Application(
    cls=Commands,
    name="graph",
    help="Make and check call graph files, the input of predict.",
    rich_markup_mode=None,
)

Inputs = Annotated[
    list[Path],
    typer.Argument(metavar="INPUT", help="Files, directories, or - for standard input. Files may be .gz."),
]
Topology = Annotated[Path, typer.Argument(metavar="INPUT", help="Topology file, or - for standard input.")]
Out = Annotated[Path, out_file(metavar="GRAPH.yaml", help="Call graph file to write; - prints it.")]
Rate = Annotated[
    float | None,
    rate_option(
        "--rate",
        least_rps=0,
        most_rps=1e12,
        help="Requests per second of all entries together, such as 200 or 30/min.",
        rich_help_panel=SOURCE,
    ),
]
FromTraces = Annotated[
    bool,
    typer.Option(
        "--rate-from-traces",
        help="Take the rate from the times of the traces; needs traces of all requests.",
        rich_help_panel=SOURCE,
    ),
]
Operation = Annotated[
    str | None,
    typer.Option(
        "--operation", metavar="NAME", help="Only traces whose first span has this name.", rich_help_panel=SOURCE
    ),
]
Incomplete = Annotated[
    bool,
    typer.Option("--allow-incomplete", help="Use traces that lack the parent of a span, too.", rich_help_panel=SOURCE),
]


def register(app: typer.Typer) -> None:
    """Add `graph` and its subcommands to the command line."""
    app.add_typer(graph_app)


@graph_app.command(name="check")
def check(graph: Annotated[Path, typer.Argument(metavar="GRAPH", help="Call graph file.")]) -> None:
    """Check a call graph file.

    Prints what is in it and what it leaves open, or one line with what is wrong.
    """
    from predictor.graph.reader import load_graph

    with _right_command("check", [graph]):
        found = load_graph(graph)
    _describe(found, sys.stdout)


def _add_trace_command(reader: str, about: str) -> None:
    """The command for one trace format, read by `predictor.importers.traces.formats.READER`."""

    def command(
        inputs: Inputs,
        out: Out,
        rate: Rate = None,
        rate_from_traces: FromTraces = False,
        operation: Operation = None,
        allow_incomplete: Incomplete = False,
    ) -> None:
        if rate is not None and rate_from_traces:
            raise UsageError("--rate and --rate-from-traces: both give the rate; leave one out")
        from predictor.importers.traces.calls.merge import Rates
        from predictor.importers.traces.reading import TraceOptions, import_traces
        from predictor.importers.traces.spans.spans import Vocabulary

        read = getattr(import_module(f"predictor.importers.traces.formats.{reader}"), f"read_{reader}")
        words, options = Vocabulary(), TraceOptions(Rates(rate, rate_from_traces), operation, allow_incomplete)
        with _right_command(f"from-{reader}", inputs):
            found = import_traces(read(inputs, words), words, _named(inputs), options)
        _write(found.graph, out)
        _tell_path(found)

    example = examples(f"meshinsight graph from-{reader} traces.json --rate 200 --out shop.yaml")
    graph_app.command(name=f"from-{reader}", help=about, epilog=example)(command)


_add_trace_command(
    "jaeger",
    "Make a call graph of Jaeger traces (JSON).\n\nThe traces become one graph with mean calls, sizes and times.",
)
_add_trace_command("otlp", "Make a call graph of OpenTelemetry traces (OTLP).\n\nReads OTLP as JSON and as protobuf.")
_add_trace_command(
    "zipkin", "Make a call graph of Zipkin traces (JSON).\n\nReads versions 2 and 1, and the traces that Envoy writes."
)


@graph_app.command(name="from-isotope", epilog=examples("meshinsight graph from-isotope topology.yaml --out shop.yaml"))
def from_isotope(topology: Topology, out: Out, rate: Rate = None) -> None:
    """Make a call graph of an Isotope topology (istio/tools)."""
    from predictor.importers.isotope import read_isotope

    with _right_command("from-isotope", [topology]):
        graph = read_isotope(topology, rate)
    _write(graph, out)


@graph_app.command(
    name="from-prometheus",
    epilog=examples(
        "meshinsight graph from-prometheus metrics.txt --over 1h --out shop.yaml",
        "meshinsight graph from-prometheus query.json --out shop.yaml",
    ),
)
def from_prometheus(
    inputs: Inputs,
    out: Out,
    rate: Rate = None,
    over: Annotated[
        float | None,
        duration_option(
            "--over",
            least_s=0.001,
            most_s=1e12,
            help="Time that the values are totals of, such as 1h; default: they are rates.",
            rich_help_panel=SOURCE,
        ),
    ] = None,
) -> None:
    """Make a call graph of Istio's metrics in Prometheus.

    Reads istio_requests_total and the sizes, as Prometheus text or as the JSON of an instant query.
    """
    from predictor.importers.metrics.prometheus import read_prometheus

    with _right_command("from-prometheus", inputs):
        graph = read_prometheus(inputs, rate, over)
    _write(graph, out)


@graph_app.command(
    name="from-manifests", epilog=examples("meshinsight graph from-manifests manifests/ --rate 200 --out shop.yaml")
)
def from_manifests(inputs: Inputs, out: Out, rate: Rate = None) -> None:
    """Make a call graph of Kubernetes manifests.

    Reads replicas, protocols by port, and the calls that the settings of containers name.
    """
    from predictor.importers.manifests.reading import read_manifests

    with _right_command("from-manifests", inputs):
        graph = read_manifests(inputs, rate)
    _write(graph, out)


def _tell_path(found: "TraceImport") -> None:
    """Say what determines how long the traces take."""
    total = found.way_ns_per_trace + sum(share.own_ns_per_trace for share in found.path)
    print_note(
        f"{numbers.plural(found.tally.traces, 'trace')}, {numbers.plural(found.tally.spans, 'span')}; "
        f"critical path, {numbers.significant(total / 1e6)} ms:"
    )
    for share in found.path[:LISTED]:
        if share.own_ns_per_trace > 0:
            print_note(f"  {share.own_ns_per_trace / total:6.1%}  {share.service}")
    if total > 0:
        print_note(f"  {found.way_ns_per_trace / total:6.1%}  between services")


@contextmanager
def _right_command(command: str, inputs: list[Path]) -> Iterator[None]:
    """Where an input cannot be read because it is of another kind: the error says which command reads it."""
    try:
        yield
    except UsageError as error:
        from predictor.importers.traces.formats.recognise import recognise

        for path in inputs:
            what, other = recognise(path)
            if other not in ("", command):
                raise UsageError(f"{path}: holds {what}; read it with `meshinsight graph {other}`") from error
        raise


def _named(inputs: list[Path]) -> str:
    return str(inputs[0]) if len(inputs) == 1 else f"{inputs[0]} and {len(inputs) - 1} more"


def _write(graph: "CallGraph", out: Path) -> None:
    from predictor.graph.writer import graph_text, save_graph

    if str(out) == "-":
        write_document(graph_text(graph), sys.stdout)
    else:
        save_graph(graph, out)
        print_note(f"{out} written")
    if not is_quiet():
        _describe(graph, sys.stderr)


def _describe(graph: "CallGraph", stream: TextIO) -> None:
    """What a graph has, and what in it is assumed."""
    closed, rate = graph.closed_loop, sum(entry.rate_rps for entry in graph.ingress)
    load = f"{rate:g} requests per second" if closed is None else f"requests over {closed.connections} connections"
    services, calls = numbers.plural(len(graph.services), "service"), numbers.plural(len(graph.calls), "call")
    counts = f"{services}, {calls}, {load} from outside"
    print_line(counts, stream)
    if graph.assumed:
        print_line(f"assumed ({len(graph.assumed)}):", stream)
    for item in graph.assumed[:LISTED]:
        print_line(f"  {item}", stream)
    if len(graph.assumed) > LISTED:
        print_line(f"  … and {len(graph.assumed) - LISTED} more", stream)
