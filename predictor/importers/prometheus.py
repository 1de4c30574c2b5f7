"""Mesh metrics as Prometheus has them: a text exposition, or the JSON of an instant query.

Istio counts each request at the caller's proxy (`reporter="source"`) and at the callee's (`"destination"`); an edge is
taken from the source where it reports, else from the destination. Counters are totals since the proxies started:
rates need `rate(...)` in the query, or the time that the counters cover (`--over`).
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from predictor.graph.types import Assumption, Call, CallGraph, Ingress, Protocol, Service, edge_id
from predictor.importers.attributes import clean
from predictor.importers.flat import flat_graph
from predictor.importers.json_elements import short
from predictor.importers.streams import input_files, read_text
from profiler.errors import UsageError

ENDINGS: Final = (".prom", ".txt", ".metrics", ".json")
REMEDY: Final = "give istio_requests_total as Prometheus text, or the JSON of a query for it"
SIZE_BYTES: Final = 1024.0

_REQUESTS: Final = "istio_requests_total"
_SUMS: Final = ("istio_request_bytes", "istio_response_bytes")
_TCP: Final = ("istio_tcp_connections_opened_total", "istio_tcp_received_bytes_total", "istio_tcp_sent_bytes_total")
_PROTOCOLS: Final[dict[str, Protocol]] = {"http": "http1", "http/1.1": "http1", "http2": "http2", "h2": "http2",
                                          "grpc": "grpc", "tcp": "tcp"}  # fmt: skip

Sample = tuple[str, dict[str, str], float]
"""Name of the metric, labels, value."""


@dataclass(slots=True)
class _Edge:
    """Sums of one edge by what reports them: `totals[reporter][metric]`, metric names without the `istio_`."""

    totals: dict[str, dict[str, float]] = field(default_factory=dict)
    protocols: dict[str, float] = field(default_factory=dict)
    mutual_tls: float = 0.0
    all_requests: float = 0.0

    def get(self, metric: str) -> float:
        """The caller's proxy first: one count per request, whichever sides report."""
        reporters = sorted(self.totals, key=lambda reporter: (reporter != "source", reporter))
        return next((self.totals[each][metric] for each in reporters if self.totals[each].get(metric)), 0.0)


def read_prometheus(inputs: Sequence[Path], rate_rps: float | None = None, over_s: float | None = None) -> CallGraph:
    """The call graph in mesh metrics. Raises `UsageError`, one line with the file.

    `rate_rps` sets the ingress rate; otherwise values are rates already, or totals over `over_s` seconds.
    """
    edges: dict[tuple[str, str], _Edge] = {}
    files = input_files(inputs, ENDINGS)
    for path in files:
        text = read_text(path, REMEDY)
        samples = _from_json(text, path) if text.lstrip()[:1] in "{[" else _from_text(text, path)
        for sample in samples:
            _count(edges, sample)
    if not edges:
        raise UsageError(f"{files[0]}: no {_REQUESTS} in it; {REMEDY}")
    return _graph(edges, str(files[0]), rate_rps, over_s)


def _from_text(text: str, path: Path) -> Iterator[Sample]:
    from prometheus_client.parser import text_string_to_metric_families

    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                yield sample.name, dict(sample.labels), float(sample.value)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise UsageError(f"{path}: not Prometheus text: {short(error)}; {REMEDY}") from error


def _from_json(text: str, path: Path) -> Iterator[Sample]:
    """Samples of an API answer: `{"data": {"result": [{"metric": {…}, "value": [time, "1"]}]}}`, or its parts."""
    try:
        answer: Any = json.loads(text)
        for document in answer if isinstance(answer, list) and answer and "data" in answer[0] else [answer]:
            data = document.get("data", document) if isinstance(document, dict) else document
            for result in data.get("result", []) if isinstance(data, dict) else data:
                labels = {str(key): str(value) for key, value in result["metric"].items()}
                value = result["value"] if "value" in result else result["values"][-1]
                yield labels.pop("__name__", _REQUESTS), labels, float(value[1])
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(f"{path}: not the answer of a Prometheus query: {short(error)}; {REMEDY}") from error


def _count(edges: dict[tuple[str, str], _Edge], sample: Sample) -> None:
    name, labels, value = sample
    metric = name if name in (*_TCP, _REQUESTS) or name.removesuffix("_sum").removesuffix("_count") in _SUMS else ""
    if not metric and name == "istio_requests":  # the parser's name of the family
        metric = _REQUESTS
    if not metric or name.endswith("_bucket") or not 0 < value < 1e300:
        return
    edge = edges.setdefault((_side(labels, "source"), _side(labels, "destination")), _Edge())
    totals = edge.totals.setdefault(labels.get("reporter", ""), {})
    totals[metric] = totals.get(metric, 0.0) + value
    if metric == _REQUESTS or metric == _TCP[0]:
        protocol = labels.get("request_protocol", "tcp" if metric == _TCP[0] else "").lower()
        edge.protocols[protocol] = edge.protocols.get(protocol, 0.0) + value
        edge.all_requests += value if labels.get("connection_security_policy", "unknown") != "unknown" else 0.0
        edge.mutual_tls += value if labels.get("connection_security_policy") == "mutual_tls" else 0.0


def _side(labels: dict[str, str], side: str) -> str:
    """The service on one side; empty where it is outside the mesh."""
    names = (f"{side}_canonical_service", f"{side}_workload", f"{side}_app", f"{side}_service_name", f"{side}_service")
    found = (labels.get(name, "") for name in names)
    return clean(next((name.split(".")[0] for name in found if name not in ("", "unknown", "PassthroughCluster")), ""))


def _graph(edges: dict[tuple[str, str], _Edge], origin: str, rate_rps: float | None, over_s: float | None) -> CallGraph:
    """Mean calls per request: an edge's requests over those its caller received."""
    requests = {key: edge.get(_REQUESTS) or edge.get(_TCP[0]) for key, edge in edges.items()}
    requests = {key: count for key, count in requests.items() if count > 0 and key[1]}
    if not requests:
        raise UsageError(f"{origin}: {_REQUESTS} counts no requests; ask for a time when there were some")
    called = {callee for (caller, callee) in requests if caller}
    outside = {callee: count for (caller, callee), count in requests.items() if not caller}
    for caller in dict.fromkeys(caller for caller, _ in requests if caller and caller not in called | set(outside)):
        outside[caller] = max(count for (source, _), count in requests.items() if source == caller)
    if not outside:  # all of them call each other: the busiest caller comes first
        outside[max(requests, key=lambda key: requests[key])[0]] = max(requests.values())
    received: dict[str, float] = dict(outside)
    for (caller, callee), count in requests.items():
        if caller:
            received[callee] = received.get(callee, 0.0) + count
    assumed: list[Assumption] = []
    calls = tuple(
        _call(caller, callee, edges[caller, callee], count / received[caller], assumed)
        for (caller, callee), count in requests.items()
        if caller and caller != callee
    )
    scale = _scale(outside, rate_rps, over_s, assumed)
    ingress = tuple(_entry(name, count * scale, edges.get(("", name)), assumed) for name, count in outside.items())
    services = tuple(Service(name=name) for name in received)
    assumed += [
        Assumption("services.*.service_time", "metrics do not say; 1 ms"),
        Assumption("services.*.replicas", "metrics do not say; 1"),
        Assumption("services.*.sidecar", "http on both sides"),
        Assumption("calls.*.stage", "metrics do not say; one after another"),
    ]
    return flat_graph(CallGraph(services, calls, ingress, assumed=tuple(assumed)), origin)


def _scale(outside: dict[str, float], rate_rps: float | None, over_s: float | None, assumed: list[Assumption]) -> float:
    total = sum(outside.values())
    if rate_rps is not None:
        return rate_rps / total
    if over_s is not None:
        return 1.0 / over_s
    why = "the values as they are, as if the query were rate(...) (see --over and --rate)"
    assumed.append(Assumption("ingress.*.rate_rps", why))
    return 1.0


def _call(caller: str, callee: str, edge: _Edge, per_request: float, assumed: list[Assumption]) -> Call:
    identifier = edge_id(caller, callee)
    values = _values(f"calls.{identifier}", edge, assumed)
    return Call(id=identifier, caller=caller, callee=callee, calls_per_request=float(f"{per_request:.6g}"), **values)


def _entry(name: str, rate_rps: float, edge: _Edge | None, assumed: list[Assumption]) -> Ingress:
    return Ingress(name, float(f"{rate_rps:.6g}"), **_values(f"ingress.{name}", edge or _Edge(), assumed))


def _values(path: str, edge: _Edge, assumed: list[Assumption]) -> dict[str, Any]:
    """Protocol, TLS and mean sizes of an edge; what no metric tells is assumed."""
    known = {name: count for name, count in edge.protocols.items() if name in _PROTOCOLS}
    values: dict[str, Any] = {"protocol": _PROTOCOLS[max(known, key=lambda name: known[name])] if known else "http1"}
    values["tls"] = "mtls" if edge.mutual_tls * 2 > edge.all_requests else "none"
    missing = [] if known else ["protocol"]
    missing += [] if edge.all_requests else ["tls"]
    tcp = edge.get(_TCP[0])
    for name, metric, tcp_metric in zip(("request_bytes", "response_bytes"), _SUMS, _TCP[1:], strict=True):
        total, count = edge.get(f"{metric}_sum"), edge.get(f"{metric}_count") or edge.get(_REQUESTS)
        if not total and tcp:
            total, count = edge.get(tcp_metric), tcp
        values[name] = float(round(total / count)) if total and count else SIZE_BYTES
        missing += [] if total and count else [name]
    assumed += [Assumption(f"{path}.{name}", f"no metric says; {values[name]:g}" if name.endswith("bytes") else
                           f"no metric says; {values[name]}") for name in missing]  # fmt: skip
    return values
