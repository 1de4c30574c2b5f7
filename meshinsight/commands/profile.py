"""`meshinsight profile`: measure sidecars on this machine, save the profile, show it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from profiler.errors import UsageError

if TYPE_CHECKING:
    from profiler.campaign.settings import ProfileSettings

OUTPUTS: Final = ("table", "json")
QUICK: Final = {"topologies": ("client", "both"), "repeats": 4, "duration_s": 0.5}
"""What `--quick` changes of the defaults: a first answer within two minutes."""


def register(app: typer.Typer) -> None:
    """Add `profile` to the command line."""
    app.command()(profile)


def profile(
    quick: Annotated[bool, typer.Option("--quick", help="A first answer within two minutes.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where to save; default profiles/<time>.")] = None,
    protocol: Annotated[str | None, typer.Option(metavar="NAME,..", help="tcp, http1.")] = None,
    topology: Annotated[
        str | None, typer.Option(metavar="NAME,..", help="Sides with a sidecar: none, client, server, both.")
    ] = None,
    request_bytes: Annotated[str | None, typer.Option(metavar="N,..", help="Sizes of the request body.")] = None,
    response_bytes: Annotated[str | None, typer.Option(metavar="N,..", help="Sizes of the response body.")] = None,
    rate: Annotated[
        str | None, typer.Option(metavar="R,..|max", help="Requests per second (open loop), or max (closed loop).")
    ] = None,
    connections: Annotated[str | None, typer.Option(metavar="N,..", help="Numbers of connections.")] = None,
    duration: Annotated[float | None, typer.Option(metavar="S", help="Seconds measured per round and cell.")] = None,
    repeats: Annotated[int | None, typer.Option(metavar="N", help="Rounds.")] = None,
    idle: Annotated[str | None, typer.Option(metavar="MODE", help="awake (default) or natural.")] = None,
    temperature: Annotated[str | None, typer.Option(metavar="NAME,..", help="Cache temperatures: hot, cold.")] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Seed of the order of rounds and of resampling.")
    ] = None,
    output: Annotated[str, typer.Option("--output", "-o", help="table or json.")] = "table",
    print_bpf: Annotated[bool, typer.Option("--print-bpf", help="Print the BPF programs and do nothing else.")] = False,
) -> None:
    """Measure what a sidecar costs on this machine and where the cost comes from."""
    if output not in OUTPUTS:
        raise UsageError(f"-o {output}: unknown output format; choose {' or '.join(OUTPUTS)}")
    if print_bpf:
        _print_bpf()
        return
    given = {
        "protocols": _names(protocol),
        "topologies": _names(topology),
        "request_bytes": _integers("request-bytes", request_bytes),
        "response_bytes": _integers("response-bytes", response_bytes),
        "rates_rps": _rates(rate),
        "connections": _integers("connections", connections),
        "duration_s": duration,
        "repeats": repeats,
        "idle": idle,
        "temperatures": _names(temperature),
        "seed": seed,
    }
    _measure(_settings(quick, given), out, output)


def _settings(quick: bool, given: dict[str, Any]) -> "ProfileSettings":
    from profiler.campaign.settings import ProfileSettings

    chosen: dict[str, Any] = dict(QUICK) if quick else {}
    chosen.update({name: value for name, value in given.items() if value is not None})
    return ProfileSettings(**chosen)


def _measure(settings: "ProfileSettings", out: Path | None, output: str) -> None:
    from meshinsight import __version__
    from meshinsight.reporters import json_document, table
    from meshinsight.reporters.progress import Progress
    from profiler.campaign.profiling import Invocation, Profiling, default_directory
    from profiler.profile.document import FILE_NAME

    directory = out or default_directory()
    if (directory / FILE_NAME).exists():
        raise UsageError(f"--out {directory}: already holds a profile, which is kept; choose another directory")
    profiling = Profiling(settings, Invocation(("meshinsight", *sys.argv[1:]), __version__))
    with Progress() as progress:
        outcome = profiling.run(directory, progress.update)
    if output == "json":
        json_document.write(outcome.document, sys.stdout)
    else:
        table.print_profile(outcome.document)
    print(f"saved: {outcome.path}", file=sys.stderr)
    if outcome.interrupted:
        raise outcome.interrupted


def _print_bpf() -> None:
    from profiler.campaign.profiling import bpf_texts

    for name, text in bpf_texts().items():
        print(f"// ---- {name}.bpf.c\n{text}")


def _names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


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
