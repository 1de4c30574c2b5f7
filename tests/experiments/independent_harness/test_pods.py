from pathlib import Path

import yaml

from experiments.independent_harness.pods import (
    HERE,
    PROXY_PORTS,
    SERVICES,
    address,
    capture_rules,
    count_hit,
    listening,
    nginx_configuration,
)

SAVED = """\
*nat
:PREROUTING ACCEPT [5:300]
[3:180] -A PREROUTING -p tcp -m tcp --dport 8080 -j REDIRECT --to-ports 15006
[0:0] -A OUTPUT -p tcp -m tcp --dport 8080 -m owner ! --uid-owner 1337 -j REDIRECT --to-ports 15001
COMMIT
"""
TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1
   1: 0100007F:3A99 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 2 1
"""


def test_only_rules_that_counted_packets_are_hit() -> None:
    assert count_hit(SAVED) == 1


def test_only_sockets_that_listen_are_ports() -> None:
    assert listening(TABLE) == {8080}


def test_every_listener_of_envoy_is_one_of_a_protocol() -> None:
    bootstrap = yaml.safe_load((HERE / "envoy.yaml").read_text())
    listeners = {
        one["name"]: one["address"]["socket_address"]["port_value"]
        for one in bootstrap["static_resources"]["listeners"]
    }
    assert (listeners["tcp_out"], listeners["tcp_in"]) == PROXY_PORTS["tcp"]
    assert (listeners["http_out"], listeners["http_in"]) == PROXY_PORTS["http1"]


def test_rules_lead_to_the_protocol_of_the_case_but_not_envoys_own() -> None:
    _, _, _, inbound, outbound, _ = capture_rules("http1").splitlines()
    assert inbound.endswith("REDIRECT --to-ports 15016")
    assert "! --uid-owner 1337" in outbound
    assert outbound.endswith("REDIRECT --to-ports 15011")


def test_each_service_asks_the_one_after_it() -> None:
    first, second = (nginx_configuration(name, Path("/run")) for name in SERVICES[:2])
    assert f"server {address('s2')}:8080;" in first
    assert f"server {address('s3')}:8080;" in second
