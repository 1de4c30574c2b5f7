"""What people take for granted of a hop and its load: names leave it out, and options default to it. Pure."""

from typing import Final

from profiler.vocabulary.protocols import HTTP1, TCP

PROXY: Final = "envoy"
WORKERS: Final = 1
PLACEMENT: Final = "free"
"""Processes run where the scheduler puts them, as in a pod."""
CONNECTIONS: Final = 1
REQUEST_BYTES: Final = 128
RESPONSE_BYTES: Final = 1024
SHORTEST_ROUND_S: Final = 0.2
LONGEST_ROUND_S: Final = 600.0


def usual_application(protocol: str) -> str:
    """What client and server speak where sidecars proxy `protocol`, or where there is none: HTTP/1.1 through TCP."""
    return HTTP1 if protocol in (TCP, "none") else protocol
