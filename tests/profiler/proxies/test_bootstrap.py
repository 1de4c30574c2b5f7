"""A bootstrap of the user's is refused before a run for what would only fail in it."""

import json
from pathlib import Path

import pytest

from profiler.errors import UsageError
from profiler.proxies.bootstrap import check_bootstrap, refuse_xds

FIELD = Path(__file__).parents[2] / "data" / "field"
PORTS = (15001, 15006)


def refused(path: Path) -> str:
    with pytest.raises(UsageError) as error:
        check_bootstrap(path, "--proxy-config", PORTS)
    return str(error.value)


@pytest.mark.parametrize("name", ["envoy-bootstrap-no-access-log", "envoy-bootstrap-access-log-dev-stdout"])
def test_listeners_on_both_ports_are_right(name: str) -> None:
    check_bootstrap(FIELD / f"{name}.yaml", "--proxy-config", PORTS)


def test_missing_ports_are_named_with_those_that_are_there() -> None:
    message = refused(FIELD / "envoy-bootstrap-other-ports.yaml")
    assert "no listener on port 15001 and 15006" in message
    assert "its listeners are on: 8080, 8081" in message


def test_only_the_ports_that_the_topologies_use_are_needed(tmp_path: Path) -> None:
    listener = {"address": {"socketAddress": {"address": "0.0.0.0", "portValue": 15006}}}  # noqa: S104 (not opened)
    file = tmp_path / "bootstrap.json"
    file.write_text(json.dumps({"staticResources": {"listeners": [listener]}}))
    check_bootstrap(file, "--proxy-config", (15006,))
    assert "no listener on port 15001, where" in refused(file)


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "static_resources: 5",
        "static_resources: {listeners: [5, {address: 7}, {address: {socket_address: {port_value: x}}}]}",
        "static_resources: {listeners: {a: 1}}",
    ],
)
def test_odd_documents_are_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "bootstrap.yaml"
    file.write_text(text)
    assert "\n" not in refused(file)


@pytest.mark.parametrize(
    "content",
    [
        {"dynamic_resources": {"lds_config": {"path": "x"}}},
        {"dynamicResources": {"adsConfig": {"apiType": "GRPC"}}},
        [{"typed_config": {"config_source": {"ads": {}}}}],
        [{"typed_config": {"config_source": {"api_config_source": {"api_type": "GRPC"}}}}],
    ],
)
def test_management_servers_are_refused(content: object) -> None:
    with pytest.raises(UsageError, match="takes configuration from a management server"):
        refuse_xds(content, Path("x.yaml"), "--filter-file")
