"""Isotope's service graphs (istio/tools): services with scripts of sleeps and calls."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from predictor.graph.checks import check_graph
from predictor.graph.fields import Fields, items, shown
from predictor.graph.service_time import ServiceTime
from predictor.graph.types import Assumption, Call, CallGraph, Ingress, Protocol, Service, edge_id
from predictor.importers.streams import read_text
from profiler.errors import UsageError
from profiler.files.json_text import Path_
from profiler.files.yaml_text import Document, parse_document

REMEDY: Final = "give an Isotope topology, with 'services:' and their scripts"
_PROTOCOLS: Final[dict[str, Protocol]] = {"http": "http1", "grpc": "grpc"}
_DURATION: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_UNITS_NS: Final = {"ns": 1.0, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9}
_SIZE: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgtp]?)(?:i?b)?\s*\Z", re.IGNORECASE)


@dataclass(slots=True)
class _Script:
    """What a service does with one request: own time, and calls `(callee, size, probability)` by stage."""

    own_ns: float = 0.0
    stages: list[list[tuple[str, float | None, float]]] = field(default_factory=list)


def read_isotope(file: Path, rate_rps: float | None = None) -> CallGraph:
    """The call graph of an Isotope topology. Raises `UsageError`, one line with file, line and field.

    Sizes are in Isotope's units: 1 KB is 1024 bytes. Sleeps are the service's own time.
    """
    document = parse_document(read_text(file, REMEDY), str(file))
    if not isinstance(document.value, dict) or "services" not in document.value:
        raise UsageError(f"{file}: no 'services:' in it; {REMEDY}")
    top = Fields(document, (), document.value)
    services = [
        _element(document, path, value, top.below("defaults"))
        for path, value in items(document, ("services",), top.raw("services"))
    ]
    scripts = {fields.text("name"): _script(fields) for fields in services}
    if len(scripts) < len(services):
        raise UsageError(f"{file}: a service is there twice; give each its own name")
    assumed: list[Assumption] = []
    graph = CallGraph(
        services=tuple(_service(fields, scripts[fields.text("name")], assumed) for fields in services),
        calls=_calls(services, scripts, top, assumed),
        ingress=_ingress(services, rate_rps, assumed),
        assumed=(*assumed, Assumption("services.*.sidecar", "a topology does not say; http on both sides"),
                 Assumption("calls.*.tls", "a topology does not say; none")),
    )  # fmt: skip
    check_graph(graph, lambda path: f"{file}{': ' + str(path[0]) if path else ''}")
    return graph


def _element(document: Document, path: Path_, value: Any, defaults: Fields) -> Fields:
    if not isinstance(value, dict):
        raise UsageError(f"{document.at(path)}: expected a service, found {shown(value)}; {REMEDY}")
    return Fields(document, path, value, defaults.values, defaults.path)


def _service(fields: Fields, script: _Script, assumed: list[Assumption]) -> Service:
    name = fields.text("name")
    if script.own_ns == 0:
        assumed.append(Assumption(f"services.{name}.service_time", "its script does not sleep; 0"))
    return Service(
        name=name,
        replicas=fields.whole("numReplicas", 1),
        service_time=ServiceTime.constant(script.own_ns),
    )


def _script(fields: Fields) -> _Script:
    script = _Script()
    for path, command in items(fields.document, (*fields.path, "script"), fields.raw("script", None, note=False)):
        together = command if isinstance(command, list) else [command]
        calls = []
        longest_sleep_ns = 0.0
        for one in together:
            if not isinstance(one, dict) or len(one) != 1:
                raise UsageError(
                    f"{fields.document.at(path)}: expected 'call:' or 'sleep:', found {shown(one)}; {REMEDY}"
                )
            ((kind, what),) = one.items()
            if kind == "sleep":
                longest_sleep_ns = max(longest_sleep_ns, _duration_ns(fields.document, path, what))
            elif kind == "call":
                calls.append(_target(fields.document, path, what))
            else:
                raise UsageError(f"{fields.document.at(path)}: unknown command {kind!r}; known: call, sleep")
        script.own_ns += longest_sleep_ns
        if calls:
            script.stages.append(calls)
    return script


def _target(document: Document, path: Path_, what: Any) -> tuple[str, float | None, float]:
    """Callee, request size (None: the default's) and probability (0 to 1) of a call."""
    if isinstance(what, str):
        return what, None, 1.0
    if not isinstance(what, dict):
        raise UsageError(f"{document.at(path)}: expected the name of a service, found {shown(what)}")
    fields = Fields(document, path, what)
    size = _size_bytes(fields, "size", None)
    percent = fields.number("probability", most=100.0) if fields.has("probability") else 100.0
    return fields.text("service"), size, (percent or 100.0) / 100


def _calls(
    services: list[Fields], scripts: dict[str, _Script], top: Fields, assumed: list[Assumption]
) -> tuple[Call, ...]:
    defaults = top.below("defaults")
    by_name = {fields.text("name"): fields for fields in services}
    request_bytes = _size_bytes(defaults, "requestSize", 0.0) or 0.0
    if not defaults.has("requestSize"):
        assumed.append(Assumption("calls.*.request_bytes", "no requestSize; 0, as Isotope sends"))
    calls = []
    for name, script in scripts.items():
        seen: dict[str, int] = {}
        for stage, targets in enumerate(script.stages):
            for callee, size, probability in targets:
                if callee not in by_name:
                    raise by_name[name].refuse(f"calls unknown service {callee!r}; add it under 'services:'", "script")
                seen[callee] = seen.get(callee, 0) + 1
                calls.append(
                    Call(
                        id=edge_id(name, callee, str(seen[callee]) if seen[callee] > 1 else ""),
                        caller=name,
                        callee=callee,
                        protocol=_protocol(by_name[callee]),
                        request_bytes=request_bytes if size is None else size,
                        response_bytes=_size_bytes(by_name[callee], "responseSize", 0.0) or 0.0,
                        calls_per_request=probability,
                        stage=stage,
                    )
                )
    return tuple(calls)


def _protocol(fields: Fields) -> Protocol:
    kind = fields.text("type", "http").lower()
    if kind not in _PROTOCOLS:
        raise fields.refuse(f"expected http or grpc, found {kind!r}", "type")
    return _PROTOCOLS[kind]


def _ingress(services: list[Fields], rate_rps: float | None, assumed: list[Assumption]) -> tuple[Ingress, ...]:
    entries = [fields for fields in services if fields.flag("isEntrypoint")]
    if rate_rps is None:
        assumed.append(Assumption("ingress.*.rate_rps", "a topology does not say; 1 in all (see --rate)"))
    return tuple(
        Ingress(
            service=fields.text("name"),
            rate_rps=(1.0 if rate_rps is None else rate_rps) / len(entries),
            protocol=_protocol(fields),
            request_bytes=0.0,
            response_bytes=_size_bytes(fields, "responseSize", 0.0) or 0.0,
        )
        for fields in entries
    )


def _duration_ns(document: Document, path: Path_, value: Any) -> float:
    """A duration as Go writes it, `1m30s`; raises `UsageError`."""
    found = _DURATION.findall(value) if isinstance(value, str) else []
    if not found or "".join(number + unit for number, unit in found) != value:
        raise UsageError(f"{document.at(path)}: expected a time such as 10ms, found {shown(value)}")
    return sum(float(number) * _UNITS_NS[unit] for number, unit in found)


def _size_bytes(fields: Fields, key: str, default: float | None) -> float | None:
    value = fields.raw(key, None, note=False)
    if value is None:
        return default
    found = _SIZE.match(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else None
    if found is None:
        raise fields.refuse(f"expected a size such as 1 KB, found {shown(value)}", key)
    return float(found[1]) * 1024.0 ** " kmgtp".index(found[2].lower() or " ")
