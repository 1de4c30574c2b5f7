"""Topologies of Isotope as they are written: sleeps next to calls, keys that nobody reads, entry points."""

from pathlib import Path

import pytest

from predictor.graph.types import CallGraph
from predictor.importers.isotope import read_isotope
from profiler.errors import UsageError
from tests.predictor.importers.field import FIELD, HOSTILE, remarks


def graph_of(directory: Path, text: str) -> CallGraph:
    (directory / "t.yaml").write_text(text)
    return read_isotope(directory / "t.yaml")


def own_ms(graph: CallGraph) -> dict[str, float]:
    return {service.name: service.service_time.mean_ns / 1e6 for service in graph.services}


def test_of_a_sleep_next_to_a_call_the_longer_counts() -> None:
    graph = read_isotope(FIELD / "isotope-sleep-beside-call.yaml")
    assert own_ms(graph) == {"s": 0.0, "p": 10.0}
    assert "0 of 10 ms of sleep next to calls" in remarks(graph, "services.s.service_time")


@pytest.mark.parametrize(
    ("step", "own"),
    [
        ("[{sleep: 30ms}, {call: p}]", 20.0),
        ("[{sleep: 4ms}, {call: p}, {call: q}]", 0.0),
        ("[{sleep: 40ms}, {call: q}, {sleep: 50ms}]", 35.0),
        ("[{sleep: 20ms}, {call: {service: p, probability: 50}}]", 15.0),
        ("[{sleep: 6ms}, {call: {service: p, probability: 50}}]", 3.0),
    ],
)
def test_a_sleep_counts_as_far_as_it_outlasts_the_calls_next_to_it(tmp_path: Path, step: str, own: float) -> None:
    text = f"""services:
- {{name: s, isEntrypoint: true, script: [{step}]}}
- {{name: p, script: [{{sleep: 10ms}}]}}
- {{name: q, script: [{{sleep: 5ms}}, {{call: p}}]}}
- {{name: r, isEntrypoint: true, script: [{{call: p}}, {{call: q}}]}}
"""
    assert own_ms(graph_of(tmp_path, text))["s"] == pytest.approx(own)


def test_a_missing_entry_point_is_named_with_a_candidate() -> None:
    with pytest.raises(UsageError, match=r"isEntrypoint: true.*perhaps 's'"):
        read_isotope(FIELD / "isotope-readme-shape.yaml")


def test_keys_that_nobody_reads_are_listed(tmp_path: Path) -> None:
    text = (FIELD / "isotope-readme-shape.yaml").read_text().replace("- name: s", "- name: s\n  isEntrypoint: true")
    graph = graph_of(tmp_path, text)
    assert "no field for it" in remarks(graph, "services.p.errorRate")
    assert "Isotope does not read it" in remarks(graph, "calls.r->p.payloadSize")
    assert remarks(graph, "calls.r->p.extra-header")


def test_a_default_script_holds_for_services_without_one() -> None:
    assert own_ms(read_isotope(FIELD / "isotope-default-script.yaml")) == {"s": 0.0, "p": 5.0}


def test_a_misspelled_size_leaves_the_default() -> None:
    assert read_isotope(FIELD / "isotope-size-spelled-payloadsize.yaml").calls[0].request_bytes == 1024


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (FIELD / "isotope-memory-process.yaml", "unknown command 'process'"),
        (FIELD / "isotope-same-name-two-namespaces.yaml", "a service is there twice"),
        (HOSTILE / "isotope-alias-bomb.yaml", "alias"),
    ],
    ids=lambda value: value.stem if isinstance(value, Path) else "",
)
def test_what_cannot_be_read_is_refused_at_once(file: Path, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_isotope(file)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("services: [{name: 'a\\x1b[2J', isEntrypoint: true}]".replace("'", '"'), "not a name"),
        ("services: [{name: a->b, isEntrypoint: true}]", "not a name"),
        ("services: [{name: a, isEntrypoint: true, script: [{sleep: 99999999h}, {sleep: 300000h}]}]", "30 years"),
        (
            "services: [{name: a, isEntrypoint: true, script: [" + "{sleep: 200000h}, " * 9 + "]}]",
            "out of bounds|bounds",
        ),
        ("services: [{name: a, isEntrypoint: true, responseSize: 99999PB}]", "expected between 0 and"),
    ],
)
def test_values_that_no_graph_holds_are_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        graph_of(tmp_path, text)
    assert str(caught.value).isprintable()
