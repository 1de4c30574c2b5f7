"""Filters: that the real Envoy takes each, and what a wrong one is told."""

from pathlib import Path

import msgspec
import pytest

from profiler.errors import UsageError
from profiler.measuring.profiling import check_configurations
from profiler.profile.types import Component
from profiler.proxies.base import INBOUND, Listener, SidecarConfig
from profiler.proxies.envoy import Envoy
from profiler.proxies.filters import check_filter, filter_names, load_filter, needs_of
from profiler.testbed.deployment import filter_values
from profiler.testbed.tokens import Token, make_token
from profiler.vocabulary.addresses import Address
from profiler.vocabulary.hop import Hop, is_file, label_of

NAMES = filter_names("envoy")
TOKEN = Token("the.token", '{"keys":[]}')
GOOD = """\
name: envoy.filters.http.lua
typed_config:
  "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
  default_source_code: { inline_string: "function envoy_on_request(handle) end" }
"""
NETWORK = """\
name: envoy.filters.network.rbac
typed_config:
  "@type": type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC
  stat_prefix: own
  rules: { policies: { all: { permissions: [{ any: true }], principals: [{ any: true }] } } }
"""


def validate(directory: Path, *names: str, protocol: str = "http1") -> None:
    values = filter_values(directory, make_token())
    filters = tuple(load_filter("envoy", name, values) for name in names)
    listener = Listener(INBOUND, Address("127.0.0.1", 0), Address("127.0.0.1", 1), filters=filters)
    Envoy().validate(SidecarConfig(protocol, (listener,)), directory)


def own(directory: Path, text: str, name: str = "own.yaml") -> str:
    (directory / name).write_text(text)
    return str(directory / name)


def test_there_is_data_for_every_kind_of_filter_that_is_promised() -> None:
    assert len(NAMES) == 14
    assert {"rbac", "jwt_authn", "ext_authz", "lua", "wasm", "tracing", "access_log", "tap"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_envoy_itself_takes_the_filter(tmp_path: Path, name: str) -> None:
    validate(tmp_path, name)


def test_envoy_takes_all_filters_in_one_chain(tmp_path: Path) -> None:
    validate(tmp_path, *NAMES, protocol="grpc")


def test_filters_are_checked_by_the_proxy_before_a_run(tmp_path: Path) -> None:
    wrong = own(tmp_path, GOOD.replace("default_source_code", "source_kode"))
    check_configurations([Hop("http1", "server", filters=("rbac", "lua"))])
    with pytest.raises(UsageError, match=r"^--filter-file .*own\.yaml: Envoy refuses the configuration: .*source_kode"):
        check_configurations([Hop("http1", "server", filters=(wrong,))])


def test_an_unknown_filter_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        UsageError, match=r"--filter rback: unknown filter of envoy; known: access_log, .*--filter-file"
    ):
        check_filter("envoy", "rback")


def test_a_proxy_without_filter_data_has_no_filters() -> None:
    assert filter_names("nginx") == ()
    with pytest.raises(UsageError, match="no filters are known for nginx"):
        check_filter("nginx", "rbac")


@pytest.mark.parametrize(("name", "number"), [("tracing-10", 10.0), ("tracing", 1.0), ("tracing-0.5", 0.5)])
def test_a_number_in_the_name_is_put_into_the_configuration(name: str, number: float) -> None:
    settings = load_filter("envoy", name, {}).settings
    assert settings["connection_manager"]["tracing"]["random_sampling"]["value"] == number


@pytest.mark.parametrize("name", ["rbac-10", "tracing-", "tracing-x", "tracing-1-2", ""])
def test_a_number_is_refused_where_none_belongs(name: str) -> None:
    with pytest.raises(UsageError, match="unknown filter"):
        check_filter("envoy", name)


@pytest.mark.parametrize("name", NAMES)
def test_no_placeholder_is_left(name: str) -> None:
    filled = load_filter("envoy", name, filter_values(Path("/sidecar"), TOKEN))
    assert "${" not in str(filled.settings)


def test_placeholders_are_filled_in() -> None:
    values = filter_values(Path("/sidecar"), TOKEN)
    assert "/sidecar/access.log" in str(load_filter("envoy", "access_log", values).settings)
    assert TOKEN.jwks in str(load_filter("envoy", "jwt_authn", values).settings)


@pytest.mark.parametrize(
    ("name", "service", "outside"),
    [("ext_authz", "authorization", True), ("tracing-100", "collector", True), ("rbac", None, False)],
)
def test_a_filter_says_what_else_it_needs(name: str, service: str | None, outside: bool) -> None:
    needs = needs_of("envoy", name)
    assert (needs.service, needs.outside, needs.network) == (service, outside, False)


def test_a_users_filter_is_taken_by_envoy_and_counts_as_a_whole(tmp_path: Path) -> None:
    file = own(tmp_path, GOOD)
    validate(tmp_path, file)
    assert (needs_of("envoy", file).outside, needs_of("envoy", file).network) == (True, False)


def test_a_users_network_filter_stands_before_the_tcp_proxy(tmp_path: Path) -> None:
    file = own(tmp_path, NETWORK)
    assert needs_of("envoy", file).network
    validate(tmp_path, file, protocol="tcp")


def test_several_filters_in_one_file_are_a_chain(tmp_path: Path) -> None:
    one = "- " + GOOD.replace("\n", "\n  ").rstrip() + "\n"
    assert len(load_filter("envoy", own(tmp_path, one + one), {}).settings["http_filters"]) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [\n", r"own\.yaml:2:1: invalid YAML"),
        ("a: b: c\n", r"own\.yaml:1:5: invalid YAML: mapping values are not allowed"),
        ("", "is empty"),
        ("just text\n", "entry 1 has no `name` and `typed_config`"),
        ("- {name: x, typed_config: {}}\n- {name: y}\n", "entry 2 has no `name` and `typed_config`"),
        ("name: 3\ntyped_config: {}\n", "entry 1 has no `name`"),
        ("name: x\ntyped_config:\n", "entry 1|typed_config"),
        ("name: x\ntyped_config: text\n", "entry 1|typed_config"),
        ("[]\n", "entry|empty"),
    ],
)
def test_a_users_filter_that_is_none_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        check_filter("envoy", own(tmp_path, text))
    assert "--filter-file" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_http_and_network_filters_do_not_mix_in_a_file(tmp_path: Path) -> None:
    mixed = "".join("- " + text.replace("\n", "\n  ").rstrip() + "\n" for text in (GOOD, NETWORK))
    with pytest.raises(UsageError, match="put them into files of their own"):
        check_filter("envoy", own(tmp_path, mixed))


def test_a_filter_file_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match=r"--filter-file /no/such\.yaml: no such file"):
        check_filter("envoy", "/no/such.yaml")


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("rbac", "rbac"),
        ("tracing-10", "tracing-10"),
        ("/etc/own filter+1.yaml", "own_filter_1"),
        (f"/x/{'long' * 40}.yaml", "long" * 16),
        ("/etc/größe.yml", "gr__e"),
    ],
)
def test_a_label_is_the_name_or_that_of_the_file(name: str, label: str) -> None:
    assert label_of(name) == label
    assert msgspec.convert(f"filter:{label}", Component)


def test_only_a_path_is_a_file() -> None:
    assert is_file("/etc/own.yaml")
    assert not is_file("rbac")
