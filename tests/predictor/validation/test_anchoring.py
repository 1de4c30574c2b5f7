"""Models at the speed that anchors tell."""

from dataclasses import replace

import pytest
from msgspec import structs

from predictor.graph.types import Call, CallGraph, Ingress, Service, Sidecar
from predictor.hop_costs.options import Options
from predictor.models.fitting import fit_profile
from predictor.predict.predict import predict
from predictor.validation.anchoring import ANCHOR, anchor_cells, at_speed_of, changed_since, model_of
from predictor.validation.types import Anchor
from profiler.errors import UsageError
from profiler.measuring.applications import AnchorCell, AnchorReading
from tests.predictor.models.placed import placed
from tests.predictor.models.profiles import HTTP, TCP, known_profile, profile, value

PROFILE = known_profile()
MODEL = fit_profile(PROFILE)


def graph(protocol: str, cold: float = 0.0) -> CallGraph:
    services = (Service("a", sidecar=Sidecar("http", "none")), Service("b"))
    calls = (Call("a->b", "a", "b", protocol=protocol, request_bytes=500, response_bytes=700),)  # type: ignore[arg-type]
    return CallGraph(services, calls, (Ingress("a", 10.0),), cold_weight=cold)


def overhead_ns(protocol: str, *anchors: Anchor, cold: float = 0.0) -> float:
    found = predict(graph(protocol, cold), at_speed_of(MODEL, anchors), Options(samples=0, load=False))
    return found.latency["mean"].overhead_ns.value


def anchor(protocol: str, temperature: str, factor: float, latency_factor: float = 1.0) -> Anchor:
    measured = AnchorReading(100.0 * latency_factor, 300.0 * factor)
    return Anchor(AnchorCell(protocol, temperature), AnchorReading(100.0, 300.0), (measured,))


def test_an_anchor_costs_in_the_profile_what_the_model_says_of_that_hop() -> None:
    cells = anchor_cells([graph("tcp")], MODEL, PROFILE)
    assert next(iter(cells)) == ANCHOR
    for protocol, coefficients in (("http1", HTTP), ("tcp", TCP)):
        known = sum(value(coefficients, (128, 1024, 0, 0), name) for name in coefficients)
        assert cells[AnchorCell(protocol, "hot")].latency_ns == pytest.approx(known, rel=1e-9)


def test_tcp_has_an_anchor_of_its_own_only_where_there_is_some() -> None:
    assert {cell.protocol for cell in anchor_cells([graph("http1")], MODEL, PROFILE)} == {"http1"}
    as_tcp = replace(graph("http1"), services=(Service("a", sidecar=Sidecar("tcp", "none")), Service("b")))
    assert {cell.protocol for cell in anchor_cells([graph("http1"), as_tcp], MODEL, PROFILE)} == {"http1", "tcp"}


def test_each_protocol_goes_with_its_own_anchor() -> None:
    both = (anchor("http1", "hot", 1.5), anchor("tcp", "hot", 0.8))
    assert overhead_ns("http1", *both) == pytest.approx(1.5 * overhead_ns("http1"), rel=1e-9)
    assert overhead_ns("tcp", *both) == pytest.approx(0.8 * overhead_ns("tcp"), rel=1e-9)
    assert overhead_ns("tcp", both[0]) == pytest.approx(1.5 * overhead_ns("tcp"), rel=1e-9)


def test_cpu_and_latency_go_with_the_anchors_cpu() -> None:
    def vcpu(*anchors: Anchor) -> float:
        model = at_speed_of(MODEL, anchors)
        return predict(graph("http1"), model, Options(samples=0, load=False)).vcpu.value

    slower = anchor("http1", "hot", 1.2, latency_factor=1.5)
    assert vcpu(slower) == pytest.approx(1.2 * vcpu(), rel=1e-9)
    assert overhead_ns("http1", slower) == pytest.approx(1.2 * overhead_ns("http1"), rel=1e-9)


def test_an_anchor_whose_cpu_is_not_known_tells_by_its_latency() -> None:
    without = replace(anchor("http1", "hot", 1.0, latency_factor=1.3), profiled=AnchorReading(100.0, 0.0))
    assert overhead_ns("http1", without) == pytest.approx(1.3 * overhead_ns("http1"), rel=1e-9)


@pytest.mark.parametrize(("idle_ns", "position"), [(150.0, 0.25), (200.0, 0.5), (300.0, 0.5)])
def test_idle_sidecars_cool_as_the_anchor_at_a_low_rate_but_no_faster_than_in_the_profile(
    idle_ns: float, position: float
) -> None:
    """From 100 ns hot to 300 ns cold; in the profile 200/s, so 5 ms, was half of the way."""
    model = replace(MODEL, cooling=((0.0, 0.0), (5e6, 0.5), (50e6, 2.0)))
    cells = {AnchorCell("http1", "hot"): 100.0, AnchorCell("http1", "cold"): 300.0}
    cells[AnchorCell("http1", "hot", 200.0)] = idle_ns
    anchors = [Anchor(one, AnchorReading(100.0, 0.0), (AnchorReading(ns, 0.0),)) for one, ns in cells.items()]
    assert [reached for _, reached in at_speed_of(model, anchors).cooling] == pytest.approx(
        [0.0, position, 4.0 * position]
    )


def test_a_profile_without_anchor_is_refused() -> None:
    model = replace(MODEL, configurations=())
    with pytest.raises(UsageError, match="no anchor cell"):
        anchor_cells([graph("http1")], model, structs.replace(PROFILE, anchor=None))


PLACED = fit_profile(profile([placed("free"), placed("apart"), placed("apart", TCP, protocol="tcp")]))


def test_cells_of_the_same_placement_are_taken_where_there_are_some() -> None:
    for placement, http in (("free", "free"), ("apart", "apart")):
        model = model_of(PLACED, "hot", placement)
        assert {item.protocol: item.placement for item in model.configurations} == {"http1": http, "tcp": "apart"}


def test_anchors_are_placed_as_the_profile_placed_them() -> None:
    cells = anchor_cells([graph("tcp")], model_of(PLACED, "hot", "free"), PROFILE)
    assert {cell.protocol: cell.hop.placement for cell in cells} == {"http1": "free", "tcp": "apart"}
    assert {cell.hop.baseline.placement for cell in cells} == {"free", "apart"}


def test_an_anchor_has_one_name_in_all_placements() -> None:
    pinned = AnchorCell("http1", "hot", placement="apart")
    assert pinned == ANCHOR
    assert pinned.name == ANCHOR.name == "http1-both-hot"


@pytest.mark.parametrize(
    ("rounds", "said"),
    [
        ((0.32, 0.34, 0.3), "http1-both-hot 0.32 times what the profile says"),
        ((1.9, 2.0, 2.1), "http1-both-hot 2 times what the profile says"),
        ((0.7, 0.7, 0.7), ""),
        ((1.4, 1.4, 1.4), ""),
        ((0.4, 0.5, 1.3), ""),
    ],
)
def test_a_machine_that_has_changed_in_every_round_is_said(rounds: tuple[float, ...], said: str) -> None:
    one = anchor("http1", "hot", 1.0)
    profiled_ns = one.profiled.cpu_ns
    found = changed_since([replace(one, rounds=tuple(AnchorReading(100.0, factor * profiled_ns) for factor in rounds))])
    assert [said in text for text in found] == [True] * bool(said)
