"""`meshinsight profile`: measure sidecars on this machine, save the profile, show it."""

import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from meshinsight.commands.on_cluster import ClusterOptions, print_objects, profile_on_cluster
from meshinsight.console import print_note, write_document, write_json_document
from profiler.errors import MeshInsightError, UsageError

if TYPE_CHECKING:
    from profiler.measuring.profiling import Outcome
    from profiler.planning.settings import ProfileSettings

OUTPUTS: Final = ("table", "json")
QUICK: Final = {"topologies": ("client", "both"), "repeats": 4, "duration_s": 0.5}
"""What `--quick` changes of the defaults: a first answer within two minutes."""

BUDGET_MATRIX: Final = "budget"
"""The matrix of a run with a budget and without a matrix of its own."""

_HEADERS: Final = re.compile(r"(?P<count>[0-9]{1,9})(x(?P<bytes>[0-9]{1,9}))?")


def register(app: typer.Typer) -> None:
    """Add `profile` to the command line."""
    app.command()(profile)


def profile(
    quick: Annotated[bool, typer.Option("--quick", help="A first answer within two minutes.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where to save; default profiles/<time>.")] = None,
    matrix: Annotated[
        str | None, typer.Option(metavar="FILE", help="What to cover, as YAML; or filters, proxies, alternatives.")
    ] = None,
    budget: Annotated[
        str | None, typer.Option(metavar="TIME", help="Measure what says most in 10m, 1h, …, not all combinations.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and do nothing else.")] = False,
    resume: Annotated[Path | None, typer.Option(metavar="DIR", help="Go on with an interrupted run.")] = None,
    protocol: Annotated[str | None, typer.Option(metavar="NAME,..", help="tcp, http1, http2, grpc.")] = None,
    topology: Annotated[
        str | None, typer.Option(metavar="NAME,..", help="Sides with a sidecar: none, client, server, both; shared.")
    ] = None,
    proxy: Annotated[str | None, typer.Option(metavar="NAME,..", help="envoy, haproxy, nginx.")] = None,
    tls: Annotated[str | None, typer.Option(metavar="NAME,..", help="Between sidecars: none, mtls.")] = None,
    filter_name: Annotated[
        list[str] | None,
        typer.Option("--filter", metavar="NAME", help="Measure this filter (several: each on its own; a+b: a chain)."),
    ] = None,
    filter_file: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Measure an Envoy filter of your own, as YAML.")
    ] = None,
    proxy_config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Measure this complete Envoy bootstrap as it is.")
    ] = None,
    transport: Annotated[
        str | None, typer.Option(metavar="NAME,..", help="Between application and sidecar: ip, uds (Unix socket).")
    ] = None,
    request_bytes: Annotated[str | None, typer.Option(metavar="N,..", help="Sizes of the request body.")] = None,
    response_bytes: Annotated[str | None, typer.Option(metavar="N,..", help="Sizes of the response body.")] = None,
    headers: Annotated[
        str | None, typer.Option(metavar="N,..", help="Further request headers; 20x100 is 20 of 100 bytes each.")
    ] = None,
    messages: Annotated[
        str | None, typer.Option(metavar="N,..", help="Messages per gRPC answer: 1 unary, more server streaming.")
    ] = None,
    rate: Annotated[
        str | None, typer.Option(metavar="R,..|max", help="Requests per second (open loop), or max (closed loop).")
    ] = None,
    connections: Annotated[str | None, typer.Option(metavar="N,..", help="Numbers of connections.")] = None,
    new_connections: Annotated[
        bool, typer.Option("--new-connections", help="A new connection for every request, instead of keep-alive.")
    ] = False,
    workers: Annotated[str | None, typer.Option(metavar="N,..", help="Worker threads of the proxy.")] = None,
    duration: Annotated[float | None, typer.Option(metavar="S", help="Seconds measured per round and cell.")] = None,
    repeats: Annotated[int | None, typer.Option(metavar="N", help="Rounds.")] = None,
    idle: Annotated[str | None, typer.Option(metavar="MODE", help="awake (default) or natural.")] = None,
    temperature: Annotated[
        str | None, typer.Option(metavar="NAME,..", help="Caches: hot, cold-25, cold-50, cold-75, cold, natural.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Seed of the order of rounds and of resampling.")
    ] = None,
    cluster: Annotated[
        bool, typer.Option("--cluster", help="Measure on a Kubernetes cluster instead of this machine.")
    ] = False,
    kubeconfig: Annotated[Path | None, typer.Option(metavar="FILE", help="With --cluster: as for kubectl.")] = None,
    context: Annotated[str | None, typer.Option(metavar="NAME", help="With --cluster: as for kubectl.")] = None,
    namespace: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --cluster: instead of one that is made for the run.")
    ] = None,
    allow_foreign_namespace: Annotated[
        bool, typer.Option("--allow-foreign-namespace", help="Use a --namespace that was there before.")
    ] = False,
    node: Annotated[str | None, typer.Option(metavar="NAME", help="With --cluster: where to measure.")] = None,
    server_node: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --cluster: where servers are, if not on --node.")
    ] = None,
    mesh: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="With --cluster: builtin (our own sidecars), istio, linkerd, or a file."),
    ] = None,
    image: Annotated[
        str | None, typer.Option(metavar="IMAGE", help="With --cluster: MeshInsight's image, as nodes get it.")
    ] = None,
    output: Annotated[str, typer.Option("--output", "-o", help="table or json.")] = "table",
    print_bpf: Annotated[bool, typer.Option("--print-bpf", help="Print the BPF programs and do nothing else.")] = False,
) -> None:
    """Measure what a sidecar costs on this machine, or on a cluster, and where the cost comes from."""
    if output not in OUTPUTS:
        raise UsageError(f"-o {output}: unknown output format; choose {' or '.join(OUTPUTS)}")
    if print_bpf:
        _print_bpf()
        return
    given = {
        "protocols": _names(protocol),
        "topologies": _names(topology),
        "proxies": _names(proxy),
        "tls": _names(tls),
        "filters": _filters(filter_name or [], filter_file or []),
        "proxy_config": str(proxy_config.resolve()) if proxy_config else None,
        "transports": _names(transport),
        "request_bytes": _sizes("request-bytes", request_bytes),
        "response_bytes": _sizes("response-bytes", response_bytes),
        "headers": _header_levels(headers),
        "messages": _integers("messages", messages),
        "rates_rps": _rates(rate),
        "connections": _integers("connections", connections),
        "new_connections": (True,) if new_connections else None,
        "workers": _integers("workers", workers),
        "duration_s": duration,
        "repeats": repeats,
        "idle": idle,
        "temperatures": _names(temperature),
        "seed": seed,
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    there = ClusterOptions(kubeconfig, context, namespace, allow_foreign_namespace, node, server_node, mesh, image)
    if not cluster:
        there.require_cluster()
    elif resume is not None:
        raise UsageError("--resume: not on a cluster; measure anew")
    if resume is not None:
        _resume(resume, out, {**chosen, "matrix": matrix, "budget": budget, "quick": quick, "dry_run": dry_run}, output)
        return
    settings = _settings(quick, matrix, budget, chosen)
    if dry_run:
        if cluster:
            print_objects(settings, there)
        else:
            _print_plan(settings)
    elif cluster:
        _show(profile_on_cluster(settings, there, _new_directory(out)), output)
    else:
        _measure(settings, _new_directory(out), output)


def _settings(quick: bool, matrix: str | None, budget: str | None, given: dict[str, Any]) -> "ProfileSettings":
    """Defaults, then what `--quick` or a matrix says, then what single options say."""
    from profiler.planning.matrix import load_matrix, matrix_error, parse_duration
    from profiler.planning.settings import ProfileSettings

    chosen: dict[str, Any] = dict(QUICK) if quick else {}
    if matrix is not None or budget is not None:
        chosen.update(load_matrix(matrix or BUDGET_MATRIX))
    if budget is not None:
        chosen["budget_s"] = parse_duration("--budget", budget)
    chosen.update(given)
    try:
        return ProfileSettings(**chosen)
    except UsageError as error:
        raise (error if matrix is None else matrix_error(matrix, error, given)) from error


def _new_directory(out: Path | None) -> Path:
    from profiler.measuring.journal import Journal
    from profiler.measuring.output_folder import require_place
    from profiler.measuring.profiling import default_directory
    from profiler.profile.document import FILE_NAME

    directory = out or default_directory()
    require_place(directory, "--out")
    if Journal(directory).begun:
        resume = shlex.join(("--resume", str(directory)))
        raise UsageError(f"--out {directory}: holds an unfinished run; continue it with {resume}, or remove it")
    if (directory / FILE_NAME).exists():
        raise UsageError(f"--out {directory}: already holds a profile, which is kept; choose another directory")
    return directory


def _resume(directory: Path, out: Path | None, others: dict[str, Any], output: str) -> None:
    from profiler.measuring.journal import Journal
    from profiler.measuring.output_folder import require_place

    if out is not None or any(value for value in others.values()):
        raise UsageError("--resume: goes on with the settings of the run; leave the other options out")
    settings = Journal(directory).settings()
    require_place(directory, "--resume")
    _measure(settings, directory, output)


def _measure(settings: "ProfileSettings", directory: Path, output: str) -> None:
    from meshinsight import __version__
    from meshinsight.progress import Progress
    from profiler.measuring.profiling import Invocation, Profiling

    profiling = Profiling(settings, Invocation(("meshinsight", *sys.argv[1:]), __version__))
    with Progress() as progress:
        outcome = profiling.run(directory, progress.update)
    _show(outcome, output, f"go on with: {shlex.join(('meshinsight', 'profile', '--resume', str(directory)))}")


def _show(outcome: "Outcome", output: str, advice: str = "") -> None:
    """Print a profile; where the run ended early, say `advice` and raise what ended it."""
    from meshinsight.reports.subjects import profile as table

    directory = outcome.path.parent
    document = outcome.document if outcome.interrupted else _with_model(outcome.document, directory)
    if output == "json":
        write_json_document(document, sys.stdout)
    else:
        table.print_profile(document)
    print_note(f"saved: {outcome.path}")
    if outcome.interrupted:
        if advice:
            print_note(advice)
        raise outcome.interrupted


def _with_model(document: dict[str, Any], directory: Path) -> dict[str, Any]:
    """The profile with the error of its model, which is stored beside it. What was measured is safe before that."""
    from meshinsight.commands.fit import keep_model

    try:
        return keep_model(document, directory)
    except MeshInsightError as error:
        print_note(f"meshinsight: warning: the model is not stored: {error}")
        return document


def _print_plan(settings: "ProfileSettings") -> None:
    from meshinsight.reports.subjects.plan import print_plan
    from profiler.measuring.profiling import Schedule

    schedule = Schedule(settings)
    print_plan(schedule.listing(), schedule.settings, sys.stdout)


def _print_bpf() -> None:
    from profiler.measuring.profiling import bpf_texts

    for name, text in bpf_texts().items():
        write_document(f"// ---- {name}.bpf.c\n{text}\n", sys.stdout)


def _names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def _filters(names: list[str], files: list[Path]) -> tuple[tuple[str, ...], ...] | None:
    """The chains to measure: none as the reference, then each that was named."""
    chains = [tuple(part.strip() for part in name.split("+")) for name in names]
    chains += [(str(file.resolve()),) for file in files]
    return ((), *chains) if chains else None


def _sizes(option: str, text: str | None) -> tuple[int, ...] | None:
    from profiler.planning.matrix import parse_size

    if text is None:
        return None
    try:
        return tuple(parse_size(part.strip()) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--{option}: {text!r} is not a list of whole numbers, or sizes such as 64KiB") from None


def _header_levels(text: str | None) -> tuple[tuple[int, int], ...] | None:
    from profiler.planning.matrix import DEFAULT_HEADER_BYTES

    if text is None:
        return None
    levels = []
    for part in text.split(","):
        found = _HEADERS.fullmatch(part.strip())
        if not found:
            raise UsageError(f"--headers: {part.strip()!r} is neither a number nor a number x bytes, as in 20x100")
        levels.append((int(found["count"]), int(found["bytes"] or DEFAULT_HEADER_BYTES)))
    return tuple(levels)


def _integers(option: str, text: str | None) -> tuple[int, ...] | None:
    return None if text is None else tuple(int(_number(option, part, whole=True)) for part in text.split(","))


def _rates(text: str | None) -> tuple[float | None, ...] | None:
    if text is None:
        return None
    return tuple(None if part.strip() == "max" else _number("rate", part) for part in text.split(","))


def _number(option: str, text: str, *, whole: bool = False) -> float:
    try:
        return int(text) if whole else float(text)
    except ValueError:
        kind = "whole number" if whole else "number or max"
        raise UsageError(f"--{option}: {text.strip()!r} is not a {kind}") from None
