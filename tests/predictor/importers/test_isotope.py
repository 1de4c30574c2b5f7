"""Isotope's topologies: the real ones, their units, and refusals with the line."""

from pathlib import Path

import pytest

from predictor.graph.writer import graph_text
from predictor.importers.isotope import read_isotope
from profiler.errors import UsageError

DATA = Path(__file__).parents[2] / "data" / "traces" / "isotope"


def written(directory: Path, text: str) -> Path:
    file = directory / "topology.yaml"
    file.write_text(text)
    return file


def test_groups_run_at_the_same_time_and_steps_one_after_another() -> None:
    calls = {call.id: call.stage for call in read_isotope(DATA / "canonical.yaml").calls}
    assert calls == {"c->a": 0, "c->b": 1, "d->a": 0, "d->c": 0, "d->b": 1}


def test_sizes_are_in_units_of_1024() -> None:
    assert {call.request_bytes for call in read_isotope(DATA / "canonical.yaml").calls} == {1024.0}


def test_defaults_hold_for_every_service() -> None:
    assert {service.replicas for service in read_isotope(DATA / "tree-13-services.yaml").services} == {6}


@pytest.mark.parametrize("file", sorted(DATA.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_topology_is_read(file: Path) -> None:
    assert read_isotope(file, rate_rps=7.0).ingress[0].rate_rps == 7.0


def test_sleeps_and_probabilities_and_repeats(tmp_path: Path) -> None:
    text = """services:
- name: a
  isEntrypoint: true
  type: grpc
  script:
  - sleep: 1m0.5s
  - call: {service: b, size: 2K, probability: 30}
  - call: b
- {name: b, responseSize: 100, script: [[{sleep: 10ms}, {sleep: 20ms}]]}
"""
    graph = read_isotope(written(tmp_path, text))
    assert graph.service("a").service_time.mean_ns == 60.5e9
    assert graph.service("b").service_time.mean_ns == 20e6
    assert [(call.id, call.request_bytes, call.response_bytes, call.calls_per_request) for call in graph.calls] == [
        ("a->b", 2048.0, 100.0, 0.3),
        ("a->b:2", 0.0, 100.0, 1.0),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("services: []", "no services"),
        ("topology: x", "no 'services:'"),
        ("services: [{name: a}]", "no ingress"),
        ("services: [{name: a, isEntrypoint: true, script: [{call: z}]}]", "unknown service 'z'"),
        ("services: [{name: a, isEntrypoint: true, script: [{call: a}]}]", "a -> a"),
        ("services: [{name: a, isEntrypoint: true, script: [{jump: b}]}]", "unknown command 'jump'"),
        (
            "services: [{name: a, isEntrypoint: true, script: [{sleep: long}]}]",
            "expected a time with its unit, such as 1.2ms; found 'long'",
        ),
        ("services: [{name: a, isEntrypoint: true, numReplicas: -1}]", "expected a whole number"),
        ("services: [{name: a}, {name: a}]", "is there twice"),
        ("services: [3]", "expected a service"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_isotope(written(tmp_path, text))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_assumed_twice_is_written_once(tmp_path: Path) -> None:
    call = "{call: {service: p, payloadSize: 64}}"
    file = tmp_path / "topology.yaml"
    file.write_text(f"services: [{{name: s, isEntrypoint: true, script: [{call}, {call}]}}, {{name: p}}]\n")
    assert graph_text(read_isotope(file, 1.0)).count("payloadSize") == 1
