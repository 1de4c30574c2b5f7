"""What span attributes mean, in the words of OpenTelemetry (old and new), OpenTracing, Brave, gRPC and Envoy. Pure."""

import math
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

from predictor.graph.types import PROTOCOLS
from predictor.importers.spans import CLIENT, CONSUMER, INTERNAL, PRODUCER, SERVER, UNKNOWN, Facts

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
    "net.peer.name", "peer.hostname", "network.peer.address", "net.sock.peer.name", "net.peer.ip", "peer.address",
    "peer.ipv4", "out.host", "http.host",
)  # fmt: skip
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
        *_MESH,
        *_PEERS,
        *_SYSTEMS,
        *_QUERIES,
        *_HTTP,
        *_VERSIONS,
        *_GRPC,
    )
)
"""The attributes that `interpret` looks at; readers pass over all others."""

_NOTHING: Final = (None, "", "-", "PassthroughCluster", "BlackHoleCluster", "InboundPassthroughCluster")
_CLUSTER: Final = re.compile(r"(inbound|outbound)_?[|.].*?[|.](?:[^|]*)[|.]_?\.?([^|]*)\Z")
_GRPC_CODE, _HTTP2_CODE, _HTTP1_CODE, _TCP_CODE = (PROTOCOLS.index(name) for name in ("grpc", "http2", "http1", "tcp"))


def interpret(pairs: Iterable[tuple[str, Any]], kind: int = INTERNAL) -> Facts:
    """The facts in a span's attributes; `kind` is what the format itself says of it. Remembers the latest answers."""
    told = tuple(pairs)
    try:
        return _interpreted(told, kind)
    except TypeError:  # a value that is a list or a mapping
        return _interpreted(tuple((key, str(value)) for key, value in told), kind)


@lru_cache(maxsize=20_000)
def _interpreted(pairs: tuple[tuple[str, Any], ...], kind: int) -> Facts:
    given = {key: str(value) for key, value in pairs if value not in _NOTHING}
    kind = kind or KINDS.get(given.get("span.kind", "").lower(), INTERNAL)
    system = next((given[key] for key in _SYSTEMS if key in given), "")
    if system and system == given.get("cassandra.keyspace"):
        system = "cassandra"
    cluster = given.get("upstream_cluster.name") or given.get("upstream_cluster", "")
    return Facts(
        kind=kind,
        protocol=_protocol(given, system, kind),
        peer=_peer(given),
        system=clean(system),
        forwards=kind == SERVER and bool(cluster) and not cluster.startswith("inbound"),
        sidecar=_is_sidecar(given, cluster),
    )


def _is_sidecar(given: dict[str, str], cluster: str) -> bool:
    """Whether Envoy beside a service recorded the span. Gateways and waypoints are services of their own."""
    if given.get("component") != "proxy":
        return False
    node = given.get("node_id", "")
    if node.count("~") >= 2:
        return node.startswith("sidecar~")
    return cluster.startswith(("inbound", "outbound")) or any(key in given for key in _MESH)


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
    return UNKNOWN


def _peer(given: dict[str, str]) -> str:
    for key in _PEERS:
        if key in given:
            name = given[key]
            return clean(cluster_host(name) if key.startswith("upstream_cluster") else name)
    return ""


def cluster_host(cluster: str) -> str:
    """The service an Envoy cluster stands for: `outbound|9080||reviews.default.svc.cluster.local` is `reviews`."""
    found = _CLUSTER.match(cluster)
    if found is None or not found[2]:
        return cluster
    return found[2].split(".")[0] if found[2].endswith(".local") else found[2]


def clean(name: str) -> str:
    """A name that a call graph can hold: one line, no arrow, not endless."""
    return " ".join(name.replace("->", "-").split())[:200]


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
