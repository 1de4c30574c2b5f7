"""Reads a call graph file (`docs/call-graph.md`). What it leaves out gets a default, and the default is listed.

The rules of the file are here and in `checks.py`; `schema.json` says the same for editors and other programs.
"""

from pathlib import Path
from typing import Any, Final

from predictor.graph import checks
from predictor.graph.fields import Fields, items
from predictor.graph.services import SERVICE_FIELDS, Defaulted, read_service
from predictor.graph.types import (
    PROTOCOLS,
    REPEATS,
    TLS_MODES,
    Assumption,
    Call,
    CallGraph,
    Cluster,
    Ingress,
    edge_id,
)
from profiler.errors import UsageError
from profiler.files.json_text import Path_
from profiler.files.reading import read_text
from profiler.files.yaml_text import Document, parse_document

FORMAT: Final = "meshinsight-graph"
VERSION: Final = 1
"""The newest version of the file that this package reads, and the one it writes."""

SIZE_BYTES: Final = 1024.0
REMEDY: Final = "give a call graph file, as docs/call-graph.md describes it"

_TOP: Final = (
    "format", "version", "name", "defaults", "services", "calls", "ingress", "cluster", "cold_weight", "assumed",
)  # fmt: skip
_EDGE: Final = ("protocol", "tls", "filters", "request_bytes", "response_bytes")
_CALL: Final = (
    "caller", "callee", "name", *_EDGE, "calls_per_request", "group", "repeat", "asynchronous", "headers",
    "new_connections", "required",
)  # fmt: skip
_INGRESS: Final = ("service", "rate_rps", *_EDGE)
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
    missing: Defaulted = []
    services = [
        read_service(_element(document, path, value, defaults, "service", missing_name="name"), missing)
        for path, value in items(document, ("services",), top.raw("services", None, note=False))
    ]
    calls = [
        _element(document, path, value, defaults, "call")
        for path, value in items(document, ("calls",), top.raw("calls", None, note=False))
    ]
    entries = [
        _ingress(_element(document, path, value, defaults, "ingress"), missing)
        for path, value in items(document, ("ingress",), top.raw("ingress", None, note=False))
    ]
    graph = CallGraph(
        services=tuple(services),
        calls=_calls(calls, missing),
        ingress=tuple(entries),
        name=top.text("name", ""),
        cluster=_cluster(top.below("cluster")),
        cold_weight=top.optional("cold_weight", most=1.0),
        assumed=(*_assumed(document, top), *_listed(missing, len(services), len(calls), len(entries))),
    )
    checks.check_graph(graph, lambda path: document.at(path))
    return graph


def _element(
    document: Document, path: Path_, value: Any, defaults: Fields, kind: str, *, missing_name: str = ""
) -> Fields:
    """One element of a list with the defaults for its kind; a bare text stands for `{missing_name: text}`."""
    if isinstance(value, str) and missing_name:
        value = {missing_name: value}
    if not isinstance(value, dict):
        raise UsageError(f"{document.at(path)}: expected a mapping such as '- {{{missing_name or 'key'}: value}}'")
    shared = defaults.below(kind)
    shared.only({"service": SERVICE_FIELDS[1:], "call": _CALL[3:], "ingress": _INGRESS[2:]}[kind])
    return Fields(document, path, value, shared.values, shared.path)


def _calls(elements: list[Fields], missing: Defaulted) -> tuple[Call, ...]:
    stages: dict[str, dict[str, int]] = {}
    return tuple(_call(fields, stages, missing) for fields in elements)


def _call(fields: Fields, stages: dict[str, dict[str, int]], missing: Defaulted) -> Call:
    fields.only(_CALL)
    caller, callee = fields.text("caller"), fields.text("callee")
    identifier = edge_id(caller, callee, fields.text("name", ""))
    known = stages.setdefault(caller, {})
    group = fields.text("group", "") or f"\0{len(known)}"
    call = Call(
        id=identifier,
        caller=caller,
        callee=callee,
        **_edge(fields),
        calls_per_request=fields.number("calls_per_request", 1.0, most=1e9) if fields.has("calls_per_request") else 1.0,
        stage=known.setdefault(group, len(known)),
        repeat=fields.choice("repeat", REPEATS, "sequential") if fields.has("repeat") else "sequential",
        asynchronous=fields.flag("asynchronous"),
        headers=fields.optional("headers", most=1e6),
        new_connections=fields.optional("new_connections", most=1.0),
        required=fields.names("required"),
    )
    missing += [("calls", identifier, key) for key in fields.defaulted]
    return call


def _edge(fields: Fields) -> dict[str, Any]:
    return {
        "protocol": fields.choice("protocol", PROTOCOLS, "http1"),
        "tls": fields.choice("tls", TLS_MODES, "none"),
        "filters": fields.names("filters"),
        "request_bytes": fields.size_bytes("request_bytes", SIZE_BYTES),
        "response_bytes": fields.size_bytes("response_bytes", SIZE_BYTES),
    }


def _ingress(fields: Fields, missing: Defaulted) -> Ingress:
    fields.only(_INGRESS)
    service = fields.text("service")
    entry = Ingress(service=service, rate_rps=fields.rate_rps("rate_rps"), **_edge(fields))
    missing += [("ingress", service, key) for key in fields.defaulted]
    return entry


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
    owners: dict[tuple[str, str], list[str]] = {}
    for kind, owner, key in missing:
        owners.setdefault((kind, key), []).append(owner)
    found = []
    for (kind, key), names in owners.items():
        why = _WHY[key.rpartition(".")[2]]
        names = ["*"] if len(names) == everything[kind] and len(names) > 1 else names
        found += [Assumption(f"{kind}.{name}.{key}", why) for name in names]
    return found
