"""What `profile` measures: its options, and the settings that they give."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer

from meshinsight.options.checks import duration_option
from meshinsight.options.panels import MEASURE, RUN, TIME
from meshinsight.options.variants import variants_of
from profiler.errors import UsageError
from profiler.text import one_line
from profiler.vocabulary.usual import LONGEST_ROUND_S, SHORTEST_ROUND_S

T = TypeVar("T")
_HEADERS: Final = re.compile(r"(?P<count>[0-9]{1,9})(x(?P<bytes>[0-9]{1,9}))?")


@dataclass(frozen=True)
class Dimensions:
    """The options as they were given; None and False where they were not."""

    protocol: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,..",
            help="tcp, http1, http2, grpc.",
            show_default="tcp,http1",
            rich_help_panel=MEASURE,
        ),
    ] = None
    topology: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,..",
            help="Sides with a sidecar: client, server, both, none (checks the method). Or a proxy elsewhere: shared "
            "(one per node), waypoint (between two tunnels, which are always mTLS).",
            show_default="client,server,both",
            rich_help_panel=MEASURE,
        ),
    ] = None
    proxy: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,..",
            help="envoy, haproxy, nginx.",
            show_default="envoy",
            rich_help_panel=MEASURE,
        ),
    ] = None
    tls: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,..",
            help="Between sidecars: none, mtls.",
            show_default="none",
            rich_help_panel=MEASURE,
        ),
    ] = None
    filter: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="NAME",
            help="Envoy filter to measure. Give it again for another one; a+b is a chain.",
            rich_help_panel=MEASURE,
        ),
    ] = None
    filter_file: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Envoy filter to measure, as YAML. Can be given again; A,B compares two, none is without.",
            rich_help_panel=MEASURE,
        ),
    ] = None
    proxy_config: Annotated[
        str | None,
        typer.Option(
            metavar="FILE,..",
            help="Complete Envoy bootstrap to measure as it is; A,B compares two.",
            rich_help_panel=MEASURE,
        ),
    ] = None
    proxy_binary: Annotated[
        str | None,
        typer.Option(
            metavar="FILE,..",
            help="Program of the proxy, the installed one by default; several are compared in the same rounds.",
            rich_help_panel=MEASURE,
        ),
    ] = None
    proxy_version: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION,..",
            help="Versions of Envoy to fetch and compare in the same rounds, such as 1.38.2,1.40.0.",
            rich_help_panel=MEASURE,
        ),
    ] = None
    transport: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,..",
            help="Between application and sidecar: ip, uds (Unix socket).",
            show_default="ip",
            rich_help_panel=MEASURE,
        ),
    ] = None
    request_bytes: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE,..",
            help="Sizes of the request body, such as 1024,64KiB.",
            show_default="128",
            rich_help_panel=MEASURE,
        ),
    ] = None
    response_bytes: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE,..",
            help="Sizes of the response body.",
            show_default="1024",
            rich_help_panel=MEASURE,
        ),
    ] = None
    headers: Annotated[
        str | None,
        typer.Option(
            metavar="N,..",
            help="Numbers of additional request headers; 20x100 is 20 of 100 bytes each.",
            show_default="0",
            rich_help_panel=MEASURE,
        ),
    ] = None
    messages: Annotated[
        str | None,
        typer.Option(
            metavar="N,..",
            help="Messages per gRPC response: 1 is unary, more is server streaming.",
            show_default="1",
            rich_help_panel=MEASURE,
        ),
    ] = None
    rate: Annotated[
        str | None,
        typer.Option(
            metavar="RATE,..",
            help="Requests per second (open loop), or max (closed loop).",
            show_default="max",
            rich_help_panel=MEASURE,
        ),
    ] = None
    connections: Annotated[
        str | None,
        typer.Option(
            metavar="N,..",
            help="Numbers of connections.",
            show_default="1",
            rich_help_panel=MEASURE,
        ),
    ] = None
    new_connections: Annotated[
        bool,
        typer.Option(
            "--new-connections",
            help="Open a new connection for every request.",
            rich_help_panel=MEASURE,
        ),
    ] = False
    workers: Annotated[
        str | None,
        typer.Option(
            metavar="N,..",
            help="Numbers of worker threads of the proxy.",
            show_default="1",
            rich_help_panel=MEASURE,
        ),
    ] = None
    placement: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,..",
            help="CPUs of the processes: free (the scheduler chooses), apart, together.",
            show_default="free",
            rich_help_panel=MEASURE,
        ),
    ] = None
    temperature: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,..",
            help="CPU caches: hot, cold-25, cold-50, cold-75, cold, natural.",
            show_default="hot,cold",
            rich_help_panel=MEASURE,
        ),
    ] = None
    idle: Annotated[
        str | None,
        typer.Option(
            metavar="MODE",
            help="CPUs between requests: awake, natural.",
            show_default="awake",
            rich_help_panel=MEASURE,
        ),
    ] = None
    duration: Annotated[
        float | None,
        duration_option(
            "--duration",
            least_s=SHORTEST_ROUND_S,
            most_s=LONGEST_ROUND_S,
            help="Time measured per round and cell.",
            show_default="800ms",
            rich_help_panel=TIME,
        ),
    ] = None
    rounds: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Rounds; intervals get narrower with more.",
            show_default="6",
            rich_help_panel=TIME,
        ),
    ] = None
    seed: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Seed of the order of rounds and of resampling.",
            show_default="1",
            rich_help_panel=RUN,
        ),
    ] = None

    def settings(self) -> dict[str, Any]:
        """What was given, as keyword arguments of ProfileSettings. Raises UsageError for text that cannot be read."""
        found: dict[str, Any] = {}
        for option, (setting, read) in _SETTINGS.items():
            value = getattr(self, option)
            if value is None or value is False:
                continue
            try:
                found[setting] = read(value)
            except ValueError as error:
                raise UsageError(f"--{option.replace('_', '-')}: {error}") from None
        if self.proxy_config and "," not in self.proxy_config:
            found["proxy_config"] = str(Path(self.proxy_config).resolve())
        if self.filter or self.single_filter_files:
            chains = [tuple(part.strip() for part in name.split("+")) for name in self.filter or ()]
            # The plain proxy is measured too, as the reference.
            found["filters"] = ((), *chains, *((str(Path(name).resolve()),) for name in self.single_filter_files))
        if variants := variants_of(self):
            found["variants"] = variants
        return found

    @property
    def single_filter_files(self) -> list[str]:
        """Those of `--filter-file` that are no list."""
        return [text for text in self.filter_file or () if "," not in text]


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _each(read: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """Reads a list with commas."""
    return lambda text: tuple(read(part.strip()) for part in text.split(","))


def _size(text: str) -> int:
    from profiler.files.units import parse_whole_bytes

    return parse_whole_bytes(text)


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"expected a whole number; found {one_line(text)!r}") from None


def _rate(text: str) -> float | None:
    if text == "max":
        return None
    from profiler.files.units import parse_rate_rps

    try:
        return parse_rate_rps(text)
    except ValueError:
        raise ValueError(f"expected a rate in requests per second, or max; found {one_line(text)!r}") from None


def _headers(text: str) -> tuple[int, int]:
    from profiler.planning.matrix import DEFAULT_HEADER_BYTES

    found = _HEADERS.fullmatch(text)
    if not found:
        raise ValueError(f"expected a number, or a number x bytes, as in 20x100; found {one_line(text)!r}")
    return int(found["count"]), int(found["bytes"] or DEFAULT_HEADER_BYTES)


def _as_it_is(value: T) -> T:
    return value


_SETTINGS: Final[dict[str, tuple[str, Callable[[Any], Any]]]] = {
    "protocol": ("protocols", _names),
    "topology": ("topologies", _names),
    "proxy": ("proxies", _names),
    "tls": ("tls", _names),
    "transport": ("transports", _names),
    "request_bytes": ("request_bytes", _each(_size)),
    "response_bytes": ("response_bytes", _each(_size)),
    "headers": ("headers", _each(_headers)),
    "messages": ("messages", _each(_whole)),
    "rate": ("rates_rps", _each(_rate)),
    "connections": ("connections", _each(_whole)),
    "new_connections": ("new_connections", lambda given: (given,)),
    "workers": ("workers", _each(_whole)),
    "placement": ("placements", _names),
    "duration": ("duration_s", _as_it_is),
    "rounds": ("repeats", _as_it_is),
    "idle": ("idle", _as_it_is),
    "temperature": ("temperatures", _names),
    "seed": ("seed", _as_it_is),
}
"""For each option the setting that it gives, and how its text is read; filters and variants come from several."""


def option_of(setting: str) -> str:
    """The option that gives a setting, as it is typed."""
    other = {"proxy_config": "proxy_config", "variants": "proxy_version"}.get(setting, "filter")
    found = next((option for option, (known, _) in _SETTINGS.items() if known == setting), other)
    return f"--{found.replace('_', '-')}"
