"""`meshinsight attach`: what a sidecar that already runs spends its CPU time on, and what it takes per message."""

import re
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from meshinsight.console import print_note
from meshinsight.on_cluster import attach_to_pods
from meshinsight.options.checks import output_format
from meshinsight.options.cluster import ClusterOptions, Context, Image, Kubeconfig
from meshinsight.reports.formats import FORMATS, text_formats
from profiler.errors import ProcessError, UsageError
from profiler.files.units import parse_duration_s
from profiler.text import one_line

if TYPE_CHECKING:
    from profiler.attach.results import Attached

_SHORTEST_S, _LONGEST_S = 0.5, 3600.0
_LEAST_OVERHEAD, _MOST_OVERHEAD = 0.001, 0.5


def register(app: typer.Typer) -> None:
    """Add `attach` to the command line."""
    app.command(name="attach")(attach)


def attach(
    pid: Annotated[
        list[int] | None, typer.Option("--pid", metavar="PID", help="A running sidecar; give it again for more.")
    ] = None,
    pod: Annotated[
        list[str] | None, typer.Option("--pod", metavar="NS/NAME", help="The sidecar of a pod of a Kubernetes cluster.")
    ] = None,
    selector: Annotated[
        str | None, typer.Option(metavar="LABELS", help="The sidecars of the pods that this selects, as for kubectl.")
    ] = None,
    namespace: Annotated[str, typer.Option(metavar="NAME", help="Of pods and selectors without one.")] = "default",
    container: Annotated[
        str | None, typer.Option(metavar="NAME", help="The proxy's container, if it is not that of a known mesh.")
    ] = None,
    profiler_namespace: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="With --pod: where the profiler is, prepared for runs; default: a new one."),
    ] = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    image: Image = None,
    duration: Annotated[str, typer.Option(metavar="TIME", help="How long to look, such as 30s or 5m.")] = "30s",
    max_overhead: Annotated[
        str, typer.Option(metavar="SHARE", help="What it may cost of the CPU time, such as 1% or 0.5%.")
    ] = "1%",
    output: Annotated[str, output_format(*text_formats())] = "table",
) -> None:
    """Decompose the CPU time and messages of a sidecar that already runs, read-only and within a bound."""
    on_cluster = bool(pod) or selector is not None
    if bool(pid) == on_cluster:
        raise UsageError(
            "attach needs to know what to look at: either --pid PID, or --pod NS/NAME or --selector LABELS"
        )
    duration_s, max_ratio = read_duration_s(duration), parse_ratio(max_overhead)
    options = ClusterOptions(kubeconfig=kubeconfig, context=context, image=image, namespace=profiler_namespace)
    if on_cluster:
        for one in attach_to_pods(options, pod or [], selector, namespace, container, duration_s, max_ratio, _say):
            _show(one, output)
            _require_all(one)
        return
    if profiler_namespace is not None:
        raise UsageError("--profiler-namespace: is for sidecars on a cluster; add --pod or --selector")
    options.require_cluster("--pod or --selector")
    from profiler.attach.attach import attach as run
    from profiler.attach.measuring import Settings
    from profiler.attach.targets import local_targets
    from profiler.host.interrupts import Interrupted

    found, signum = run(local_targets(pid or []), Settings(duration_s, max_ratio), _say)
    _show(found, output)
    if signum is not None:
        raise Interrupted(signum)
    _require_all(found)


def _show(found: "Attached", output: str) -> None:
    from meshinsight.reports.subjects.attached import report

    FORMATS[output](report(found), sys.stdout)


def _say(text: str) -> None:
    if sys.stderr.isatty():
        print_note(f"attach: {text}")


def _require_all(found: "Attached") -> None:
    """Raises ProcessError naming the targets that ended meanwhile."""
    if ended := [target.label for target in found.targets if target.ended]:
        raise ProcessError(f"{', '.join(ended)} ended within {found.asked_s:g} s; the result is of the time until then")


def read_duration_s(text: str) -> float:
    """`30s`, `500ms`, `5m`, or a number of seconds, in seconds. Raises UsageError."""
    try:
        seconds = parse_duration_s(text, bare_s=1.0)
    except ValueError:
        seconds = 0.0
    if not _SHORTEST_S <= seconds <= _LONGEST_S:
        raise UsageError(f"--duration: expected a time from 500ms to 1h, such as 30s; found {one_line(text)!r}")
    return seconds


def parse_ratio(text: str) -> float:
    """`1%` or `0.01` as a fraction. Raises UsageError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(%?)", text.strip())
    ratio = float(match[1]) / (100 if match[2] else 1) if match else 0.0
    if not _LEAST_OVERHEAD <= ratio <= _MOST_OVERHEAD:
        raise UsageError(f"--max-overhead: expected a share from 0.1% to 50%, such as 1%; found {one_line(text)!r}")
    return ratio
