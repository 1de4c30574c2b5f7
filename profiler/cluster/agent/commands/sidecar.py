"""`sidecar`: write the configuration of our own Envoy sidecar, and become that Envoy."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from profiler.cluster.agent.secrets import SECRETS, token_in
from profiler.proxies.base import INBOUND, INBOUND_PORT, OUTBOUND, OUTBOUND_PORT, Filter, Listener, SidecarConfig
from profiler.proxies.envoy import Envoy
from profiler.proxies.filters import load_filter
from profiler.testbed.certificates import certificates_in
from profiler.testbed.deployment import ANY, filter_values
from profiler.vocabulary.addresses import Address
from profiler.vocabulary.hop import CLIENT, MTLS, SERVER, TLS_MODES
from profiler.vocabulary.protocols import PROTOCOLS


def main(arguments: Sequence[str]) -> None:
    """Does not return: the process is Envoy's then."""
    parser = argparse.ArgumentParser(prog="sidecar")
    parser.add_argument("--side", choices=(CLIENT, SERVER), required=True)
    parser.add_argument("--protocol", choices=PROTOCOLS, required=True)
    parser.add_argument("--tls", choices=TLS_MODES, required=True)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--filter", action="append", default=[], dest="filters")
    parser.add_argument("--directory", type=Path, default=Path("/run/meshinsight"))
    parser.add_argument("--secrets", type=Path, default=SECRETS)
    given = parser.parse_args(arguments)
    given.directory.mkdir(exist_ok=True)
    filters = _filters(given.filters, given.directory, given.secrets)
    argv = Envoy().argv(sidecar_config(given, filters), given.directory)
    os.execv(argv[0], argv)  # noqa: S606 - a program by its full path, no shell


def sidecar_config(given: argparse.Namespace, filters: tuple[Filter, ...]) -> SidecarConfig:
    """One listener, for what comes in at a server's pod or goes out of a client's. Pure."""
    inbound, mtls = given.side == SERVER, given.tls == MTLS
    # Envoy looks up where a captured connection was bound for; the destination is for proxies that cannot.
    listener = Listener(
        INBOUND if inbound else OUTBOUND,
        Address(ANY, INBOUND_PORT if inbound else OUTBOUND_PORT),
        Address(ANY, 0),
        accept_tls=mtls and inbound,
        connect_tls=mtls and not inbound,
        filters=filters,
    )
    certificates = certificates_in(given.secrets) if mtls else None
    return SidecarConfig(given.protocol, (listener,), given.workers, certificates)


def _filters(names: Sequence[str], directory: Path, secrets: Path) -> tuple[Filter, ...]:
    if not names:
        return ()
    values = filter_values(directory, token_in(secrets))
    return tuple(load_filter("envoy", name, values) for name in names)
