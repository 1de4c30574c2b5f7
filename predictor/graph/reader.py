"""Reads a call graph file (`docs/reference/call-graph.md`). What it leaves out gets a default, which is listed.

The rules of the file are here and in `checks.py`; `schema.json` says the same for editors and other programs.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from predictor.graph import checks
from predictor.graph.fields import Fields, items
from predictor.graph.services import SERVICE_FIELDS, Defaulted, read_service, refuse_unprintable
from predictor.graph.types import (
    EDGE_TLS_MODES,
    MOST_CALLS_PER_REQUEST,
    MOST_CONNECTIONS,
    MOST_RETRY_RATE,
    PROTOCOLS,
    REPEATS,
    SIDES,
    SIZE_BYTES,
    TLS_MODES,
    Assumption,
    Call,
    CallGraph,
    Cluster,
    Ingress,
    edge_id,
)
from profiler.errors import UsageError
from profiler.files.reading import read_text
from profiler.files.yaml_text import Document, parse_document

FORMAT: Final = "meshinsight-graph"
VERSION: Final = 1
"""The newest version of the file that this package reads, and the one it writes."""

REMEDY: Final = "give a call graph file, as docs/reference/call-graph.md describes it"

_TOP: Final = (
    "format", "version", "name", "defaults", "services", "calls", "ingress", "cluster", "cold_weight", "assumed",
)  # fmt: skip
_EDGE: Final = ("protocol", "tls", "filters", "request_bytes", "response_bytes")
_CALL: Final = (
    "caller", "callee", "name", *_EDGE, "calls_per_request", "group", "repeat", "asynchronous", "headers",
    "new_connections", "required", "bypass", "retry_rate",
)  # fmt: skip
_INGRESS: Final = ("service", "rate_rps", "connections", *_EDGE, "bypass")
_WHY: Final = {
    "replicas": "not given; 1",
    "sidecar": "not given; http on both sides",
    "client": "not given; http",
    "server": "not given; http",
    "service_time": "not given; 1 ms for every request",
    "distribution": "not given; every request takes the mean",
    "protocol": "not given; http1",
    "tls": "not given; none",
    "request_bytes": "not given; 1024",
    "response_bytes": "not given; 1024",
}


def load_graph(file: Path) -> CallGraph:
    """Read and check a call graph file. Raises `UsageError`, one line that names file, line and field."""
    return parse_graph(read_text(file, REMEDY), str(file))


def parse_graph(text: str, origin: str) -> CallGraph:
    """As `load_graph`, from text; `origin` names it in messages."""
    document = parse_document(text, origin)
    if not isinstance(document.value, dict) or document.value.get("format") != FORMAT:
        raise UsageError(f"{document.at(())}: not a call graph (no 'format: {FORMAT}'); {REMEDY}")
    top = Fields(document, (), document.value)
    version = top.whole("version")
    if version > VERSION:
        raise top.refuse(f"version {version} is newer than this meshinsight reads ({VERSION}); upgrade it", "version")
    top.only(_TOP)
    return _graph(document, top)


def _graph(document: Document, top: Fields) -> CallGraph:
    defaults = top.below("defaults")
    defaults.only(("service", "call", "ingress"))
    missing: Defaulted = {}
    services = [
        read_service(fields, missing) for fields in _elements(document, top, defaults, "services", "service", "name")
    ]
    calls = _calls(_elements(document, top, defaults, "calls", "call"), missing)
    entries = [_ingress(fields, missing) for fields in _elements(document, top, defaults, "ingress", "ingress")]
    graph = CallGraph(
        services=tuple(services),
        calls=calls,
        ingress=tuple(entries),
        name=top.text("name", ""),
        cluster=_cluster(top.below("cluster")),
        cold_weight=top.optional("cold_weight", most=1.0),
        assumed=tuple(
            dict.fromkeys(
                (
                    *_assumed(document, top),
                    *_listed(missing, len(services), len(calls), len(entries)),
                    *_one_way(entries),
                )
            )
        ),
    )
    checks.check_graph(graph, lambda path: document.at(path))
    return graph


def _elements(
    document: Document, top: Fields, defaults: Fields, key: str, kind: str, missing_name: str = ""
) -> Iterator[Fields]:
    """The elements of a list with the defaults for their kind; a bare text stands for `{missing_name: text}`."""
    shared = defaults.below(kind)
    shared.only({"service": SERVICE_FIELDS[1:], "call": _CALL[3:], "ingress": _INGRESS[3:]}[kind])
    for path, value in items(document, (key,), top.raw(key, None, note=False)):
        if isinstance(value, str) and missing_name:
            value = {missing_name: value}
        if not isinstance(value, dict):
            raise UsageError(f"{document.at(path)}: expected a mapping such as '- {{{missing_name or 'key'}: value}}'")
        yield Fields(document, path, value, shared.values, shared.path)


def _calls(elements: Iterable[Fields], missing: Defaulted) -> tuple[Call, ...]:
    stages: dict[str, dict[str, int]] = {}
    return tuple(_call(fields, stages, missing) for fields in elements)


def _call(fields: Fields, stages: dict[str, dict[str, int]], missing: Defaulted) -> Call:
    fields.only(_CALL)
    caller, callee = fields.text("caller"), fields.text("callee")
    name = fields.text("name", "") if "name" in fields.values else ""
    if name:
        refuse_unprintable(fields, "name", name)
    identifier = edge_id(caller, callee, name)
    known = stages.setdefault(caller, {})
    group = (fields.text("group", "") if fields.has("group") else "") or f"\0{len(known)}"
    values = _given(fields, _CALL_VALUES, "calls", identifier, missing)
    values["calls_per_request"] = values.get("calls_per_request", 1.0) * (1.0 + values.get("retry_rate", 0.0))
    return Call(
        id=identifier,
        caller=caller,
        callee=callee,
        stage=known.setdefault(group, len(known)),
        **values,
    )


def _given(
    fields: Fields, readers: Mapping[str, Callable[[Fields, str], Any]], kind: str, owner: str, missing: Defaulted
) -> dict[str, Any]:
    """The fields that an element has, itself or by its kind's defaults; of others those that matter are remembered."""
    found: dict[str, Any] = {}
    for key, read in readers.items():
        if (key in fields.values or key in fields.fallback) and fields.has(key):
            found[key] = read(fields, key)
        elif key in _WHY:
            missing.setdefault((kind, key), []).append(owner)
    return found


def _size(fields: Fields, key: str) -> float:
    return fields.size_bytes(key, SIZE_BYTES)


_EDGE_VALUES: Final[Mapping[str, Callable[[Fields, str], Any]]] = {
    "protocol": lambda fields, key: fields.choice(key, PROTOCOLS, "http1"),
    "tls": lambda fields, key: fields.choice(key, TLS_MODES, "none"),
    "filters": lambda fields, key: fields.names(key),
    "request_bytes": _size,
    "response_bytes": _size,
    "bypass": lambda fields, key: fields.choices(key, SIDES),
}
_CALL_VALUES: Final = {
    **_EDGE_VALUES,
    "calls_per_request": lambda fields, key: fields.number(key, 1.0, most=MOST_CALLS_PER_REQUEST),
    "repeat": lambda fields, key: fields.choice(key, REPEATS, "sequential"),
    "asynchronous": lambda fields, key: fields.flag(key),
    "headers": lambda fields, key: fields.optional(key, most=1e6),
    "new_connections": lambda fields, key: fields.optional(key, most=1.0),
    "required": lambda fields, key: fields.names(key),
    "retry_rate": lambda fields, key: fields.number(key, 0.0, most=MOST_RETRY_RATE),
}
_ENTRY_VALUES: Final = {**_EDGE_VALUES, "tls": lambda fields, key: fields.choice(key, EDGE_TLS_MODES, "none")}


def _ingress(fields: Fields, missing: Defaulted) -> Ingress:
    fields.only(_INGRESS)
    service = fields.text("service")
    values = _given(fields, _ENTRY_VALUES, "ingress", service, missing)
    if not fields.has("connections"):
        return Ingress(service=service, rate_rps=fields.rate_rps("rate_rps"), **values)
    if fields.has("rate_rps"):
        raise fields.refuse("both connections and rate_rps are given; remove one of them", "connections")
    return Ingress(service=service, connections=fields.whole("connections", most=MOST_CONNECTIONS), **values)


def _one_way(entries: Iterable[Ingress]) -> Iterator[Assumption]:
    for entry in entries:
        if entry.tls == "simple":
            yield Assumption(f"ingress.{entry.service}.tls", "simple: costs what mtls costs on the server's side")


def _cluster(fields: Fields) -> Cluster:
    fields.only(("nodes", "cpus_per_node", "cpu_use"))
    return Cluster(
        nodes=fields.whole("nodes") if fields.has("nodes") else None,
        cpus_per_node=fields.optional("cpus_per_node", least=1e-3),
        cpu_use=fields.optional("cpu_use", most=1.0),
    )


def _assumed(document: Document, top: Fields) -> tuple[Assumption, ...]:
    """The file's own list: texts, or `{path: why}` with one key each."""
    found = []
    for path, value in items(document, ("assumed",), top.raw("assumed", None, note=False)):
        pairs = [(value, "")] if isinstance(value, str) else list(value.items()) if isinstance(value, dict) else []
        if len(pairs) != 1 or not isinstance(pairs[0][1], str):
            raise UsageError(f"{document.at(path)}: expected a path or 'path: why', as in 'calls.*.tls: not known'")
        found.append(Assumption(*pairs[0]))
    return tuple(found)


def _listed(missing: Defaulted, services: int, calls: int, entries: int) -> list[Assumption]:
    """Defaults as assumptions; one line for a field that all elements of a kind lack."""
    everything = {"services": services, "calls": calls, "ingress": entries}
    found = []
    for (kind, key), names in missing.items():
        why = _WHY[key.rpartition(".")[2]]
        names = ["*"] if len(names) == everything[kind] and len(names) > 1 else names
        found += [Assumption(f"{kind}.{name}.{key}", why) for name in names]
    return found
