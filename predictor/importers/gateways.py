"""Proxies that stand alone: a mesh's gateways and waypoints. No sidecar stands next to them. Pure."""

import re
from typing import Final

_GATEWAY: Final = re.compile(
    r"(?:.*[-.])?(?:istio-)?(?:ingress|egress|eastwest|east-west)-?(?:gateway|gw)(?:[-.].*)?\Z"
    r"|istio-(?:ingress|egress)\Z|(?:.+-)?waypoint\Z|.+-gateway-istio\Z"
)


def is_gateway_name(name: str) -> bool:
    """Whether a workload is a gateway by the names that Istio's installers give."""
    return _GATEWAY.match(name) is not None
