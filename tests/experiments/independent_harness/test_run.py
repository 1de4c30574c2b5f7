import pytest
import yaml

from experiments.independent_harness.evaluation import CASES, TOPOLOGIES
from experiments.independent_harness.run import filled
from predictor.graph.plan import sidecar_modes
from predictor.graph.reader import parse_graph
from predictor.graph.types import CallGraph


def graph_of(name: str) -> CallGraph:
    return parse_graph(yaml.safe_dump(filled(CASES[name], plain_ns=60_000.0, cpus=2)), "graph.yaml")


@pytest.mark.parametrize("name", CASES)
def test_graph_of_every_case_has_its_protocol_services_and_temperature(name: str) -> None:
    case, graph = CASES[name], graph_of(name)
    services = TOPOLOGIES[case.topology].services
    asked = [service.service_time.mean_ns for service in graph.services if service.name != "client"]
    assert asked == [60_000.0 / services] * services
    assert {call.protocol for call in (*graph.calls, *(entry.as_call() for entry in graph.ingress))} == {case.protocol}
    assert graph.cold_weight == (1.0 if case.temperature == "cold" else 0.0)


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_graph_passes_as_many_sidecars_as_rules_lead_to(name: str) -> None:
    modes = sidecar_modes(graph_of(f"http1-{name}-hot")).values()
    assert sum(mode != "none" for pair in modes for mode in pair) == TOPOLOGIES[name].rules
