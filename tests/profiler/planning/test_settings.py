import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from profiler.errors import UsageError
from profiler.planning.choice import HopChoice
from profiler.planning.settings import ProfileSettings
from tests.profiler.planning.examples import EVERYTHING


def refused(**wrong: Any) -> str:
    with pytest.raises(UsageError) as error:
        ProfileSettings(**wrong)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"protocols": ("quic",)}, "--protocol: expected one of tcp, http1, http2, grpc; found 'quic'"),
        ({"topologies": ("left",)}, "--topology: expected one of none, client, server, both, shared, waypoint; "),
        (
            {"temperatures": ("warm",)},
            "--temperature: expected one of hot, cold-25, cold-50, cold-75, cold, natural; found 'warm'",
        ),
        ({"idle": "deep"}, "--idle: expected one of awake, natural; found 'deep'"),
        ({"tls": ("simple",)}, "--tls: expected one of none, mtls; found 'simple'"),
        ({"placements": ("near",)}, "--placement: expected one of free, apart, together; found 'near'"),
        ({"transports": ("ib",)}, "--transport: expected one of ip, uds; found 'ib'"),
        ({"request_bytes": (-1,)}, "--request-bytes: -1 is outside 0 to 1048576"),
        ({"response_bytes": (1 << 21,)}, "--response-bytes: 2097152 is outside"),
        ({"connections": (0,)}, "--connections: 0 is outside 1 to 1000"),
        ({"rates_rps": (0.0,)}, "--rate: 0 is outside 0.002 to"),
        ({"rates_rps": (float("nan"),)}, "--rate: nan is outside"),
        ({"headers": ((91, 1),)}, "--headers: 91 is outside 0 to 90"),
        ({"headers": ((1, 5000),)}, "--headers: 5000 is outside 0 to 4096"),
        ({"messages": (0,), "protocols": ("grpc",)}, "--messages: 0 is outside 1 to 1000"),
        ({"workers": (65,)}, "--workers: 65 is outside 1 to 64"),
        ({"duration_s": -1.0}, "--duration: -1 is outside"),
        ({"repeats": 1}, "--rounds: 1 is outside 2 to"),
        ({"protocols": ()}, "--protocol: at least one value is needed"),
        ({"proxies": ()}, "--proxy: at least one value is needed"),
        ({"filters": ()}, "--filter: at least one value is needed"),
        ({"headers": ()}, "--headers: at least one value is needed"),
        ({"connections": ()}, "--connections: at least one value is needed"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(wrong: dict[str, Any], message: str) -> None:
    assert message in refused(**wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"proxies": ("squid",)}, "--proxy: expected one of envoy, haproxy, nginx; found 'squid'"),
        ({"proxies": ("nginx",), "protocols": ("http2",)}, "--proxy nginx: cannot proxy http2 here; it does tcp"),
        ({"proxies": ("nginx",), "workers": (2,)}, "--workers 2: nginx runs with 1 here at most"),
        ({"proxies": ("haproxy",), "filters": (("rbac",),)}, "--filter rbac: no filters are known for haproxy"),
        ({"filters": (("no-such",),)}, "--filter no-such: unknown filter of envoy; known: access_log, buffer"),
        ({"filters": (("rbac-10",),)}, "--filter rbac-10: unknown filter of envoy"),
        ({"proxies": ("haproxy",), "topologies": ("waypoint",)}, "--topology waypoint: haproxy cannot be a waypoint"),
    ],
)
def test_what_a_proxy_cannot_do_is_refused(wrong: dict[str, Any], message: str) -> None:
    assert message in refused(**wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"tls": ("mtls",), "topologies": ("client",)}, "--tls mtls: runs between two sidecars; add --topology both"),
        ({"transports": ("uds",), "topologies": ("shared",)}, "--transport uds: a node's shared proxy and a"),
        ({"transports": ("uds",), "topologies": ("waypoint",)}, "--transport uds: a node's shared proxy and a"),
        (
            {"topologies": ("waypoint",), "hops": (HopChoice("http1", "waypoint"),)},
            "--hops: http1-waypoint: the tunnels of a waypoint are mutual TLS; use tls: mtls",
        ),
        ({"topologies": ("none",), "filters": (("rbac",),)}, "--topology none: there is no sidecar that could"),
        ({"messages": (10,)}, "--messages: server streaming is a matter of gRPC; add --protocol grpc"),
        ({"transports": ("uds",), "protocols": ("grpc",)}, "--transport uds: not with grpc, whose server"),
        ({"protocols": ("tcp",), "filters": (("rbac",),)}, "--filter rbac: is a filter of HTTP; add --protocol"),
    ],
)
def test_combinations_that_no_cell_could_have_are_refused(wrong: dict[str, Any], message: str) -> None:
    assert message in refused(**wrong)


def test_tls_of_a_proxy_without_tls_for_the_protocol_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = SimpleNamespace(protocols=("tcp",), tls_protocols=(), most_workers=1)
    monkeypatch.setattr("profiler.planning.settings.find_proxy", lambda _: plain)
    message = refused(proxies=("plain",), protocols=("tcp",), tls=("mtls",), topologies=("both",))
    assert message == "--tls mtls: not with plain and tcp; it does no protocol with TLS"


def test_unix_sockets_of_a_proxy_without_them_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = SimpleNamespace(protocols=("tcp",), tls_protocols=(), most_workers=1, unix_sockets=False)
    monkeypatch.setattr("profiler.planning.settings.find_proxy", lambda _: plain)
    message = refused(proxies=("plain",), protocols=("tcp",), transports=("uds",))
    assert message == "--transport uds: plain does not use Unix sockets here; use ip or another --proxy"


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"proxies": ("haproxy",)}, "--proxy-config: is an Envoy bootstrap; leave --proxy out"),
        ({"filters": (("rbac",),)}, "--proxy-config: is measured as it is; leave --tls, --filter and --transport out"),
        ({"tls": ("none", "mtls")}, "--proxy-config: is measured as it is"),
        ({"transports": ("uds",)}, "--proxy-config: is measured as it is"),
        ({"topologies": ("waypoint",)}, "--proxy-config: is that of a sidecar; leave --topology waypoint out"),
    ],
)
def test_a_bootstrap_is_measured_as_it_is(tmp_path: Path, others: dict[str, Any], message: str) -> None:
    (tmp_path / "envoy.yaml").write_text("admin: {}")
    assert message in refused(proxy_config=str(tmp_path / "envoy.yaml"), **others)


@pytest.mark.parametrize(
    ("text", "message"),
    [("- 1", "is no Envoy bootstrap"), ("a: [", ":2:1: invalid YAML"), (None, "no such file")],
)
def test_a_bootstrap_must_be_a_yaml_mapping(tmp_path: Path, text: str | None, message: str) -> None:
    file = tmp_path / "envoy.yaml"
    if text is not None:
        file.write_text(text)
    assert message in refused(proxy_config=str(file))


def test_settings_are_kept_as_given_with_max_for_a_closed_loop() -> None:
    kept = ProfileSettings(rates_rps=(None, 500.0)).as_json()
    assert kept["rates_rps"] == ["max", 500.0]


def test_settings_come_back_from_a_file_as_they_were() -> None:
    assert ProfileSettings.from_json(json.loads(json.dumps(EVERYTHING.as_json()))) == EVERYTHING


@pytest.mark.parametrize(
    ("given", "right"),
    [
        ({"rates_rps": (0.2,), "duration_s": 5.0}, True),
        ({"rates_rps": (0.2,), "duration_s": 0.8}, False),
        ({"rates_rps": (0.001,), "duration_s": 600.0}, False),
        ({"rates_rps": (0.5,), "duration_s": 5.0, "budget_s": 600.0}, False),
    ],
)
def test_a_round_needs_one_request_at_least(given: dict[str, Any], right: bool) -> None:
    if right:
        assert ProfileSettings(**given).rates_rps == (0.2,)
    else:
        assert refused(**given).startswith("--rate: ")


def test_a_seed_is_no_negative_number() -> None:
    assert "--seed: -1 is outside 0 to" in refused(seed=-1)


def test_a_whole_number_beyond_all_floats_is_outside() -> None:
    assert refused(connections=(10**400,)) == "--connections: 1.00000000000e+400 is outside 1 to 1000"


def test_on_one_cpu_nothing_is_apart_and_there_are_no_ends() -> None:
    settings = ProfileSettings(placements=("free", "together"), ends=("apart", "together"))
    assert (settings.on(1).placements, settings.on(1).ends) == (("free", "together"), ())
    assert settings.on(2) == settings
    with pytest.raises(UsageError, match="--placement apart: there is one CPU only"):
        ProfileSettings(placements=("free", "apart")).on(1)
