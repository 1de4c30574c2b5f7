"""Writes a call graph as YAML that reads back as the same graph."""

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from predictor.graph.reader import FORMAT, VERSION
from predictor.graph.service_time import ServiceTime
from predictor.graph.types import Call, CallGraph, Ingress, Service
from predictor.graph.yaml_lines import yaml_text
from profiler.files.units import format_duration, plain
from profiler.files.writing import write_whole

_HEADER: Final = "# A call graph for `meshinsight predict`. The format is described in docs/reference/call-graph.md.\n"


def save_graph(graph: CallGraph, file: Path) -> None:
    """Write the graph, whole or not at all. Raises `MeshInsightError` when it cannot be written."""
    write_whole(file, graph_text(graph))


def graph_text(graph: CallGraph) -> str:
    """The YAML text of a graph. `parse_graph` gives an equal graph back, with stages numbered from 0."""
    return _HEADER + yaml_text(graph_document(graph))


def graph_document(graph: CallGraph) -> dict[str, object]:
    """The graph as the plain values of its file; what is the same as saying nothing is left out."""
    document: dict[str, object] = {"format": FORMAT, "version": VERSION}
    if graph.name:
        document["name"] = graph.name
    document["services"] = [_service(service) for service in graph.services]
    document["calls"] = _calls(graph.calls)
    document["ingress"] = [_ingress(entry) for entry in graph.ingress]
    cluster = {
        key: _number(value)
        for key, value in (
            ("nodes", graph.cluster.nodes),
            ("cpus_per_node", graph.cluster.cpus_per_node),
            ("cpu_use", graph.cluster.cpu_use),
        )
        if value is not None
    }
    if cluster:
        document["cluster"] = cluster
    if graph.cold_weight is not None:
        document["cold_weight"] = _number(graph.cold_weight)
    if graph.assumed:
        once = dict.fromkeys(graph.assumed)  # as they are read
        document["assumed"] = [{item.path: item.why} if item.why else item.path for item in once]
    return document


def _service(service: Service) -> dict[str, object]:
    written: dict[str, object] = {"name": service.name}
    if service.workload:
        written["workload"] = service.workload
    written["replicas"] = service.replicas
    if service.replicas_per_node is not None:
        written["replicas_per_node"] = _number(service.replicas_per_node)
    written["sidecar"] = {"client": service.sidecar.client, "server": service.sidecar.server}
    written["service_time"] = _service_time(service.service_time)
    if service.cold_weight is not None:
        written["cold_weight"] = _number(service.cold_weight)
    return written


def _service_time(time: ServiceTime) -> Mapping[str, object]:
    if time.kind == "percentiles":
        points = {f"p{plain(percent)}": format_duration(ns) for percent, ns in time.percentiles}
        return {"mean": format_duration(time.mean_ns)} | points
    written: dict[str, object] = {"mean": format_duration(time.mean_ns), "distribution": time.kind}
    return written | ({"cv": _number(time.cv)} if time.kind == "lognormal" else {})


def _calls(calls: tuple[Call, ...]) -> list[dict[str, object]]:
    """Stages of a caller in the order of the file, so each caller's calls are written in order of their stage."""
    order = {caller: index for index, caller in enumerate(dict.fromkeys(call.caller for call in calls))}
    together = Counter((call.caller, call.stage) for call in calls)
    ordered = sorted(calls, key=lambda call: (order[call.caller], call.stage))
    return [_call(call, together[call.caller, call.stage] > 1) for call in ordered]


def _call(call: Call, in_group: bool) -> dict[str, object]:
    written: dict[str, object] = {"caller": call.caller, "callee": call.callee}
    name = call.id.removeprefix(f"{call.caller}->{call.callee}").removeprefix(":")
    if name:
        written["name"] = name
    written |= _edge(call)
    written["calls_per_request"] = _number(_without_retries(call))
    if call.retry_rate:
        written["retry_rate"] = _number(call.retry_rate)
    if in_group:
        written["group"] = f"stage-{call.stage}"
    if call.repeat != "sequential":
        written["repeat"] = call.repeat
    if call.asynchronous:
        written["asynchronous"] = True
    for key, value in (("headers", call.headers), ("new_connections", call.new_connections)):
        if value is not None:
            written[key] = _number(value)
    if call.required:
        written["required"] = list(call.required)
    return written | _bypass(call)


def _without_retries(call: Call) -> float:
    """The number that gives `calls_per_request` back when the retries are added."""
    attempts = 1.0 + call.retry_rate
    number = call.calls_per_request / attempts
    near = (number, math.nextafter(number, 0.0), math.nextafter(number, math.inf))
    return next((each for each in near if each * attempts == call.calls_per_request), number)


def _edge(edge: Call | Ingress) -> dict[str, object]:
    written: dict[str, object] = {"protocol": edge.protocol, "tls": edge.tls}
    if edge.filters:
        written["filters"] = list(edge.filters)
    return written | {"request_bytes": _number(edge.request_bytes), "response_bytes": _number(edge.response_bytes)}


def _ingress(entry: Ingress) -> dict[str, object]:
    load = {"rate_rps": _number(entry.rate_rps)} if entry.connections is None else {"connections": entry.connections}
    return {"service": entry.service, **load, **_edge(entry), **_bypass(entry)}


def _bypass(edge: Call | Ingress) -> dict[str, list[str]]:
    return {"bypass": list(edge.bypass)} if edge.bypass else {}


def _number(value: float) -> int | float:
    return int(value) if float(value).is_integer() and abs(value) < 1e15 else float(value)
