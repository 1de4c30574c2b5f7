"""Predictions at another share of hand-overs that go to another CPU."""

from dataclasses import replace

import numpy as np
import pytest

from predictor.graph.types import Call, CallGraph, Ingress, Service, Sidecar
from predictor.hop_costs.options import Options
from predictor.models.fitting import fit_profile
from predictor.models.types import FittedModel
from predictor.predict.predict import predict
from predictor.predict.types import Prediction
from profiler.errors import UsageError
from profiler.profile.types import Cell
from tests.predictor.models.placed import ADDED, CROSSING_NS, SHARES, placed, placed_cells
from tests.predictor.models.profiles import HTTP, known_profile, profile

BOTH = Sidecar("http", "http")
MODEL = fit_profile(profile(placed_cells()))


def graph(protocol: str = "http1", cold: float = 0.0) -> CallGraph:
    services = (Service("a", sidecar=BOTH), Service("b", sidecar=BOTH))
    calls = (Call("a->b", "a", "b", protocol=protocol, request_bytes=100, response_bytes=1000),)  # type: ignore[arg-type]
    return CallGraph(services, calls, (Ingress("a", 10.0),), cold_weight=cold)


def predicted(share: float | None = None, model: FittedModel = MODEL, one: CallGraph | None = None) -> Prediction:
    return predict(one or graph(), model, Options(samples=0, load=False, crossing_share=share))


def call_ns(found: Prediction, component: str = "ipc") -> float:
    return next(edge for edge in found.edges if edge.id == "a->b").by_component_ns[component]


def of(*placements: str) -> FittedModel:
    return fit_profile(profile([placed(name) for name in placements]))


@pytest.mark.parametrize("protocol", ["http1", "tcp"])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_each_hop_moves_by_its_crossings_in_ipc_alone(protocol: str, share: float) -> None:
    before, after = predicted(one=graph(protocol)), predicted(share, one=graph(protocol))
    moved = (share - SHARES["free"]) * ADDED * CROSSING_NS
    assert call_ns(after) - call_ns(before) == pytest.approx(moved, rel=1e-6, abs=1e-3)
    other = "parsing" if protocol == "http1" else "proxy_core"
    assert call_ns(after, other) == pytest.approx(call_ns(before, other), rel=1e-12)


def test_cpu_moves_by_what_a_crossing_costs_in_cpu() -> None:
    before, after = (predicted(share).edges[-1].cpu_by_component_ns["ipc"] for share in (None, 1.0))
    assert after - before == pytest.approx(0.5 * ADDED * 2 * CROSSING_NS, rel=1e-6)


def test_the_share_that_was_measured_changes_nothing() -> None:
    assert predicted(SHARES["free"]).latency["mean"].overhead_ns == predicted().latency["mean"].overhead_ns


def test_any_placement_at_a_share_costs_the_same() -> None:
    rest = replace(MODEL, configurations=())
    found = [call_ns(predicted(0.4, replace(rest, configurations=of(name).configurations))) for name in SHARES]
    assert found == pytest.approx([found[0]] * 3, rel=1e-9)


def test_free_cells_stand_for_hops_before_pinned_ones() -> None:
    for placements, used in ((("together", "apart", "free"), "free"), (("together", "apart"), "apart"),
                             (("together",), "together")):  # fmt: skip
        found = predicted(model=of(*placements))
        assert (found.placements, found.crossing_share) == ((used,), SHARES[used])
        assert any(note.startswith(f"placement: {used}, as profiled; {SHARES[used]:.0%}") for note in found.assumptions)


def test_a_given_share_is_stated() -> None:
    found = predicted(0.25)
    assert found.crossing_share == pytest.approx(0.25)
    assert "crossing share: 25% of hand-overs go to another CPU, as given" in found.assumptions


def test_without_counts_no_share_is_stated() -> None:
    found = predicted(model=fit_profile(known_profile(placement="apart")))
    assert (found.placements, found.crossing_share) == (("apart",), None)


@pytest.mark.usefixtures("no_own_error")
def test_the_interval_has_that_of_the_cost() -> None:
    wide = tuple(replace(one, draws=one.draws + np.linspace(-5e3, 5e3, len(one.draws))) for one in MODEL.crossings)
    known, doubtful = (predicted(1.0, model).latency["mean"].overhead_ns for model in
                       (MODEL, replace(MODEL, crossings=wide)))  # fmt: skip
    assert doubtful.high - doubtful.low > 2 * (known.high - known.low)


def test_a_crossing_costs_what_it_does_at_the_nearest_temperature() -> None:
    def cells(temperature: str, crossing_ns: float, *names: str) -> list[Cell]:
        return [placed(name, temperature=temperature, crossing_ns=crossing_ns) for name in names]

    both = fit_profile(profile([*cells("hot", 1e3, *SHARES), *cells("cold", 9e3, *SHARES)]))
    hot = fit_profile(profile([*cells("hot", 1e3, *SHARES), *cells("cold", 1e3, "free")]))
    for model, cost_ns in ((both, 9e3), (hot, 1e3)):
        cold = graph(cold=1.0)
        moved = call_ns(predicted(1.0, model, cold)) - call_ns(predicted(None, model, cold))
        assert moved == pytest.approx(0.5 * ADDED * cost_ns, rel=1e-6)


def test_ipc_is_added_where_it_was_not_measured() -> None:
    item = next(one for one in MODEL.configurations if one.placement == "free" and one.protocol == "http1")
    assert item.latency is not None
    kept = replace(
        item.latency, components=("parsing", "unexplained"),
        coefficients=item.latency.coefficients[:, 1:3], draws=item.latency.draws[:, :, 1:3],
    )  # fmt: skip
    found = predicted(1.0, replace(MODEL, configurations=(replace(item, latency=kept),)))
    assert call_ns(found) == pytest.approx(0.5 * ADDED * CROSSING_NS, rel=1e-6)


@pytest.mark.parametrize("model", [of("free"), fit_profile(known_profile())], ids=["one placement", "not counted"])
def test_a_profile_that_does_not_say_what_a_crossing_costs_is_one_line(model: FittedModel) -> None:
    with pytest.raises(UsageError, match=r"^--crossing-share: .* meshinsight profile --placement free,apart,together$"):
        predicted(0.5, model)


def test_what_is_missing_is_to_be_measured_in_all_placements() -> None:
    with pytest.raises(UsageError, match="--topology both --placement free,apart,together"):
        predicted(0.5, one=graph("http2"))
    with pytest.raises(UsageError, match=r"--topology both$"):
        predicted(one=graph("http2"))


def test_hops_with_a_filter_move_once() -> None:
    base = profile([*(placed(name) for name in SHARES), placed("free", {**HTTP, "filter:rbac": (1e3, 0, 0, 0, 0)},
                                                              topology="server", filters=["rbac"])])  # fmt: skip
    one = graph()
    one = replace(one, calls=tuple(replace(call, filters=("rbac",)) for call in one.calls))
    model = fit_profile(base)
    moved = call_ns(predicted(1.0, model, one)) - call_ns(predicted(None, model, one))
    assert moved == pytest.approx(0.5 * ADDED * CROSSING_NS, rel=1e-6)
