"""Settings that use every dimension."""

from profiler.planning.settings import ProfileSettings

EVERYTHING = ProfileSettings(
    protocols=("tcp", "http1", "http2", "grpc"),
    topologies=("none", "client", "server", "both", "shared"),
    temperatures=("hot", "cold-25"),
    tls=("none", "mtls"),
    filters=((), ("tracing-10",), ("rbac", "jwt_authn")),
    transports=("ip", "uds"),
    workers=(1, 4),
    placements=("free", "together"),
    headers=((0, 32), (40, 32)),
    messages=(1, 10),
    rates_rps=(None, 1.5),
)
