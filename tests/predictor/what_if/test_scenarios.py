"""Files of scenarios: what is read, what is refused and in which words."""

import json
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from predictor.graph.reader import load_graph
from predictor.graph.types import Call, CallGraph, Ingress, Service
from predictor.hop_costs.options import Factors, Options
from predictor.what_if.scenario import Changes
from predictor.what_if.scenarios import Scenario, load_scenarios, parse_scenarios
from profiler.errors import UsageError

EXAMPLES = Path(__file__).parents[3] / "predictor" / "graph" / "examples"
HEAD = "format: meshinsight-scenarios\nversion: 1\nscenarios:\n"
GRAPH = CallGraph(
    (Service("a"), Service("b", cold_weight=0.7)),
    (Call("a->b", "a", "b", filters=("lua",)),),
    (Ingress("a", 10.0),),
)
WRONG = {
    "{name: a, sets: []}": "4: scenarios[0].sets: unknown key",
    "{name: a}\n- {name: a}": "5: scenarios[1].name: 'a' is the name of an earlier scenario",
    "{name: as it is}": "4: scenarios[0].name: 'as it is' is the name of the graph without",
    "{set: []}": "4: scenarios[0]: missing field 'name'",
    "a": "4: scenarios[0]: expected a mapping",
    "{name: a, set: x}": "4: scenarios[0].set: expected a list",
    "{name: a, set: [1]}": "4: scenarios[0].set[0]: expected EDGE.FIELD=VALUE",
    "name: a\n  set:\n    '*.tls': [1]": "6: scenarios[0].set.*.tls: expected a text",
    "{name: a, drop_filters: lua}": "4: scenarios[0].drop_filters: expected a list of names",
    "{name: a, topology: both}": "4: scenarios[0].topology: expected one of server, shared, waypoint, none",
    "{name: a, transport: tcp}": "4: scenarios[0].transport: expected one of ip, uds",
    "{name: a, speedup: 2}": "4: scenarios[0].speedup: expected a mapping",
    "name: a\n  speedup:\n    ipc: 1\n    nothing: 2": "7: scenarios[0].speedup.nothing: unknown component",
    "{name: a, speedup: {ipc: {C: 1" + "0" * 400 + "}}}": "4: scenarios[0].speedup.ipc.C: expected",
    "{name: a, load: -1}": "4: scenarios[0].load: expected between 0 and",
    "{name: a, cold_weight: 2}": "4: scenarios[0].cold_weight: expected between 0 and 1",
}


def one(text: str) -> Scenario:
    return parse_scenarios(f"{HEAD}- {text}\n", "s.yaml")[0]


def schema() -> Any:
    text = resources.files("predictor.what_if").joinpath("scenarios.schema.json").read_text(encoding="utf-8")
    return json.loads(text)


def test_every_key_is_read() -> None:
    found = one(
        "{name: x, set: [a->b.tls=mtls], drop_filters: [lua], topology: shared, transport: uds, proxy: nginx, "
        "speedup: {parsing: 0.5, ipc: {C: 2}}, cold_weight: 0.25, load: 3, cpu_model: other}"
    )
    assert found.changes == Changes(("a->b.tls=mtls",), ("lua",), "shared", 0.25, 3.0)
    assert (found.transport, found.proxy, found.cpu_model) == ("uds", "nginx", "other")
    assert found.speedup == {"parsing": Factors(0.5, 0.5, 0.5, 0.5), "ipc": Factors(cpu_base=2.0)}


def test_a_mapping_sets_as_a_list_does() -> None:
    found = one("{name: x, set: {a->b.tls: mtls, '*.request_bytes': 4096, '*.filters': [lua, cors]}}")
    assert found.changes.sets == ("a->b.tls=mtls", "*.request_bytes=4096", "*.filters=lua+cors")


def test_load_is_a_factor_of_all_rates_and_cold_weight_is_for_all_services() -> None:
    changed = one("{name: x, load: 3, cold_weight: 0.5}").graph(GRAPH)
    assert changed.ingress[0].rate_rps == 30.0
    assert (changed.cold_weight, changed.services[1].cold_weight) == (0.5, None)


def test_what_a_scenario_does_not_name_is_as_without_it() -> None:
    options = Options(proxy="envoy", transport="uds", speedup={"ipc": Factors(2.0), "tls": Factors(3.0)})
    found = one("{name: x, speedup: {tls: 0.5}}").options(options)
    assert (found.proxy, found.transport) == ("envoy", "uds")
    assert found.speedup == {"ipc": Factors(2.0), "tls": Factors(0.5, 0.5, 0.5, 0.5)}


@pytest.mark.parametrize(("text", "message"), WRONG.items())
def test_what_is_wrong_is_one_line_with_its_place(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        one(text)
    assert str(caught.value).startswith(f"s.yaml:{message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{name: x, set: ['*.tls=none', 'x.tls=none']}", r"s.yaml:4: scenarios\[0\].set\[1\]: x.tls=none: no edge"),
        ("{name: x, drop_filters: [cors]}", r"s.yaml:4: scenarios\[0\].drop_filters\[0\]: cors: no edge has it"),
    ],
)
def test_a_change_that_does_not_fit_the_graph_is_told_with_its_place(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        one(text).graph(GRAPH)


def test_taking_away_what_is_required_is_told_with_its_place() -> None:
    required = CallGraph(GRAPH.services, (Call("a->b", "a", "b", filters=("lua",), required=("lua",)),), GRAPH.ingress)
    with pytest.raises(UsageError, match=r"s.yaml:4: scenarios\[0\]: .*'lua' is required"):
        one("{name: x, drop_filters: [lua]}").graph(required)


@pytest.mark.parametrize(
    "text", ["", "- a", HEAD, f"{HEAD}[]", HEAD.replace("1", "2") + "- {name: a}", f"x: 1\n{HEAD}- {{name: a}}"]
)
def test_other_files_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^s\.yaml"):
        parse_scenarios(text, "s.yaml")


def test_the_example_fits_reader_schema_and_its_graph() -> None:
    file = EXAMPLES / "scenarios" / "bookinfo.yaml"
    jsonschema.validate(yaml.safe_load(file.read_text()), schema())
    graph = load_graph(EXAMPLES / "bookinfo.yaml")
    scenarios = load_scenarios(file)
    assert len(scenarios) >= 5
    assert all(scenario.graph(graph) != graph or scenario.speedup for scenario in scenarios)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["none", "uds", "ipc", "*.tls=none", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["ipc", "filter:x", "C", "l", "*.tls", "x"]), inner, max_size=3)
    ),
    max_leaves=5,
)
KEYS = st.sampled_from(
    ["set", "drop_filters", "topology", "transport", "proxy", "speedup", "cold_weight", "load", "cpu_model", "name"]
)


@given(st.dictionaries(KEYS, VALUES, max_size=3))
def test_any_value_is_read_or_refused_and_the_schema_agrees(values: dict[str, Any]) -> None:
    document = {"format": "meshinsight-scenarios", "version": 1, "scenarios": [{"name": "a"} | values]}
    try:
        parse_scenarios(json.dumps(document), "s.yaml")
    except UsageError:
        return
    jsonschema.validate(yaml.safe_load(json.dumps(document)), schema())
