"""What a prediction says beyond its exact figures: percentiles, intervals, extrapolation, what is missing."""

from dataclasses import replace

import numpy as np
import pytest

from predictor.graph.service_time import ServiceTime
from predictor.graph.types import Call, CallGraph, Ingress, Service, Sidecar
from predictor.hop_costs.options import Options
from predictor.models.fitting import fit_profile
from predictor.predict.predict import predict
from profiler.errors import UsageError
from tests.counting import function_calls
from tests.predictor.models.profiles import HTTP, LOADS, cell, known_profile, profile

MODEL = fit_profile(known_profile())
POINT = Options(samples=0, load=False, intervals=False)
SPREAD = Options(samples=0, load=False)


def pair(**further: object) -> CallGraph:
    edge = Call("a->b", "a", "b", **further)  # type: ignore[arg-type]
    services = (Service("a", sidecar=Sidecar("http", "none")), Service("b"))
    return CallGraph(services, (edge,), (Ingress("a", 10.0),), cold_weight=0.0)


def test_percentiles_are_of_sums_not_sums_of_percentiles() -> None:
    """Two exponential services in a row: p99 of an Erlang distribution is 6.638 means, not 2 × 4.605."""
    services = tuple(Service(name, service_time=ServiceTime.exponential(1e6)) for name in ("a", "b"))
    one = replace(pair(), services=services)
    found = predict(one, MODEL, Options(samples=200_000)).latency["p99"]
    assert found.without_ns == pytest.approx(6.638e6, rel=0.02)


def test_sampled_percentiles_of_a_lognormal_hop() -> None:
    model = fit_profile(known_profile(mean_ratio=1.3))
    found = predict(pair(), model, Options(samples=100_000, load=False)).latency
    mean, p50 = found["mean"].overhead_ns.value, found["p50"].overhead_ns.value
    sigma = np.sqrt(2 * np.log(1.3))
    halves = np.exp(sigma * np.random.default_rng(0).standard_normal((2, 100_000)) - sigma**2 / 2).mean(axis=0)
    assert p50 / mean == pytest.approx(np.median(halves), rel=0.02)


def test_the_same_seed_gives_the_same_percentiles() -> None:
    assert predict(pair(), MODEL) == predict(pair(), MODEL)


@pytest.mark.usefixtures("no_own_error")
def test_intervals_hold_the_figure_and_come_from_the_rounds() -> None:
    cells = [cell(HTTP, (1024, 1024, 0, 0), rounds=(0.9, 1.0, 1.1, 1.0))]
    found = predict(pair(), fit_profile(profile(cells))).latency["mean"].overhead_ns
    assert found.low < found.value < found.high
    assert found.high - found.value == pytest.approx(found.value - found.low, rel=0.5)


def test_extrapolation_is_listed_and_widens_the_interval() -> None:
    inside = predict(pair(), MODEL)
    outside = predict(pair(request_bytes=1e6), MODEL)
    assert not inside.extrapolations
    assert "a->b: request_bytes outside" in outside.extrapolations[0]
    width = outside.vcpu.high / outside.vcpu.value
    assert width > 1.3 * inside.vcpu.high / inside.vcpu.value


def test_an_extrapolation_of_several_cells_is_listed_once() -> None:
    temperatures = [cell(HTTP, (1024, 1024, 0, 0), temperature=name) for name in ("hot", "cold")]
    found = predict(pair(request_bytes=1e6), fit_profile(profile(temperatures)))
    assert [text for text in found.extrapolations if "request_bytes" in text] == [
        "a->b: request_bytes outside what was measured (1024)"
    ]


def test_a_foreign_platform_is_listed_and_widens_the_interval() -> None:
    found = predict(pair(), MODEL, Options(cpu_model="another"))
    assert any("another" in text for text in found.assumptions)
    assert found.vcpu.high > 1.4 * found.vcpu.value


def test_cold_sidecars_without_cold_cells_are_listed() -> None:
    found = predict(replace(pair(), cold_weight=1.0), MODEL)
    assert "colder or hotter" in found.extrapolations[0]


def test_a_missing_configuration_is_one_line_with_its_command() -> None:
    with pytest.raises(UsageError) as caught:
        predict(pair(protocol="grpc", tls="mtls"), MODEL)
    message = str(caught.value)
    assert "lacks grpc-both-mtls" in message
    assert "meshinsight profile --protocol grpc --topology both --tls mtls" in message
    assert "\n" not in message


def test_a_missing_filter_names_its_command() -> None:
    with pytest.raises(UsageError, match="--filter lua"):
        predict(pair(filters=("lua",)), MODEL)


def test_a_filter_measured_on_one_side_is_added_there() -> None:
    filtered = cell(
        {"ipc": (1e4, 0, 0, 0, 0), "filter:lua": (7e3, 0, 0, 0, 0)},
        (0, 0, 0, 0),
        topology="server",
        filters=["lua"],
    )
    model = fit_profile(profile([*known_profile().cells, filtered]))
    options = Options(samples=0, load=False)
    plain, with_filter = (predict(pair(filters=names), model, options) for names in ((), ("lua",)))
    gained = with_filter.latency["mean"].overhead_ns.value - plain.latency["mean"].overhead_ns.value
    assert gained == pytest.approx(7e3)
    assert any("filter lua: from http1-server" in text for text in with_filter.assumptions)


def test_a_filter_measured_with_another_http_protocol_is_added_and_stated() -> None:
    plain = cell({"ipc": (2e4, 0, 0, 0, 0)}, (0, 0, 0, 0), protocol="grpc", topology="server")
    filtered = cell({"ipc": (1e4, 0, 0, 0, 0), "filter:lua": (7e3, 0, 0, 0, 0)}, (0, 0, 0, 0),
                    topology="server", filters=["lua"])  # fmt: skip
    model = fit_profile(profile([*known_profile().cells, plain, filtered]))
    options = Options(samples=0, load=False)
    without, with_filter = (predict(pair(protocol="grpc", filters=names), model, options) for names in ((), ("lua",)))
    gained = with_filter.latency["mean"].overhead_ns.value - without.latency["mean"].overhead_ns.value
    assert gained == pytest.approx(7e3)
    assert any("measured with http1" in text for text in with_filter.assumptions)


def test_memory_is_one_proxy_per_replica_and_its_connections() -> None:
    one = pair()
    services = (one.services[0], replace(one.services[1], replicas=3))
    found = predict(replace(one, services=services), MODEL)
    assert found.memory_bytes == pytest.approx(4 * 60e6 + 2 * 3 * 1e4)


def test_a_side_measured_as_less_than_nothing_costs_nothing_and_is_told() -> None:
    cells = [cell({"ipc": (-1e4, 0, 0, 0, 0)}, (1024, 1024, 0, 0))]
    found = predict(pair(), fit_profile(profile(cells)))
    assert found.vcpu.value == 0.0
    assert any("less than nothing" in text for text in found.warnings)


@pytest.mark.parametrize("options", [POINT, Options(samples=200)], ids=["point", "spread"])
def test_work_grows_linearly_with_the_calls(options: Options) -> None:
    def work(calls: int) -> int:
        services = tuple(Service(f"s{index}") for index in range(calls + 1))
        edges = tuple(Call(f"c{i}", f"s{(i - 1) // 2}", f"s{i}") for i in range(1, calls + 1))
        graph = CallGraph(services, edges, (Ingress("s0", 1.0),))
        return function_calls(lambda: predict(graph, MODEL, options))

    small, large = work(250), work(1000)
    assert large < 4.2 * small


@pytest.mark.usefixtures("no_own_error")
def test_intervals_of_a_prediction_cover_the_truth() -> None:
    """Cells at several loads, each off by 5 % as a whole and by 8 % per round."""
    random, covered, trials = np.random.default_rng(11), [0, 0], 150
    truth = predict(pair(request_bytes=2500, response_bytes=1500), MODEL, POINT)
    for trial in range(trials):
        cells = []
        for load in LOADS:
            factor = 1 + 0.05 * random.standard_normal()
            rounds = factor * (1 + 0.08 * random.standard_normal(5))
            mean = float(rounds.mean())
            off = {name: tuple(mean * c for c in terms) for name, terms in HTTP.items()}
            cells.append(cell(off, load, list(rounds / mean)))
        drawn = predict(pair(request_bytes=2500, response_bytes=1500), fit_profile(profile(cells), seed=trial), SPREAD)
        for index, (found, true) in enumerate(
            (
                (drawn.latency["mean"].overhead_ns, truth.latency["mean"].overhead_ns.value),
                (drawn.vcpu, truth.vcpu.value),
            )
        ):
            covered[index] += found.low <= true <= found.high
    assert all(0.90 <= count / trials <= 0.99 for count in covered), covered
