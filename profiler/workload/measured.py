"""Latencies that other load generators measured: the JSON files of fortio and of Nighthawk, read strictly."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from profiler.errors import UsageError
from profiler.files.json_text import parse_json
from profiler.files.reading import read_text
from profiler.files.typed import typed
from profiler.text import one_line
from profiler.vocabulary.protocols import GRPC, HTTP1, HTTP2, TCP

PERCENTS: Final = (50.0, 90.0, 99.0)
"""The percentiles that are compared."""

_REMEDY: Final = "give what `fortio load -json FILE` or `nighthawk_client --output-format json` wrote"
_NS: Final = 1e9
_STATISTIC: Final = "benchmark_http_client.request_to_response"
_BODY_SIZE: Final = "benchmark_http_client.response_body_size"
_GLOBAL: Final = "global"
_DURATION: Final = r"^\d{1,9}(\.\d{1,9})?s$"
_RUN_TYPES: Final = {"HTTP": HTTP1, "GRPC": GRPC, "TCP": TCP}
_STATUS: Final = re.compile(r"\d{3}")

Seconds = Annotated[float, Meta(ge=0, le=1e6)]
Number = Annotated[float, Meta(ge=0, le=1e12)]
Whole = Annotated[int, Meta(ge=0, le=10**15)]
Duration = Annotated[str, Meta(pattern=_DURATION)]
WholeText = Annotated[str, Meta(pattern=r"^\d{1,15}$")] | Whole
"""As protobuf's JSON writes 64-bit numbers."""


@dataclass(frozen=True)
class Measured:
    """What a load generator measured: its load, and the latencies it counted.

    `rate_rps` is None where it sent as fast as answers came. `percentiles_ns` has those of `PERCENTS` in the file,
    inexact by up to `resolution_ns`, 0 where that is not known. `response_bytes` is the mean size of a body, None where
    that is not known.
    """

    tool: str
    protocol: str
    connections: int
    rate_rps: float | None
    achieved_rps: float
    count: int
    failed: int
    mean_ns: float
    percentiles_ns: Mapping[float, float]
    resolution_ns: float = 0.0
    response_bytes: float | None = None


class _FortioPercentile(msgspec.Struct, rename="pascal"):
    percentile: Annotated[float, Meta(ge=0, le=100)]
    value: Seconds


class _FortioHistogram(msgspec.Struct, rename="pascal"):
    count: Whole
    avg: Seconds
    percentiles: list[_FortioPercentile] | None


class _FortioSizes(msgspec.Struct, rename="pascal"):
    avg: Number = 0.0


class _Fortio(msgspec.Struct):
    run_type: str = msgspec.field(name="RunType")
    requested_qps: str = msgspec.field(name="RequestedQPS")
    actual_qps: Number = msgspec.field(name="ActualQPS")
    num_threads: Whole = msgspec.field(name="NumThreads")
    duration_histogram: _FortioHistogram = msgspec.field(name="DurationHistogram")
    ret_codes: dict[str, Whole] | None = msgspec.field(name="RetCodes", default=None)
    h2: bool = msgspec.field(name="H2", default=False)
    resolution: Seconds = msgspec.field(name="Resolution", default=0.0)
    sizes: _FortioSizes | None = msgspec.field(name="Sizes", default=None)
    header_sizes: _FortioSizes | None = msgspec.field(name="HeaderSizes", default=None)


class _Percentile(msgspec.Struct):
    percentile: Annotated[float, Meta(ge=0, le=1)]
    duration: Duration | None = None


class _Statistic(msgspec.Struct):
    id: str
    count: WholeText = 0
    mean: Duration | None = None
    raw_mean: Number | None = None
    percentiles: list[_Percentile] = []


class _Counter(msgspec.Struct):
    name: str
    value: WholeText = 0


class _Result(msgspec.Struct):
    name: str
    statistics: list[_Statistic] = []
    counters: list[_Counter] = []
    execution_duration: Duration | None = None


class _Options(msgspec.Struct):
    connections: Whole = 100
    requests_per_second: Whole = 5
    duration: Duration | None = None
    h2: bool = False
    protocol: dict[str, str] = {}


class _Nighthawk(msgspec.Struct):
    options: _Options
    results: list[_Result]


def read_measured(path: Path) -> Measured:
    """What a file of fortio or Nighthawk holds.

    Raises:
        UsageError: one line, where it is missing, damaged, of another tool, or holds no latency that can be compared.
    """
    origin = str(path)
    text = read_text(path, _REMEDY)
    document = parse_json(text, origin, _REMEDY)
    known = document if isinstance(document, dict) else {}
    if "DurationHistogram" in known:
        return _of_fortio(typed(document, _Fortio, origin, _REMEDY, text=text), origin)
    if "results" in known and "options" in known:
        return _of_nighthawk(typed(document, _Nighthawk, origin, _REMEDY, text=text), origin)
    raise UsageError(f"{origin}: neither a result of fortio nor of Nighthawk; {_REMEDY}")


def _of_fortio(found: _Fortio, origin: str) -> Measured:
    kind = found.run_type.partition(" ")[0]
    if kind not in _RUN_TYPES:
        raise UsageError(f"{origin}: RunType: expected HTTP, GRPC or TCP; found {one_line(found.run_type)!r}")
    histogram = found.duration_histogram
    codes = found.ret_codes or {}
    percentiles = {entry.percentile: entry.value * _NS for entry in histogram.percentiles or []}
    return Measured(
        tool="fortio",
        protocol=HTTP2 if kind == "HTTP" and found.h2 else _RUN_TYPES[kind],
        connections=found.num_threads,
        rate_rps=_requested_rps(found.requested_qps, origin),
        achieved_rps=found.actual_qps,
        count=_answered(histogram.count, origin),
        failed=sum(count for code, count in codes.items() if _STATUS.fullmatch(code) and code[0] != "2"),
        mean_ns=histogram.avg * _NS,
        percentiles_ns=_compared(percentiles, origin),
        resolution_ns=found.resolution * _NS,
        response_bytes=found.sizes.avg - found.header_sizes.avg if found.sizes and found.header_sizes else None,
    )


def _requested_rps(text: str, origin: str) -> float | None:
    if text == "max":
        return None
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text):
        raise UsageError(f"{origin}: RequestedQPS: expected a number or max; found {one_line(text)!r}; {_REMEDY}")
    return float(text) or None


def _of_nighthawk(found: _Nighthawk, origin: str) -> Measured:
    protocol = found.options.protocol.get("value", "HTTP2" if found.options.h2 else "HTTP1")
    if protocol not in ("HTTP1", "HTTP2"):
        raise UsageError(f"{origin}: options.protocol: expected HTTP1 or HTTP2; found {one_line(protocol)!r}")
    if not found.results:
        raise UsageError(f"{origin}: results is empty; {_REMEDY}")
    workers = max(1, sum(result.name != _GLOBAL for result in found.results))
    whole = next((result for result in found.results if result.name == _GLOBAL), found.results[0])
    statistics = {one.id: one for one in whole.statistics}
    statistic, body = statistics.get(_STATISTIC), statistics.get(_BODY_SIZE)
    if statistic is None or statistic.mean is None:
        raise UsageError(
            f"{origin}: result {one_line(whole.name)!r} has no statistic {_STATISTIC} with its mean; {_REMEDY}"
        )
    count = _answered(int(statistic.count), origin)
    seconds = _seconds(whole.execution_duration or found.options.duration or "0s")
    counters = {counter.name: int(counter.value) for counter in whole.counters}
    return Measured(
        tool="Nighthawk",
        protocol=HTTP2 if protocol == "HTTP2" else HTTP1,
        connections=found.options.connections * workers,
        rate_rps=float(found.options.requests_per_second * workers),
        achieved_rps=count / seconds if seconds else 0.0,
        count=count,
        failed=sum(counters.get(f"benchmark.http_{digit}xx", 0) for digit in "345"),
        mean_ns=_seconds(statistic.mean) * _NS,
        percentiles_ns=_compared(_nighthawk_percentiles(statistic.percentiles), origin),
        response_bytes=body.raw_mean if body else None,
    )


def _nighthawk_percentiles(found: Sequence[_Percentile]) -> dict[float, float]:
    """Those compared: the first at or above each, since the file has the borders of a histogram."""
    known = sorted((one.percentile, _seconds(one.duration) * _NS) for one in found if one.duration is not None)
    chosen = {percent: [value for at, value in known if at * 100 >= percent] for percent in PERCENTS}
    return {percent: values[0] for percent, values in chosen.items() if values}


def _compared(percentiles: Mapping[float, float], origin: str) -> dict[float, float]:
    found = {percent: percentiles[percent] for percent in PERCENTS if percent in percentiles}
    if 50.0 not in found:
        raise UsageError(f"{origin}: has no 50th percentile; measure it too (fortio: -p 50,90,99)")
    return found


def _answered(count: int, origin: str) -> int:
    if not count:
        raise UsageError(f"{origin}: no request was answered; measure again")
    return count


def _seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def as_json(found: Measured) -> dict[str, Any]:
    """The values of a document."""
    return {
        **asdict(found),
        "percentiles_ns": {f"p{percent:g}": value for percent, value in found.percentiles_ns.items()},
    }
