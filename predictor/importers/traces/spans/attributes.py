"""What span attributes mean, in the words of OpenTelemetry (old and new), OpenTracing, Brave, gRPC and Envoy. Pure."""

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

from predictor.graph.types import PROTOCOLS
from predictor.importers.traces.spans.names import clean, host_of_url, is_address, is_own_address, service_of_host
from predictor.importers.traces.spans.operations import HELPER, INNER_HELPER, ProxyName, proxy_name
from predictor.importers.traces.spans.spans import CLIENT, CONSUMER, INTERNAL, PRODUCER, SERVER, UNKNOWN, Facts

KINDS: Final = {"server": SERVER, "client": CLIENT, "producer": PRODUCER, "consumer": CONSUMER}

REQUEST_SIZES: Final = (
    "http.request.body.size", "http.request.size", "http.request_content_length", "request_size",
    "http.request_content_length_uncompressed", "rpc.request.size", "rpc.message.request_size",
    "messaging.message.body.size", "messaging.message.envelope.size", "messaging.message_payload_size_bytes",
)  # fmt: skip
RESPONSE_SIZES: Final = (
    "http.response.body.size", "http.response.size", "http.response_content_length", "response_size",
    "http.response_content_length_uncompressed", "rpc.response.size", "rpc.message.response_size",
)  # fmt: skip
_RANKS: Final = {key: (side, rank) for side, keys in enumerate((REQUEST_SIZES, RESPONSE_SIZES))
                 for rank, key in enumerate(keys)}  # fmt: skip
SIZES: Final = frozenset(REQUEST_SIZES) | frozenset(RESPONSE_SIZES)

_PEERS: Final = (
    "peer.service", "service.peer.name", "upstream_cluster.name", "upstream_cluster", "server.address",
    "net.peer.name", "peer.hostname", "net.sock.peer.name", "out.host", "peer.address", "network.peer.address",
    "net.peer.ip", "net.sock.peer.addr", "peer.ipv4", "peer.ipv6",
)  # fmt: skip
_URLS: Final = ("url.full", "http.url", "http.host", "db.connection_string", "db.url", "messaging.url")
_TARGETS: Final = ("rpc.service", "messaging.destination.name", "messaging.destination", "message_bus.destination")
_DATABASES: Final = ("db.namespace", "db.name", "db.instance", "db.cassandra.keyspace")
_SYSTEMS: Final = (
    "db.system",
    "db.system.name",
    "db.type",
    "db.instance.type",
    "messaging.system",
    "cassandra.keyspace",
)
_QUERIES: Final = ("sql.query", "db.statement", "db.query.text", "db.operation", "db.operation.name", "redis.command")
_HTTP: Final = ("http.method", "http.request.method", "http.status_code", "http.response.status_code", "http.protocol")
_VERSIONS: Final = ("http.flavor", "network.protocol.version", "http.protocol", "net.protocol.version")
_GRPC: Final = ("grpc.path", "grpc.authority", "grpc.status_code", "rpc.grpc.status_code", "grpc.method_type")
_MESH: Final = ("istio.canonical_service", "istio.mesh_id")
_STORES: Final = {"redis", "jdbc", "java-jdbc", "mongodb", "java-mongo", "memcached", "kafka", "mysql", "postgresql"}

CATEGORICAL: Final = frozenset(
    (
        "span.kind",
        "component",
        "rpc.system",
        "network.protocol.name",
        "node_id",
        "dns.question.name",
        "dns.lookup.name",
        *_MESH,
        *_PEERS,
        *_URLS,
        *_TARGETS,
        *_DATABASES,
        *_SYSTEMS,
        *_QUERIES,
        *_HTTP,
        *_VERSIONS,
        *_GRPC,
    )
)
"""The attributes that `interpret` looks at; readers pass over all others."""

_NOTHING: Final = (None, "", "-", "PassthroughCluster", "BlackHoleCluster", "InboundPassthroughCluster")
_BY_PRESENCE: Final = frozenset(_QUERIES)
_GRPC_CODE, _HTTP2_CODE, _HTTP1_CODE, _TCP_CODE = (PROTOCOLS.index(name) for name in ("grpc", "http2", "http1", "tcp"))
_GATEWAY_NODES: Final = ("router~", "waypoint~")
_LOOK_UPS: Final = ("dns.question.name", "dns.lookup.name")


def interpret(pairs: Iterable[tuple[str, Any]], kind: int = INTERNAL, operation: str = "") -> Facts:
    """The facts in a span's attributes; `kind` is what the format itself says of it.

    `operation` is needed only where `operations.telling` says so. Remembers the latest answers.
    """
    stated = tuple([(key, _kept(key, value)) for key, value in pairs])
    try:
        return _interpreted(stated, kind, operation)
    except TypeError:  # a value that is a list or a mapping
        return _interpreted(tuple((key, str(value)) for key, value in stated), kind, operation)


def _kept(key: str, value: Any) -> Any:
    """A value without what makes each span different and says nothing here: paths of addresses, texts of queries."""
    if key in _URLS:
        return host_of_url(str(value))
    return "1" if key in _BY_PRESENCE and value else value


@lru_cache(maxsize=20_000)
def _interpreted(pairs: tuple[tuple[str, Any], ...], kind: int, operation: str) -> Facts:
    given = {key: str(value) for key, value in pairs if value not in _NOTHING}
    kind = kind or KINDS.get(given.get("span.kind", "").lower(), INTERNAL)
    system = next((given[key] for key in _SYSTEMS if key in given), "")
    if system and system == given.get("cassandra.keyspace"):
        system = "cassandra"
    cluster = given.get("upstream_cluster.name") or given.get("upstream_cluster", "")
    proxy = given.get("component") == "proxy"
    named = (proxy_name(cluster) or proxy_name(operation)) if proxy else None
    sidecar = proxy and _is_sidecar(given, named)
    if sidecar and named and named.inbound is not None:
        kind = SERVER if named.inbound else CLIENT
    part = _is_part(given, system, kind, operation)
    kind = INTERNAL if part else kind
    return Facts(
        kind=kind,
        protocol=_protocol(given, system, kind),
        peer=_peer(given, system, kind, named),
        system=_store(given, system),
        forwards=kind == SERVER and bool(cluster) and not cluster.startswith("inbound"),
        sidecar=sidecar,
        gateway=proxy and given.get("node_id", "").startswith(_GATEWAY_NODES),
        part=part,
        helper=operation == INNER_HELPER and kind == CLIENT and not system,
        itself=named.service if sidecar and named and kind == SERVER else "",
    )


def _is_sidecar(given: dict[str, str], named: ProxyName | None) -> bool:
    """Whether Envoy next to a service recorded the span. Gateways and waypoints are services of their own."""
    node = given.get("node_id", "")
    if node.count("~") >= 2:
        return node.startswith("sidecar~")
    return (named is not None and named.inbound is not None) or any(key in given for key in _MESH)


def _is_part(given: dict[str, str], system: str, kind: int, operation: str) -> bool:
    """A look-up of a name, a connect or a TLS handshake: part of a call, or of nothing, but no call of a service."""
    if kind != CLIENT or system:
        return False
    return operation == HELPER or any(key in given for key in _LOOK_UPS) or given.get("component") in ("dns", "net")


def _protocol(given: dict[str, str], system: str, kind: int) -> int:
    words = {given.get(key, "").lower() for key in ("rpc.system", "component", "network.protocol.name")}
    if "grpc" in words or any(key in given for key in _GRPC):
        return _GRPC_CODE
    version = next((given[key] for key in _VERSIONS if key in given), "").upper().removeprefix("HTTP/")
    if version.startswith("2"):
        return _HTTP2_CODE
    if version.startswith("1") or any(key in given for key in _HTTP):
        return _HTTP1_CODE
    if system or kind in (PRODUCER, CONSUMER) or any(key in given for key in _QUERIES) or words & _STORES:
        return _TCP_CODE
    if kind == CLIENT and ("http.url" in given or "url.full" in given or "http.host" in given):
        return _HTTP1_CODE
    return UNKNOWN


def _peer(given: dict[str, str], system: str, kind: int, named: ProxyName | None) -> str:
    """Who is at the other side: names before addresses, addresses before the local host."""
    if named and named.service:
        return named.service
    found = [_service(given[key]) for key in _PEERS if key in given]
    if kind in (CLIENT, PRODUCER):
        found += [service_of_host(given[key]) for key in _URLS if key in given]
        if not system:
            found += [clean(given[key]) for key in _TARGETS if key in given]
    found = [name for name in found if name]
    ranked = sorted(found, key=lambda name: 2 if is_own_address(name) else int(is_address(name)))
    return ranked[0] if ranked and not (is_own_address(ranked[0]) and system) else ""


def _service(name: str) -> str:
    """The service behind a host or a cluster of Envoy."""
    named = proxy_name(name)
    return named.service if named else service_of_host(name)


def _store(given: dict[str, str], system: str) -> str:
    """The database, or the kind of broker, where nothing says where it is."""
    database = next((given[key] for key in _DATABASES if key in given), "")
    return clean(f"{system}/{database}" if system and database else system or database)


def sizes(pairs: Iterable[tuple[str, Any]]) -> tuple[int, int]:
    """Request and response size in bytes, UNKNOWN where nothing says it; the attribute named first above counts."""
    if not pairs:
        return UNKNOWN, UNKNOWN
    found, best = [UNKNOWN, UNKNOWN], [len(_RANKS), len(_RANKS)]
    for key, value in pairs:
        side, rank = _RANKS[key]
        if rank < best[side] and (size := whole(value)) >= 0:
            found[side], best[side] = size, rank
    return found[0], found[1]


def whole(value: Any) -> int:
    """A size in bytes from a number or its text; UNKNOWN for anything else."""
    if type(value) is int and 0 <= value < 2**50:
        return value
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return UNKNOWN
    return int(number) if math.isfinite(number) and 0 <= number < 2**50 else UNKNOWN


def message_sizes(events: Iterable[dict[str, Any]], kind: int) -> tuple[int, int]:
    """Sizes from RPC message events (`message.type` SENT or RECEIVED): a client sends requests, a server receives."""
    totals = {"SENT": UNKNOWN, "RECEIVED": UNKNOWN}
    for event in events:
        direction = str(event.get("message.type") or event.get("rpc.message.type") or "").upper()
        names = ("message.compressed_size", "rpc.message.compressed_size", "message.uncompressed_size",
                 "rpc.message.uncompressed_size")  # fmt: skip
        size = next((found for name in names if (found := whole(event.get(name))) >= 0), UNKNOWN)
        if direction in totals and size >= 0:
            totals[direction] = max(totals[direction], 0) + size
    sent, received = totals["SENT"], totals["RECEIVED"]
    return (received, sent) if kind in (SERVER, CONSUMER) else (sent, received)
