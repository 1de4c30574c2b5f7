"""How warm sidecars are when a message comes."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from predictor.graph.service_time import ServiceTime
from predictor.graph.types import Call, CallGraph, Cluster, Ingress, Service
from predictor.hop_costs.options import Options
from predictor.hop_costs.temperature import PART, SHARED, nearest_end
from predictor.models.fitting import fit_profile
from predictor.models.types import CoolingEnd, FittedModel
from predictor.predict.own_error import FIGURES
from predictor.predict.predict import predict
from predictor.predict.types import Prediction
from tests.predictor.models.profiles import HTTP, LOADS, cell, profile

CURVE = ((0.2e6, 0.0), (20.2e6, 2.0))
"""A tenth per ms from 0.2 ms on."""


def model(cooling: tuple[tuple[float, float], ...] = CURVE) -> FittedModel:
    cold = {name: tuple(2.0 * value for value in values) for name, values in HTTP.items()}
    ends = (("hot", HTTP), ("cold", cold))
    cells = [cell(costs, load, temperature=name) for name, costs in ends for load in LOADS]
    return replace(fit_profile(profile(cells)), cooling=cooling)


def chain(count: int, rate: float, *, use: float = 0.0, own_ms: float = 1.2) -> CallGraph:
    own = ServiceTime.constant(own_ms * 1e6)
    services = tuple(Service(f"s{number}", service_time=own) for number in range(count))
    calls = tuple(Call(f"s{number}->s{number + 1}", f"s{number}", f"s{number + 1}") for number in range(count - 1))
    return CallGraph(services, calls, (Ingress("s0", rate),), cluster=Cluster(cpu_use=use))


def weights(found: Prediction) -> dict[str, tuple[float, float]]:
    return {edge.id: edge.cold_weights for edge in found.edges}


def found(graph: CallGraph, **further: object) -> Prediction:
    return predict(graph, model(**further), Options(samples=0, load=False))  # type: ignore[arg-type]


def test_one_service_cools_between_its_requests_and_while_it_works() -> None:
    """100 requests/s of 1.2 ms: 8.8 ms idle (0.86) and 1.2 ms until the answer (0.1)."""
    assert weights(found(chain(1, 100.0)))["ingress->s0"] == pytest.approx((0.0, 0.86 + 0.10))


def test_a_call_cools_by_the_caller_s_work_and_the_callee_s_answer() -> None:
    """s1 waits 10 - 1.2 ms for its next request and works 1.2 ms; s0 works 1.2 ms, then waits for s1 for 1.2 ms."""
    assert weights(found(chain(2, 100.0)))["s0->s1"] == pytest.approx((0.20, 0.96))


def test_what_handles_a_request_on_few_cpus_evicts_one_another() -> None:
    """While s0 waits for s1, which waits for s2, two processes more than of a single hop run on two CPUs."""
    free = weights(found(chain(3, 100.0)))["s0->s1"][0]
    tight = replace(chain(3, 100.0), cluster=Cluster(nodes=1, cpus_per_node=2.0, cpu_use=0.0))
    idle = 0.1 * (2.4 - 0.2)
    assert free == pytest.approx(0.10 + idle)
    assert weights(found(tight))["s0->s1"][0] == pytest.approx(0.10 + idle + (1 - math.exp(-PART)) * (1 - idle))
    assert weights(found(tight))["s1->s2"][0] == pytest.approx(0.20)


def test_who_answers_right_after_a_call_came_back_is_hot() -> None:
    assert weights(found(chain(2, 100.0)))["ingress->s0"][1] == pytest.approx(0.1 * (10 - 2.4 - 0.2))


@pytest.mark.parametrize(("count", "nodes", "on_node"), [(2, 1, 2), (5, 1, 5), (5, 2, 2.5), (5, 5, 2), (5, None, 2)])
def test_sidecars_of_one_node_share_what_idle_time_takes_from_them(
    count: int, nodes: int | None, on_node: float
) -> None:
    """s1 waits 10 - 1.2 ms × (count - 1) for its next request; the cells have two sidecars on one node."""
    graph = replace(chain(count, 100.0), cluster=Cluster(nodes=nodes, cpus_per_node=None, cpu_use=0.0))
    idle = 0.1 * (10 - 1.2 * (count - 1) - 0.2) * (1 - SHARED + SHARED / on_node) / (1 - SHARED / 2)
    answering = 0.1 if count == 2 else 0.0
    assert weights(found(graph))["s0->s1"][1] == pytest.approx(idle + answering)


def test_calls_at_the_same_time_and_in_a_row_find_the_sidecar_warm() -> None:
    first, *others = chain(2, 100.0).services
    calls = (
        Call("in a row", "s0", "s1", calls_per_request=4.0),
        Call("at once", "s0", "s1", calls_per_request=4.0, repeat="parallel", stage=1),
    )
    graph = replace(chain(2, 100.0), services=(first, *others), calls=calls)
    cold = weights(found(graph))
    assert cold["in a row"][0] == pytest.approx(0.10 / 4 + 0.10)
    assert cold["at once"][0] == pytest.approx(0.10 / 4)
    # Of 8 calls per request, the first of 4 comes after 4 / 8 of 10 ms, of which s1 answers for 1.2 ms.
    assert cold["in a row"][1] == cold["at once"][1] == pytest.approx(0.1 * (5.0 - 1.2 - 0.2) / 4 + 0.10)


def test_busy_sidecars_are_hot_and_other_work_makes_them_cold() -> None:
    assert weights(found(chain(1, 5000.0, own_ms=0.1)))["ingress->s0"] == (0.0, 0.0)
    warm, cold = (weights(found(chain(1, 100.0, use=use)))["ingress->s0"][1] for use in (0.0, 1.0))
    assert warm < cold
    without = weights(found(chain(1, 100.0), cooling=()))["ingress->s0"][1]
    assert without == 0.0


def test_beyond_cold_the_cost_goes_on_rising() -> None:
    """20 ms apart: 1.86 and 0.1 by the curve; cold costs twice as much as hot."""
    hot = found(replace(chain(1, 50.0), cold_weight=0.0)).latency["mean"].overhead_ns.value
    idle = found(chain(1, 50.0)).latency["mean"].overhead_ns.value
    assert idle == pytest.approx((1.0 + 1.96 * 1.0) * hot, rel=0.02)


GRPC_CPU = CoolingEnd("grpc", "mtls", "cpu", factor=3.0, rise=1.0, error=0.1)
UNLOADED = Options(load=False)
HTTP_LATENCY = CoolingEnd("http1", "none", "latency", factor=1.0, rise=1.0, error=0.1)


def with_ends(*ends: CoolingEnd) -> FittedModel:
    return replace(model(), cooling_ends=ends)


def of_an_idle_service(known: FittedModel) -> Prediction:
    """20 ms apart, so idle time adds 1.96 times what hot costs, before factors."""
    return predict(chain(1, 50.0), known, Options(samples=0, load=False))


def test_cpu_cools_to_an_end_of_its_own() -> None:
    cpu = replace(HTTP_LATENCY, currency="cpu", factor=2.0)
    one, other = (of_an_idle_service(with_ends(HTTP_LATENCY, replace(cpu, factor=f))) for f in (1.0, 2.0))
    assert other.latency["mean"].overhead_ns.value == pytest.approx(one.latency["mean"].overhead_ns.value)
    assert other.vcpu.value / one.vcpu.value == pytest.approx((1.0 + 2.0 * 1.96) / (1.0 + 1.96), rel=0.01)


def test_beyond_cold_the_rise_is_that_of_the_end_not_of_the_configuration() -> None:
    """Of 1.96 units of temperature 0.96 are beyond cold, each half of what cold costs at a rise of 1."""
    least = of_an_idle_service(with_ends(replace(HTTP_LATENCY, rise=0.25))).latency["mean"].overhead_ns.value
    usual = of_an_idle_service(with_ends(HTTP_LATENCY)).latency["mean"].overhead_ns.value
    assert least / usual == pytest.approx((1.0 + 0.96 * 0.2) / (1.0 + 0.96 * 0.5), rel=0.01)


def test_the_latency_of_a_cold_hop_scatters_as_that_of_its_cells() -> None:
    """As a share of the mean: a hop at several times the cost of cold has no wider distribution than cold cells."""
    far, near = (
        predict(chain(1, 50.0), replace(spread_out(), cooling_ends=(replace(HTTP_LATENCY, factor=factor),)), UNLOADED)
        for factor in (4.0, 1.0)
    )
    ratios = [found.latency["p99"].overhead_ns.value / found.latency["mean"].overhead_ns.value for found in (far, near)]
    assert ratios[0] == pytest.approx(ratios[1], rel=0.05)


def spread_out() -> FittedModel:
    """The model whose latencies scatter: means are a fifth above medians."""
    known = model()
    return replace(known, configurations=tuple(replace(item, mean_ratio=1.2) for item in known.configurations))


def test_what_was_not_measured_takes_the_nearest_end_with_a_wider_interval_and_says_so(
    own_errors: Callable[[Mapping[str, float]], None],
) -> None:
    own_errors(dict.fromkeys(FIGURES, 1.0))
    known = with_ends(HTTP_LATENCY, replace(HTTP_LATENCY, currency="cpu"))
    foreign = with_ends(*(replace(end, protocol="grpc", tls="mtls") for end in known.cooling_ends))
    one, other = of_an_idle_service(known), of_an_idle_service(foreign)
    assert other.latency["mean"].overhead_ns.value == pytest.approx(one.latency["mean"].overhead_ns.value)
    assert relative_width(other) > 2.0 * relative_width(one)
    assert not any("not measured" in note for note in one.assumptions)
    assert "cooling of http1 latency: not measured; that of grpc mtls latency, and the interval is wider" in (
        other.assumptions
    )


def relative_width(found: Prediction) -> float:
    overhead = found.latency["mean"].overhead_ns
    return (overhead.high - overhead.low) / overhead.value


def test_a_hot_sidecar_has_no_doubt_of_its_cooling() -> None:
    busy = chain(1, 5000.0, own_ms=0.1)
    widths = [
        relative_width(predict(busy, with_ends(replace(HTTP_LATENCY, error=error)), Options(samples=0, load=False)))
        for error in (0.0, 1.0)
    ]
    assert widths[0] == widths[1]


@pytest.mark.parametrize(
    ("wanted", "nearest"),
    [
        (("cpu", "grpc", "mtls"), GRPC_CPU),
        (("cpu", "http1", "none"), GRPC_CPU),
        (("latency", "grpc", "mtls"), HTTP_LATENCY),
        (("latency", "tcp", "none"), HTTP_LATENCY),
    ],
)
def test_the_nearest_end_is_of_the_same_currency_first(wanted: tuple[str, str, str], nearest: CoolingEnd) -> None:
    assert nearest_end((HTTP_LATENCY, GRPC_CPU), *wanted) == nearest


def test_then_of_the_nearest_protocol_then_of_the_same_tls() -> None:
    ends = [replace(HTTP_LATENCY, protocol=p, tls=t) for p in ("http1", "http2") for t in ("none", "mtls")]
    assert nearest_end(ends, "latency", "grpc", "mtls") == ends[3]
    assert nearest_end(ends, "latency", "tcp", "none") == ends[0]


def test_a_given_temperature_is_taken_and_what_is_assumed_is_said() -> None:
    assert weights(found(replace(chain(2, 100.0), cold_weight=0.3)))["s0->s1"] == (0.3, 0.3)
    assert any("does not tell how fast" in note for note in found(chain(1, 100.0), cooling=()).assumptions)
