"""Call graph files: what is read, which defaults are listed, and in which words the rest is refused."""

import json
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from predictor.graph.checks import check_graph
from predictor.graph.reader import load_graph, parse_graph
from predictor.graph.types import Assumption, Sidecar
from predictor.graph.writer import graph_document, graph_text, save_graph
from profiler.errors import UsageError

EXAMPLES = sorted((Path(__file__).parents[3] / "predictor" / "graph" / "examples").glob("*.yaml"))
SOUND = ("graph-emoji-json.json", "graph-overflow.yaml", "graph-shell-in-filter.json")
"""Of the hostile files, those whose graphs are read: predictions and suggested commands have to bear them."""
HOSTILE = Path(__file__).parents[2] / "data" / "hostile"
HEAD = "format: meshinsight-graph\nversion: 1\n"
SMALL = f"""{HEAD}services: [frontend, cart, catalog]
calls:
  - {{caller: frontend, callee: cart}}
  - {{caller: frontend, callee: catalog, response_bytes: 4KiB}}
ingress:
  - {{service: frontend, rate_rps: 100}}
"""


def schema() -> Any:
    return json.loads(resources.files("predictor.graph").joinpath("schema.json").read_text(encoding="utf-8"))


def refusal(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse_graph(text, "graph.yaml")
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("graph.yaml")
    return message


def test_three_services_need_few_lines_and_get_defaults() -> None:
    graph = parse_graph(SMALL, "graph.yaml")
    assert [call.id for call in graph.calls] == ["frontend->cart", "frontend->catalog"]
    assert graph.calls[1].response_bytes == 4096
    assert graph.service("cart").sidecar == Sidecar("http", "http")


def test_defaults_are_listed_once_for_all_that_lack_them() -> None:
    paths = [item.path for item in parse_graph(SMALL, "graph.yaml").assumed]
    assert "services.*.replicas" in paths
    assert "calls.*.tls" in paths
    assert "calls.frontend->cart.response_bytes" in paths
    assert "calls.*.calls_per_request" not in paths


def test_defaults_given_in_the_file_are_not_assumed() -> None:
    graph = parse_graph(SMALL + "defaults: {call: {tls: mtls}, service: {replicas: 3}}\n", "graph.yaml")
    assert {call.tls for call in graph.calls} == {"mtls"}
    assert graph.service("cart").replicas == 3
    assert not {"calls.*.tls", "services.*.replicas"} & {item.path for item in graph.assumed}


def test_assumptions_of_the_file_are_kept_with_their_reason() -> None:
    graph = parse_graph(SMALL + "assumed:\n  - calls.*.tls\n  - ingress.frontend.rate_rps: a guess\n", "graph.yaml")
    assert graph.assumed[:2] == (Assumption("calls.*.tls"), Assumption("ingress.frontend.rate_rps", "a guess"))


def test_calls_of_one_group_share_a_stage() -> None:
    text = f"""{HEAD}services: [a, b, c, d]
calls:
  - {{caller: a, callee: b, group: both}}
  - {{caller: a, callee: c}}
  - {{caller: a, callee: d, group: both}}
ingress: [{{service: a, rate_rps: 1}}]
"""
    assert [call.stage for call in parse_graph(text, "graph.yaml").calls] == [0, 1, 0]


@pytest.mark.parametrize(
    ("given", "kind", "mean_ns"),
    [
        ("1.2ms", "constant", 1.2e6),
        ("{mean: 2ms, distribution: exponential}", "exponential", 2e6),
        ("{mean: 1ms, distribution: lognormal, cv: 0.5}", "lognormal", 1e6),
        ("{p50: 1ms, p99: 1ms}", "percentiles", 1e6),
        ("{mean: 3ms, p50: 1ms, p99: 9ms}", "percentiles", 3e6),
    ],
)
def test_service_times_in_every_form(given: str, kind: str, mean_ns: float) -> None:
    text = f"{HEAD}services: [{{name: a, service_time: {given}}}]\ningress: [{{service: a, rate_rps: 1}}]\n"
    time = parse_graph(text, "graph.yaml").service("a").service_time
    assert str(time.kind) == kind
    assert time.mean_ns == pytest.approx(mean_ns)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("callee: cart}", "callee: cart, retries: 3}"), "graph.yaml:5: calls[0].retries: unknown key"),
        (("callee: cart}", "callee: basket}"), "graph.yaml:5: calls[0].callee: unknown service 'basket'"),
        (("4KiB", "-1"), "graph.yaml:6: calls[1].response_bytes: expected between 0"),
        (("4KiB", "many"), "graph.yaml:6: calls[1].response_bytes: expected a size in bytes"),
        (("rate_rps: 100", "rate_rps: -5"), "graph.yaml:8: ingress[0].rate_rps: expected between 0"),
        (
            ("rate_rps: 100", "connections: 0"),
            "graph.yaml:8: ingress[0].connections: expected a whole number between 1",
        ),
        (("rate_rps: 100", "connections: -1"), "graph.yaml:8: ingress[0].connections: expected a whole number between"),
        (
            ("rate_rps: 100", "connections: 1.5"),
            "graph.yaml:8: ingress[0].connections: expected a whole number between",
        ),
        (("rate_rps: 100", "connections: 1000000000"), "graph.yaml:8: ingress[0].connections: expected a whole number"),
        (
            ("rate_rps: 100", "rate_rps: 1, connections: 1"),
            "graph.yaml:8: ingress[0].connections: both connections and",
        ),
        (("rate_rps: 100", "rate: 100"), "graph.yaml:8: ingress[0].rate: unknown key"),
        ((", rate_rps: 100", ""), "graph.yaml:8: ingress[0]: missing field 'rate_rps'"),
        (("cart, catalog]", "cart, catalog, cart]"), "graph.yaml:3: services[3]: 'cart' is there twice"),
        (("cart, catalog]", "cart, catalog, lost]"), "graph.yaml:3: services[3]: no request reaches 'lost'"),
        (("ingress:\n  - {service: frontend, rate_rps: 100}\n", ""), "no ingress"),
        (("callee: cart}", "callee: cart, tls: rot13}"), "graph.yaml:5: calls[0].tls: expected one of none, mtls"),
        (("callee: cart}", "callee: cart, required: [mtls]}"), "calls[0].required: 'mtls' is required but"),
        (("callee: catalog,", "callee: cart,"), "graph.yaml:6: calls[1]: 'frontend->cart' is there twice"),
        (("version: 1", "version: 9"), "graph.yaml:2: version: version 9 is newer"),
        (("format: meshinsight-graph", "kind: List"), "not a call graph"),
        (("calls:", "calls: ["), "invalid YAML"),
        (("version: 1", "version: 1\nversion: 1"), "graph.yaml:3: version is there twice"),
        (("callee: cart}", "callee: cart, bypass: [both]}"), "calls[0].bypass: expected a list of client and server"),
        (("callee: cart}", "callee: cart, bypass: [client, client]}"), "calls[0].bypass: expected a list of client"),
        (("callee: cart}", 'callee: cart, name: "a\\eb"}'), "graph.yaml:5: calls[0].name: 'a\\x1bb' has characters"),
        (
            ("catalog]", '"cat\\nalog"]'),
            "graph.yaml:3: services[2].name: 'cat\\nalog' has characters that cannot be printed",
        ),
        (("callee: cart}", "callee: cart, headers: .nan}"), "calls[0].headers: .nan is not a finite number"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(change: tuple[str, str], said: str) -> None:
    assert said in refusal(SMALL.replace(*change))


def test_a_cycle_is_named_with_its_path() -> None:
    text = SMALL.replace("ingress:", "  - {caller: catalog, callee: frontend}\ningress:")
    assert "frontend -> catalog -> frontend" in refusal(text)
    assert "graph.yaml:7: calls[2]" in refusal(text)


@pytest.mark.parametrize("content", [b"", b"  \n", b"\xff\xfe\x00", b"[1, 2]", b"- - - -", b"{" * 10_000])
def test_files_that_are_no_graph_are_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "graph.yaml"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=str(file)):
        load_graph(file)


@pytest.mark.parametrize(
    "file", [file for file in sorted(HOSTILE.glob("graph-*")) if file.name not in SOUND], ids=lambda file: file.stem
)
def test_hostile_files_are_refused_in_one_printable_line(file: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load_graph(file)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", SOUND)
def test_files_that_do_harm_elsewhere_are_sound_graphs(name: str) -> None:
    assert load_graph(HOSTILE / name).services


@pytest.mark.parametrize(
    "given", ["{p90: 1ms, p91: 10ms}", "{p99: 1ms, p99.1: 10ms}", "{p90: 1ms, p91: 10ms, mean: 1ms}"]
)
def test_percentiles_that_extrapolate_beyond_all_bounds_are_refused_with_their_line(given: str) -> None:
    text = f"{HEAD}services: [{{name: a, service_time: {given}}}]\ningress: [{{service: a, rate_rps: 1}}]\n"
    assert "graph.yaml:3: services[0].service_time: the last two percentiles are so steep" in refusal(text)


def test_retries_are_further_calls_and_read_back() -> None:
    text = SMALL.replace("callee: cart}", "callee: cart, calls_per_request: 0.7, retry_rate: 0.1}")
    graph = parse_graph(text, "graph.yaml")
    assert graph.calls[0].calls_per_request == pytest.approx(0.77)
    assert graph.calls[0].retry_rate == 0.1
    jsonschema.validate(graph_document(graph), schema())
    assert parse_graph(graph_text(graph), "x").calls == graph.calls


def test_tls_of_the_server_alone_is_for_entries_and_costs_what_mtls_does() -> None:
    graph = parse_graph(SMALL.replace("rate_rps: 100", "rate_rps: 100, tls: simple"), "graph.yaml")
    assert (graph.ingress[0].tls, graph.ingress[0].as_call().tls) == ("simple", "mtls")
    assert Assumption("ingress.frontend.tls", "simple: costs what mtls costs on the server's side") in graph.assumed
    jsonschema.validate(graph_document(graph), schema())
    assert parse_graph(graph_text(graph), "x") == graph
    assert "expected one of none, mtls" in refusal(SMALL.replace("callee: cart}", "callee: cart, tls: simple}"))


def test_an_edge_may_pass_no_sidecar_of_one_side() -> None:
    text = SMALL.replace("callee: cart}", "callee: cart, bypass: [server, client]}")
    graph = parse_graph(text.replace("rate_rps: 100", "rate_rps: 100, bypass: [server]"), "graph.yaml")
    assert (graph.calls[0].bypass, graph.ingress[0].bypass) == (("client", "server"), ("server",))
    jsonschema.validate(graph_document(graph), schema())
    assert parse_graph(graph_text(graph), "x").calls == graph.calls


def test_a_service_behind_a_waypoint_has_no_sidecar_for_its_own_calls() -> None:
    graph = parse_graph(SMALL.replace("cart, catalog]", "{name: cart, sidecar: waypoint}, catalog]"), "graph.yaml")
    assert graph.service("cart").sidecar == Sidecar("none", "waypoint")
    jsonschema.validate(graph_document(graph), schema())
    assert parse_graph(graph_text(graph), "x").services == graph.services


def test_a_waypoint_is_none_of_the_client_whether_from_a_file_or_not() -> None:
    text = SMALL.replace("cart, catalog]", "{name: cart, sidecar: {client: waypoint}}, catalog]")
    assert "services[1].sidecar.client: expected one of none, tcp, http, shared" in refusal(text)
    graph = parse_graph(SMALL, "graph.yaml")
    services = (replace(graph.services[0], sidecar=Sidecar("waypoint", "none")), *graph.services[1:])
    with pytest.raises(UsageError, match=r"services\[0\]: frontend: waypoint is no sidecar of the calls"):
        check_graph(replace(graph, services=services))


@pytest.mark.parametrize("rate", ["0.2", "1e-6", "0.000001", "0.5/min", "0"])
def test_rates_below_one_per_second_are_rates(rate: str) -> None:
    graph = parse_graph(SMALL.replace("rate_rps: 100", f"rate_rps: {rate}"), "graph.yaml")
    assert 0 <= graph.ingress[0].rate_rps < 1
    assert parse_graph(graph_text(graph), "x").ingress == graph.ingress


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        load_graph(tmp_path / "none.yaml")
    with pytest.raises(UsageError, match="is a directory"):
        load_graph(tmp_path)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_examples_fit_reader_and_schema_and_come_back_the_same(file: Path, tmp_path: Path) -> None:
    graph = load_graph(file)
    jsonschema.validate(yaml.safe_load(file.read_text()), schema())
    save_graph(graph, tmp_path / "again.yaml")
    again = load_graph(tmp_path / "again.yaml")
    assert (again.services, again.ingress, again.assumed) == (graph.services, graph.ingress, graph.assumed)
    assert sorted(again.calls, key=lambda call: call.id) == sorted(graph.calls, key=lambda call: call.id)


def test_all_three_examples_are_there() -> None:
    assert [file.stem for file in EXAMPLES] == ["bookinfo", "hotel-reservation", "online-boutique"]


def test_what_is_written_fits_the_schema() -> None:
    jsonschema.validate(graph_document(parse_graph(SMALL, "x")), schema())
    assert parse_graph(graph_text(parse_graph(SMALL, "x")), "x") == parse_graph(SMALL, "x")


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["1ms", "4KiB", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
CALL_KEYS = st.sampled_from(
    ["protocol", "tls", "filters", "request_bytes", "calls_per_request", "group", "repeat", "asynchronous", "headers",
     "new_connections", "required", "name", "x"]
)  # fmt: skip


@given(st.dictionaries(CALL_KEYS, VALUES, max_size=4))
def test_any_value_is_read_or_refused_and_the_schema_agrees(fields: dict[str, Any]) -> None:
    document = yaml.safe_load(SMALL)
    document["calls"][0] |= fields
    try:
        parse_graph(json.dumps(document), "graph.yaml")
    except UsageError:
        return
    jsonschema.validate(yaml.safe_load(json.dumps(document)), schema())


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    for prefix in ("", HEAD):
        with pytest.raises(UsageError):
            parse_graph(prefix + text, "graph.yaml")


def test_a_closed_loop_comes_back_as_it_was_written() -> None:
    graph = parse_graph(SMALL.replace("rate_rps: 100", "connections: 8"), "graph.yaml")
    assert graph.closed_loop == graph.ingress[0]
    assert (graph.ingress[0].connections, graph.ingress[0].rate_rps) == (8, 0.0)
    jsonschema.validate(graph_document(graph), schema())
    assert parse_graph(graph_text(graph), "again").ingress == graph.ingress


def test_a_rate_that_was_worked_out_is_not_written() -> None:
    graph = parse_graph(SMALL.replace("rate_rps: 100", "connections: 8"), "graph.yaml")
    known = replace(graph, ingress=(replace(graph.ingress[0], rate_rps=812.0),))
    assert graph_text(known) == graph_text(graph)


def test_an_entry_with_connections_is_the_only_one() -> None:
    text = SMALL.replace("rate_rps: 100}", "connections: 8}\n  - {service: cart, rate_rps: 2}")
    with pytest.raises(UsageError, match=r"graph.yaml:8: ingress\[0\]: an entry with connections must be the only one"):
        parse_graph(text, "graph.yaml")
