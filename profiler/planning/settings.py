"""What a profile run is asked to measure, checked once. Pure, but for looking at files that the user names."""

import math
from dataclasses import asdict, dataclass, fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from profiler.errors import UsageError
from profiler.files.checked_yaml import read_yaml
from profiler.files.pem import check_certificates
from profiler.files.typed import typed
from profiler.planning.choice import HopChoice, hop_exists
from profiler.proxies.base import INBOUND_PORT, OUTBOUND_PORT
from profiler.proxies.bootstrap import check_bootstrap, refuse_xds
from profiler.proxies.envoy_releases import check_version
from profiler.proxies.filters import check_filter, needs_of
from profiler.proxies.registry import find_proxy
from profiler.text import not_one_of, one_line
from profiler.vocabulary import usual
from profiler.vocabulary.addresses import Certificates
from profiler.vocabulary.hop import (
    APART,
    BOTH,
    CLIENT,
    ENDS,
    IP,
    MTLS,
    NONE,
    PLACEMENTS,
    PLAIN,
    SERVER,
    SHARED,
    TLS_MODES,
    TOPOLOGIES,
    TRANSPORTS,
    UDS,
    WAYPOINT,
    Hop,
    is_file,
    label_of,
)
from profiler.vocabulary.protocols import GRPC, PROTOCOLS, TCP
from profiler.vocabulary.temperature import IDLE_MODES, TEMPERATURES
from profiler.vocabulary.variant import Variant, is_name

LOWEST_RATE_RPS: Final = 0.002
LONGEST_BUDGET_S: Final = 31 * 24 * 3600
LARGEST_MESSAGE_BYTES: Final = 1 << 20
LARGEST_HEADER_BYTES: Final = 4096
MOST_HEADERS: Final = 90
"""Envoy refuses requests with more than 100 headers, or more than 60 KiB of them."""
MOST_MESSAGES: Final = 1000


HeaderLevel = tuple[int, int]
"""Number of further request headers, and bytes of each one's value."""


@dataclass(frozen=True)
class ProfileSettings:
    """The dimensions of a run and how long to stay at each point.

    A rate of None is a closed loop as fast as it goes. `duration_s` is the measured time of one round of one cell.
    `certificates` are PEM files of the user's (chain, key, authority) for mutual TLS, instead of some made for the run.
    `filters` holds chains of filters, each of which is measured; the empty one is the plain proxy. With `budget_s` not
    all combinations are measured but those that say most, in about that time (profiler/planning/design.py). `ends` are
    further placements of a few cells at the base load, so that the cost of a hand-over to another CPU can be modelled
    (profiler/planning/cells.py). With `hops` only those of all combinations are measured. Every hop with a sidecar
    is measured in each of the `variants`, side by side.
    """

    protocols: tuple[str, ...] = ("tcp", "http1")
    topologies: tuple[str, ...] = ("client", "server", "both")
    temperatures: tuple[str, ...] = ("hot", "cold")
    request_bytes: tuple[int, ...] = (usual.REQUEST_BYTES,)
    response_bytes: tuple[int, ...] = (usual.RESPONSE_BYTES,)
    rates_rps: tuple[float | None, ...] = (None,)
    connections: tuple[int, ...] = (1,)
    headers: tuple[HeaderLevel, ...] = ((0, 0),)
    messages: tuple[int, ...] = (1,)
    new_connections: tuple[bool, ...] = (False,)
    proxies: tuple[str, ...] = (usual.PROXY,)
    tls: tuple[str, ...] = (PLAIN,)
    filters: tuple[tuple[str, ...], ...] = ((),)
    transports: tuple[str, ...] = (IP,)
    workers: tuple[int, ...] = (1,)
    placements: tuple[str, ...] = (usual.PLACEMENT,)
    ends: tuple[str, ...] = ()
    proxy_config: str = ""
    certificates: tuple[str, ...] = ()
    duration_s: float = 0.8
    repeats: int = 6
    idle: str = "awake"
    seed: int = 1
    budget_s: float | None = None
    hops: tuple[HopChoice, ...] = ()
    variants: tuple[Variant, ...] = ()

    def __post_init__(self) -> None:
        _check_names("protocol", self.protocols, PROTOCOLS)
        _check_names("topology", self.topologies, TOPOLOGIES)
        _check_names("temperature", self.temperatures, TEMPERATURES)
        _check_names("idle", (self.idle,), IDLE_MODES)
        _check_names("tls", self.tls, TLS_MODES)
        _check_names("transport", self.transports, TRANSPORTS)
        _check_names("placement", self.placements, PLACEMENTS)
        if self.ends:
            _check_names("ends", self.ends, ENDS)
        _check_range("request-bytes", self.request_bytes, 0, LARGEST_MESSAGE_BYTES)
        _check_range("response-bytes", self.response_bytes, 0, LARGEST_MESSAGE_BYTES)
        _check_range("connections", self.connections, 1, 1000)
        self._check_rates()
        _check_range("headers", tuple(count for count, _ in self.headers), 0, MOST_HEADERS)
        _check_range("headers", tuple(size for _, size in self.headers), 0, LARGEST_HEADER_BYTES)
        _check_range("messages", self.messages, 1, MOST_MESSAGES)
        _check_range("workers", self.workers, 1, 64)
        _check_range("duration", (self.duration_s,), usual.SHORTEST_ROUND_S, usual.LONGEST_ROUND_S)
        _check_range("rounds", (self.repeats,), 2, 1000)
        _check_range("seed", (self.seed,), 0, 1 << 62)
        if self.budget_s is not None:
            _check_range("budget", (self.budget_s,), 0, LONGEST_BUDGET_S)
        if self.certificates:
            check_certificates(self.own_certificates)
        self._check_proxies()
        self._check_variants()
        self._check_filters()
        self._check_combinations()
        self._check_hops()

    @property
    def own_certificates(self) -> Certificates:
        """The user's certificates for mutual TLS: chain, key and authority."""
        chain, key, authority = (Path(name) for name in self.certificates)
        return Certificates(chain, key, authority)

    def on(self, cpus: int) -> "ProfileSettings":
        """The settings for a machine with so many CPUs; on one there are no ends to measure.

        Raises:
            UsageError: placement apart is asked for and there is one CPU only.
        """
        if cpus > 1:
            return self
        if APART in self.placements:
            raise UsageError("--placement apart: there is one CPU only, and it takes two; use free or together")
        return replace(self, ends=())

    def _check_rates(self) -> None:
        """A round needs one request at least, so low rates need long rounds."""
        for rate_rps in (rate for rate in self.rates_rps if rate is not None):
            _check_range("rate", (rate_rps,), LOWEST_RATE_RPS, 1_000_000)
            if rate_rps < 1.0 and self.budget_s is not None:
                raise UsageError(f"--rate: {rate_rps:.12g} needs rounds longer than a budget gives; use 1 or more")
            if self.budget_s is None and round(rate_rps * self.duration_s) < 1:
                raise UsageError(
                    f"--rate: {rate_rps:.12g} per second leaves rounds of {self.duration_s:g} s without a request; "
                    f"use --duration {math.ceil(1.0 / rate_rps)}s, or duration in a matrix"
                )

    def _check_proxies(self) -> None:
        _check_any("proxy", self.proxies)
        for name in self.proxies:
            proxy = find_proxy(name)
            for protocol in self.protocols:
                if protocol not in proxy.protocols:
                    raise UsageError(
                        f"--proxy {name}: cannot proxy {protocol} here; it does {', '.join(proxy.protocols)}"
                    )
            if MTLS in self.tls and not set(self.protocols) & set(proxy.tls_protocols):
                raise UsageError(
                    f"--tls mtls: not with {name} and {', '.join(self.protocols)}; it does "
                    f"{', '.join(proxy.tls_protocols) or 'no protocol with TLS'}"
                )
            if UDS in self.transports and not proxy.unix_sockets:
                raise UsageError(f"--transport uds: {name} does not use Unix sockets here; use ip or another --proxy")
            if WAYPOINT in self.topologies and not proxy.tunnels:
                raise UsageError(f"--topology waypoint: {name} cannot be a waypoint here; use --proxy {usual.PROXY}")
            if max(self.workers) > proxy.most_workers:
                raise UsageError(f"--workers {max(self.workers)}: {name} runs with {proxy.most_workers} here at most")
        for bootstrap in (self.proxy_config, *(variant.bootstrap for variant in self.variants)):
            if bootstrap:
                self._check_bootstrap(bootstrap)

    def _check_variants(self) -> None:
        names = [variant.name for variant in self.variants]
        if len(set(names)) < len(names) or (len(names) > 1 and not all(names)):
            raise UsageError("--variants: each needs a name that no other has")
        for variant in self.variants:
            if variant.name and not is_name(variant.name):
                raise UsageError(f"--variants: {one_line(variant.name)!r} cannot be a part of cell names")
            if variant.version:
                check_version(variant.version)
            if variant.version and self.proxies != (usual.PROXY,):
                raise UsageError("--proxy-version: is one of Envoy; leave --proxy out")
        if any(variant.binary for variant in self.variants) and len(self.proxies) > 1:
            raise UsageError(
                f"--proxy-binary: is a program of one proxy; give one of {', '.join(self.proxies)} as --proxy"
            )

    def _check_bootstrap(self, bootstrap: str) -> None:
        if self.proxies != (usual.PROXY,):
            raise UsageError("--proxy-config: is an Envoy bootstrap; leave --proxy out")
        if WAYPOINT in self.topologies:
            raise UsageError("--proxy-config: is that of a sidecar; leave --topology waypoint out")
        filters = self.filters != ((),) or self._varied_filters
        if self.tls != (PLAIN,) or filters or self.transports != (IP,):
            raise UsageError("--proxy-config: is measured as it is; leave --tls, --filter and --transport out")
        ports = {
            port
            for port, topologies in ((OUTBOUND_PORT, (CLIENT, BOTH, SHARED)), (INBOUND_PORT, (SERVER, BOTH)))
            if set(topologies) & set(self.topologies)
        }
        check_bootstrap(Path(bootstrap), "--proxy-config", sorted(ports))

    def _check_filters(self) -> None:
        _check_any("filter", self.filters)
        varied = self._varied_filters
        for chain in (*self.filters, varied):
            for name in chain:
                for proxy in self.proxies:
                    check_filter(proxy, name)
                if is_file(name):
                    refuse_xds(read_yaml(Path(name), "--filter-file"), Path(name), "--filter-file")
        names: dict[str, str] = {}
        for name in (name for chain in self.filters for name in chain):
            if names.setdefault(label_of(name), name) != name:
                raise self._same_label(name, names[label_of(name)])
        for name in varied:  # variants of one name are the same component, whose costs are compared
            if label_of(name) in names:
                raise self._same_label(name, names[label_of(name)])

    @property
    def _varied_filters(self) -> list[str]:
        return [variant.filter_file for variant in self.variants if variant.filter_file]

    @staticmethod
    def _same_label(name: str, other: str) -> UsageError:
        return UsageError(f"--filter-file {name}: would be called {label_of(name)} like {other}; rename it")

    def _check_combinations(self) -> None:
        """Values that no cell could have: said at once, instead of leaving them out silently."""
        if MTLS in self.tls and not {BOTH, WAYPOINT} & {*self.topologies}:
            raise UsageError("--tls mtls: runs between two sidecars; add --topology both")
        if set(self.topologies) <= {SHARED, WAYPOINT} and set(self.transports) != {IP}:
            raise UsageError(
                "--transport uds: a node's shared proxy and a waypoint are reached over IP; use client, server or both"
            )
        if set(self.topologies) == {NONE} and (len(self.tls) > 1 or self.filters != ((),) or self.variants):
            raise UsageError("--topology none: there is no sidecar that could have TLS, filters or variants")
        if GRPC not in self.protocols and self.messages != (1,):
            raise UsageError("--messages: server streaming is a matter of gRPC; add --protocol grpc")
        if UDS in self.transports and self.protocols == (GRPC,):
            raise UsageError(
                "--transport uds: not with grpc, whose server (nghttpd) listens on TCP only; use tcp, http1 or http2"
            )
        named = [*(name for chain in self.filters for name in chain), *self._varied_filters]
        if self.protocols == (TCP,) and named and not any(needs_of(self.proxies[0], name).network for name in named):
            raise UsageError(f"--filter {named[0]}: is a filter of HTTP; add --protocol http1, http2 or grpc")

    def _check_hops(self) -> None:
        for choice in self.hops:
            hops = [
                Hop(choice.protocol, choice.topology, usual.usual_application(choice.protocol), proxy, choice.tls,
                    choice.filters, transport)
                for proxy in self.proxies
                for transport in self.transports
            ]  # fmt: skip
            if choice.topology == WAYPOINT and choice.tls == PLAIN:
                raise UsageError(f"--hops: {choice.name}: the tunnels of a waypoint are mutual TLS; use tls: mtls")
            if not self._has(choice):
                raise UsageError(f"--hops: {choice.name}: not among the combinations of the run")
            if not any(map(hop_exists, hops)):
                raise UsageError(f"--hops: {choice.name} cannot be measured with {', '.join(self.proxies)}")

    def _has(self, choice: HopChoice) -> bool:
        return (
            choice.protocol in self.protocols
            and choice.topology in self.topologies
            and choice.tls in self.tls
            and choice.filters in self.filters
        )

    def as_json(self) -> dict[str, Any]:
        """The settings as the profile keeps them; a closed loop's rate is "max"."""
        rates = ["max" if rate is None else rate for rate in self.rates_rps]
        return {**asdict(self), "rates_rps": rates}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "ProfileSettings":
        """The settings that `as_json` described. Raises UsageError as always."""
        rates = stored.get("rates_rps")
        if isinstance(rates, list):
            stored = {**stored, "rates_rps": [None if rate == "max" else rate for rate in rates]}
        if unknown := sorted(set(stored) - {field.name for field in fields(cls)}):
            raise UsageError(f"settings: unknown setting {one_line(unknown[0])!r}")
        if "rates_rps" not in stored:
            raise UsageError("settings: rates_rps is missing")
        return typed(stored, cls, "settings")


def _check_names(option: str, given: tuple[str, ...], known: tuple[str, ...]) -> None:
    for name in given:
        if name not in known:
            raise UsageError(f"--{option}: {not_one_of(name, known)}")
    _check_any(option, given)


def _check_range(option: str, given: "list[float] | tuple[float, ...]", least: float, most: float) -> None:
    for value in given:
        if not least <= value <= most:
            raise UsageError(f"--{option}: {_shown(value)} is outside {least:.12g} to {most:.12g}")
    _check_any(option, given)


def _shown(value: float) -> str:
    try:
        return f"{value:.12g}"
    except OverflowError:  # a whole number of hundreds of digits
        return f"{Decimal(value):.12g}"


def _check_any(option: str, given: "list[float] | tuple[Any, ...]") -> None:
    if not given:
        raise UsageError(f"--{option}: at least one value is needed")
