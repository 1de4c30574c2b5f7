"""`meshinsight attach`: what a sidecar that already runs spends its CPU time on, and what it takes per message."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from meshinsight.application import examples
from meshinsight.console import is_verbose, print_note
from meshinsight.on_cluster import attach_to_pods
from meshinsight.options.checks import duration_option, out_file, output_format
from meshinsight.options.cluster import ClusterOptions, Context, Image, Kubeconfig
from meshinsight.options.panels import CLUSTER, TARGET, TIME
from meshinsight.reports.formats import FORMATS, text_formats
from profiler.errors import ProcessError, UsageError
from profiler.text import one_line

if TYPE_CHECKING:
    from profiler.attach.results import Attached

_SHORTEST_S, _LONGEST_S = 0.5, 3600.0
_LEAST_RATIO, _MOST_RATIO = 0.001, 0.5
_EXAMPLES: Final = examples(
    'sudo meshinsight attach --pid "$(pgrep -n envoy)"',
    "meshinsight attach --pod shop/cart-7d9f4 --duration 1m",
    "meshinsight attach --selector app=cart --namespace shop --cpu-budget 0.5%",
    'sudo meshinsight attach --pid "$(pgrep -n envoy)" --stacks envoy.stacks',
)

Pid = Annotated[
    list[int] | None,
    typer.Option(
        "--pid", metavar="PID", help="Process of a running sidecar. Can be given again.", rich_help_panel=TARGET
    ),
]
Pod = Annotated[
    list[str] | None,
    typer.Option(
        "--pod",
        metavar="NS/NAME",
        help="Kubernetes pod with a sidecar. Can be given again.",
        rich_help_panel=TARGET,
    ),
]
Selector = Annotated[
    str | None,
    typer.Option(metavar="LABELS", help="Labels of pods with sidecars, as for kubectl.", rich_help_panel=TARGET),
]
Namespace = Annotated[
    str, typer.Option(metavar="NAME", help="Namespace of --pod and --selector.", rich_help_panel=TARGET)
]
Container = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Container of the proxy, if not that of Istio or Linkerd.", rich_help_panel=TARGET
    ),
]
ProfilerNamespace = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Prepared namespace for the pod that measures; default: a new one.",
        rich_help_panel=CLUSTER,
    ),
]
Duration = Annotated[
    float,
    duration_option(
        "--duration",
        least_s=_SHORTEST_S,
        most_s=_LONGEST_S,
        default_s=30.0,
        help="How long to observe, such as 30s or 5m.",
        rich_help_panel=TIME,
    ),
]
CpuBudget = Annotated[
    str,
    typer.Option(
        metavar="SHARE",
        help="Share of the CPU time that attach itself may take, 0.1% to 50%.",
        rich_help_panel=TIME,
    ),
]
Stacks = Annotated[
    Path | None,
    out_file(
        "--stacks",
        metavar="FILE",
        help="File to write the sampled stacks to, for export.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add `attach` to the command line."""
    app.command(name="attach", epilog=_EXAMPLES)(attach)


def attach(
    pid: Pid = None,
    pod: Pod = None,
    selector: Selector = None,
    namespace: Namespace = "default",
    container: Container = None,
    profiler_namespace: ProfilerNamespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    image: Image = None,
    duration: Duration = 30.0,
    cpu_budget: CpuBudget = "1%",
    output: Annotated[str, output_format(*text_formats())] = "table",
    stacks: Stacks = None,
) -> None:
    """Show what a running sidecar spends CPU time on; read-only.

    CPU time by component, messages and their delay in the proxy. Nothing is deployed, sent or changed, and the option
    --cpu-budget limits the CPU time that attach itself takes.
    """
    on_cluster = bool(pod) or selector is not None
    if bool(pid) == on_cluster:
        raise UsageError("attach needs a sidecar to attach to: either --pid PID, or --pod NS/NAME or --selector LABELS")
    max_ratio = parse_ratio(cpu_budget)
    options = ClusterOptions(kubeconfig=kubeconfig, context=context, image=image, namespace=profiler_namespace)
    if on_cluster:
        on_nodes = attach_to_pods(options, pod or [], selector, namespace, container, duration, max_ratio, _say)
        for one in on_nodes:
            _show(one, output)
        _write_stacks(stacks, on_nodes)
        for one in on_nodes:
            _require_all(one)
        return
    if profiler_namespace is not None:
        raise UsageError("--profiler-namespace: is for sidecars on a cluster; add --pod or --selector")
    options.require_cluster("--pod or --selector")
    from profiler.attach.attach import attach as run
    from profiler.attach.measuring import Settings
    from profiler.attach.targets import local_targets
    from profiler.host.interrupts import Interrupted

    found, signum = run(local_targets(pid or []), Settings(duration, max_ratio), _say)
    _show(found, output)
    _write_stacks(stacks, [found])
    if signum is not None:
        raise Interrupted(signum)
    _require_all(found)


def _show(found: "Attached", output: str) -> None:
    from meshinsight.reports.subjects.attached import report

    FORMATS[output](report(found), sys.stdout)


def _write_stacks(file: Path | None, found: "Sequence[Attached]") -> None:
    """Raises ProcessError where nothing was sampled."""
    if file is None:
        return
    from profiler.files.writing import write_whole
    from profiler.profile.stacks import packed

    stacks = [one for attached in found for one in attached.stacks]
    if not stacks:
        raise ProcessError(
            f"--stacks {file}: not written: CPU time was not sampled; a warning of the result has the reason"
        )
    write_whole(file, packed(stacks))


def _say(text: str) -> None:
    if sys.stderr.isatty() or is_verbose():
        print_note(f"attach: {text}")


def _require_all(found: "Attached") -> None:
    """Raises ProcessError naming the targets that ended meanwhile."""
    if ended := [target.label for target in found.targets if target.ended]:
        raise ProcessError(f"{', '.join(ended)} ended within {found.asked_s:g} s; the result is of the time until then")


def parse_ratio(text: str) -> float:
    """`1%` or `0.01` as a fraction. Raises UsageError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(%?)", text.strip())
    ratio = float(match[1]) / (100 if match[2] else 1) if match else 0.0
    if not _LEAST_RATIO <= ratio <= _MOST_RATIO:
        raise UsageError(f"--cpu-budget: expected a share from 0.1% to 50%, such as 1%; found {one_line(text)!r}")
    return ratio
