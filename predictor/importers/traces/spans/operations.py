"""What a span's operation says where attributes do not: Istio's names of requests, spans that are no calls. Pure."""

import re
from functools import lru_cache
from typing import Final, NamedTuple

from predictor.importers.traces.spans.names import clean, service_of_host


class ProxyName(NamedTuple):
    """An Envoy cluster, route or operation of Istio. `inbound` is None where the name does not say the direction."""

    inbound: bool | None
    service: str


_CLUSTER: Final = re.compile(r"(inbound|outbound)(?:\|\d*\|[^|]*\||_\.\d*_\.[^|]*?_\.)([^|]*)\Z")
_ROUTE: Final = re.compile(r"([\w.-]+\.svc(?:\.[\w.-]+)?)(?::\d+)?(?:/.*)?\Z", re.DOTALL)

HELPER: Final = "helper"
"""What `telling` makes of a look-up of a name, a connect to a socket or a TLS handshake."""
INNER_HELPER: Final = "inner helper"
"""What it makes of a word that says so only inside a call."""

_HELPER: Final = re.compile(
    r"(?:https?[ ._-]?)?(?:"
    r"dns(?:[ ._-][^/]*)?|getaddrinfo|(?:name|host)[ ._-]?(?:lookup|resolution)|"
    r"resolve[ ._-]?(?:dns|host|name|address)|"
    r"(?:tcp|tls|ssl|ipc|socket|net|quic)[ ._-](?:client[ ._-])?(?:connect|handshake|dial|open|lookup)(?:[ ._:-][^/]*)?"
    r"|(?:tls|ssl)handshake)\Z|https?[._-](?:tls|connect|getconn)\Z"
)
_INNER_HELPER: Final = re.compile(
    r"(?:https?[ ._-]?)?(?:connect|dial|handshake|tls|ssl|resolve|lookup|getconn|get[ ._-]?connection|"
    r"connection[ ._-]setup|wait[ ._-]for[ ._-]connection)\Z"
)


@lru_cache(maxsize=20_000)
def telling(operation: str) -> str:
    """What of an operation is worth looking at: Istio's name for a request, a helper's mark, or nothing."""
    short = operation[:300]
    if proxy_name(short):
        return short
    word = short.strip().lower()
    if _HELPER.match(word):
        return HELPER
    return INNER_HELPER if _INNER_HELPER.match(word) else ""


@lru_cache(maxsize=20_000)
def proxy_name(text: str) -> ProxyName | None:
    """`outbound|9080||reviews.default.svc.cluster.local`, or `reviews.default.svc.cluster.local:9080/*`, understood."""
    found = _CLUSTER.match(text)
    if found:
        return ProxyName(found[1] == "inbound", _service(found[2]))
    route = _ROUTE.match(text)
    return ProxyName(None, service_of_host(route[1])) if route else None


def _service(host: str) -> str:
    return service_of_host(host) if host.endswith(".local") or ".svc" in host else clean(host)
