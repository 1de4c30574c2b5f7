"""Protocols, as sidecars proxy them and as applications speak them. Pure."""

from typing import Final

TCP, HTTP1, HTTP2, GRPC = "tcp", "http1", "http2", "grpc"
PROTOCOLS: Final = (TCP, HTTP1, HTTP2, GRPC)
"""What a sidecar can proxy captured connections as."""
