"""Isotope's service graphs (istio/tools): services with scripts of sleeps and calls."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from predictor.graph.checks import Where, check_graph
from predictor.graph.fields import Fields, items, shown
from predictor.graph.names import graph_name
from predictor.graph.plan import topological_order
from predictor.graph.service_time import LONGEST_NS, ServiceTime
from predictor.graph.types import Assumption, Call, CallGraph, Ingress, Protocol, Service, edge_id
from predictor.importers.streams import read_text
from profiler.errors import UsageError
from profiler.files.json_text import Path_
from profiler.files.units import parse_duration_ns
from profiler.files.yaml_text import Document, parse_document

REMEDY: Final = "give an Isotope topology, with 'services:' and their scripts"
_PROTOCOLS: Final[dict[str, Protocol]] = {"http": "http1", "grpc": "grpc"}

_TOP: Final = ("apiVersion", "kind", "metadata", "defaults", "services", "policies")
_SERVICE: Final = ("name", "type", "numReplicas", "isEntrypoint", "responseSize", "script", "requestSize",
                   "numRbacPolicies", "namespace", "cluster")  # fmt: skip
_CALL: Final = ("service", "size", "probability")


class _Target(NamedTuple):
    """A call of a script; `size_bytes` is None where the default's counts, `probability` is from 0 to 1."""

    callee: str
    size_bytes: float | None
    probability: float


@dataclass(slots=True)
class _Script:
    """What a service does with one request: steps one after another, each a sleep, calls, or both at the same time."""

    steps: list[tuple[float, list[_Target]]] = field(default_factory=list)

    @property
    def stages(self) -> list[list[_Target]]:
        return [targets for _, targets in self.steps if targets]


def read_isotope(file: Path, rate_rps: float | None = None) -> CallGraph:
    """The call graph of an Isotope topology. Raises `UsageError`, one line with file, line and field.

    Sizes are in Isotope's units: 1 KB is 1024 bytes. Sleeps are the service's own time; of a sleep next to calls it is
    what the calls do not take.
    """
    document = parse_document(read_text(file, REMEDY), str(file))
    if not isinstance(document.value, dict) or "services" not in document.value:
        raise UsageError(f"{file}: no 'services:' in it; {REMEDY}")
    top = Fields(document, (), document.value)
    services = [
        _element(document, path, value, top.below("defaults"))
        for path, value in items(document, ("services",), top.raw("services"))
    ]
    scripts = {_name(fields): _script(fields) for fields in services}
    if len(scripts) < len(services):
        raise UsageError(f"{file}: a service is there twice; give each its own name")
    assumed: list[Assumption] = []
    graph = CallGraph(
        services=tuple(_service(fields, scripts[_name(fields)], assumed) for fields in services),
        calls=_calls(services, scripts, top, assumed),
        ingress=_ingress(services, scripts, rate_rps, assumed),
        assumed=(*assumed, *_passed_over(top, services),
                 Assumption("services.*.sidecar", "a topology does not say; http on both sides"),
                 Assumption("calls.*.tls", "a topology does not say; none")),
    )  # fmt: skip
    where: Where = lambda path: f"{file}{': ' + str(path[0]) if path else ''}"  # noqa: E731
    check_graph(graph, where)
    graph = _with_own_times(graph, scripts)
    check_graph(graph, where)
    return graph


def _name(fields: Fields) -> str:
    name = fields.text("name")
    if graph_name(name) != name:
        raise fields.refuse(f"{name!r} is not a name for a service; rename it", "name")
    return name


def _element(document: Document, path: Path_, value: Any, defaults: Fields) -> Fields:
    if not isinstance(value, dict):
        raise UsageError(f"{document.at(path)}: expected a service, found {shown(value)}; {REMEDY}")
    return Fields(document, path, value, defaults.values, defaults.path)


def _service(fields: Fields, script: _Script, assumed: list[Assumption]) -> Service:
    name = _name(fields)
    if not any(sleep_ns for sleep_ns, _ in script.steps):
        assumed.append(Assumption(f"services.{name}.service_time", "its script does not sleep; 0"))
    return Service(name=name, replicas=fields.whole("numReplicas", 1), service_time=ServiceTime.constant(0.0))


def _script(fields: Fields) -> _Script:
    script = _Script()
    for path, command in items(fields.document, (*fields.path, "script"), fields.raw("script", None, note=False)):
        targets = []
        longest_sleep_ns = 0.0
        for one in command if isinstance(command, list) else [command]:
            if not isinstance(one, dict) or len(one) != 1:
                raise UsageError(
                    f"{fields.document.at(path)}: expected 'call:' or 'sleep:', found {shown(one)}; {REMEDY}"
                )
            ((kind, what),) = one.items()
            if kind == "sleep":
                longest_sleep_ns = max(longest_sleep_ns, _duration_ns(fields.document, path, what))
            elif kind == "call":
                targets.append(_target(fields.document, path, what))
            else:
                raise UsageError(f"{fields.document.at(path)}: unknown command {shown(kind)}; known: call, sleep")
        script.steps.append((longest_sleep_ns, targets))
    return script


def _target(document: Document, path: Path_, what: Any) -> _Target:
    if isinstance(what, str):
        return _Target(what, None, 1.0)
    if not isinstance(what, dict):
        raise UsageError(f"{document.at(path)}: expected the name of a service, found {shown(what)}")
    fields = Fields(document, path, what)
    size = _size_bytes(fields, "size", None)
    percent = fields.number("probability", most=100.0) if fields.has("probability") else 100.0
    return _Target(fields.text("service"), size, (percent or 100.0) / 100)


def _with_own_times(graph: CallGraph, scripts: dict[str, _Script]) -> CallGraph:
    """The graph with each service's own time, callees first: of a sleep next to calls counts what outlasts them.

    How long a call takes is what the scripts below it say: the time on the way is not known here, and small.
    """
    own_ns: dict[str, float] = {}
    total_ns: dict[str, float] = {}
    remarks = []
    for name in reversed(topological_order(graph)):
        own_ns[name] = total_ns[name] = 0.0
        for sleep_ns, targets in scripts[name].steps:
            with_sleep_ns = _longest_ns(sleep_ns, targets, total_ns)
            extra_ns = with_sleep_ns - _longest_ns(0.0, targets, total_ns)
            own_ns[name] += extra_ns
            total_ns[name] = min(total_ns[name] + with_sleep_ns, LONGEST_NS)
            if sleep_ns and targets:
                why = f"{extra_ns / 1e6:g} of {sleep_ns / 1e6:g} ms of sleep next to calls: what outlasts them"
                remarks.append(Assumption(f"services.{name}.service_time", why))
    services = tuple(
        replace(service, service_time=ServiceTime.constant(own_ns[service.name])) for service in graph.services
    )
    return replace(graph, services=services, assumed=(*graph.assumed, *remarks))


def _longest_ns(sleep_ns: float, targets: Sequence[_Target], total_ns: dict[str, float]) -> float:
    """Mean time of a step: of its sleep and those of its calls that are made, the longest.

    In descending order a call is the longest of those made if none before it is.
    """
    mean_ns, none_before = 0.0, 1.0
    for callee, _, probability in sorted(targets, key=lambda target: -total_ns[target.callee]):
        mean_ns += none_before * probability * max(total_ns[callee], sleep_ns)
        none_before *= 1.0 - probability
    return mean_ns + none_before * sleep_ns


def _calls(
    services: list[Fields], scripts: dict[str, _Script], top: Fields, assumed: list[Assumption]
) -> tuple[Call, ...]:
    defaults = top.below("defaults")
    by_name = {_name(fields): fields for fields in services}
    request_bytes = _size_bytes(defaults, "requestSize", 0.0) or 0.0
    if not defaults.has("requestSize"):
        assumed.append(Assumption("calls.*.request_bytes", "no requestSize; 0, as Isotope sends"))
    calls = []
    for name, script in scripts.items():
        seen: dict[str, int] = {}
        for stage, targets in enumerate(script.stages):
            for callee, size, probability in targets:
                if callee not in by_name:
                    what = f"calls unknown service {shown(callee)}; add it under 'services:'"
                    raise by_name[name].refuse(what, "script")
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
        raise fields.refuse(f"expected http or grpc, found {shown(kind)}", "type")
    return _PROTOCOLS[kind]


def _ingress(
    services: list[Fields], scripts: dict[str, _Script], rate_rps: float | None, assumed: list[Assumption]
) -> tuple[Ingress, ...]:
    entries = [fields for fields in services if fields.flag("isEntrypoint")]
    if services and not entries:
        called = {target.callee for script in scripts.values() for stage in script.stages for target in stage}
        tops = [name for name in scripts if name not in called] or list(scripts)
        raise services[0].refuse(
            "no ingress: no service has 'isEntrypoint'; add 'isEntrypoint: true' to the one that requests come in at, "
            f"perhaps {shown(tops[0])}"
        )
    if rate_rps is None:
        assumed.append(Assumption("ingress.*.rate_rps", "a topology does not say; 1 in all (see --rate)"))
    return tuple(
        Ingress(
            service=_name(fields),
            rate_rps=(1.0 if rate_rps is None else rate_rps) / len(entries),
            protocol=_protocol(fields),
            request_bytes=0.0,
            response_bytes=_size_bytes(fields, "responseSize", 0.0) or 0.0,
        )
        for fields in entries
    )


def _passed_over(top: Fields, services: list[Fields]) -> list[Assumption]:
    """Keys that Isotope does not read, or that a graph has no field for."""
    found = [Assumption(key, _why(key)) for key in top.values if key not in _TOP]
    for key in top.below("defaults").values:
        if key not in _SERVICE:
            found.append(Assumption(f"defaults.{key}", _why(key)))
    for fields in services:
        name = _name(fields)
        found += [Assumption(f"services.{name}.{key}", _why(key)) for key in fields.values if key not in _SERVICE]
        script = fields.values.get("script")
        for command in script if isinstance(script, list) else []:
            for one in command if isinstance(command, list) else [command]:
                call = one.get("call")
                unread = [key for key in call if key not in _CALL] if isinstance(call, dict) else []
                found += [Assumption(f"calls.{name}->{call['service']}.{key}", _why(key)) for key in unread]
    return found


def _why(key: str) -> str:
    if key == "payloadSize":
        return "left out: Isotope does not read it; a call's size is 'size:'"
    return "left out: a call graph has no field for it"


def _duration_ns(document: Document, path: Path_, value: Any) -> float:
    """A duration as Go writes it, `1m30s`; raises `UsageError`."""
    try:
        duration_ns = parse_duration_ns(value if isinstance(value, str) else shown(value))
    except ValueError as error:
        raise UsageError(f"{document.at(path)}: {error}") from None
    if not 0 <= duration_ns <= LONGEST_NS:
        raise UsageError(f"{document.at(path)}: expected a time from 0 to 30 years; found {shown(value)}")
    return duration_ns


def _size_bytes(fields: Fields, key: str, default: float | None) -> float | None:
    """A size; Isotope's KB is 1024 bytes."""
    return fields.size_bytes(key, 0.0, binary=True) if fields.has(key) else default
