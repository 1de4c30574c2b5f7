"""Cells of a profile from windows whose figures are known."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from profiler.attribution.critical_path import Exchange, Exchanges
from profiler.attribution.latency import tabulate
from profiler.evaluation.cells import Assembly
from profiler.evaluation.readings import Readings, request_of
from profiler.evaluation.windows import CpuWindow, LatencyWindow
from profiler.host.accounting import Noise
from profiler.planning.cells import make_plan
from profiler.planning.settings import ProfileSettings
from profiler.probes.cputime import CpuTimes
from profiler.probes.perf_sampling import CPU_CLOCK, SampledTimes
from profiler.profile.types import Cell, Cpu, Latency
from profiler.symbols.histogram import SampledFunction, UserFunctions
from profiler.symbols.tables import Function
from profiler.vocabulary.components import CLIENT_APP, CLIENT_SIDECAR, IPC, OTHER, REDIRECT, REQUEST, WAYPOINT_PROXY
from profiler.vocabulary.cpu_states import SOFTIRQ_NET_RX, USER
from profiler.vocabulary.hop import NONE

QUIET = Noise(0.0, 0.0)
SAMPLES = 1000
REQUESTS = 100


def latency_window(at_s: float, median_ns: int, sidecar_ns: int) -> LatencyWindow:
    times = np.full(400, median_ns, dtype=np.int64)
    spent = {(CLIENT_APP, REQUEST, OTHER): 5000} | ({(CLIENT_SIDECAR, REQUEST, IPC): sidecar_ns} if sidecar_ns else {})
    table = tabulate(Exchanges([Exchange(0, 1, spent, dict.fromkeys(spent, 1))] * 400, lost=0))
    return LatencyWindow(at_s, times, times, times, times, 1000.0, 1000.0, 0, table, True, QUIET)


def cpu_window(spent_ns: int) -> CpuWindow:
    total_ns = spent_ns * REQUESTS
    key, netfilter = (CLIENT_SIDECAR, SOFTIRQ_NET_RX), (CLIENT_SIDECAR, REDIRECT)
    times = CpuTimes({key: total_ns}, {}, 10 * total_ns)
    weights = {(CLIENT_SIDECAR, IPC): 0.8 * total_ns, netfilter: 0.2 * total_ns}
    samples = SampledTimes(CPU_CLOCK, weights, {(CLIENT_SIDECAR, IPC): float(total_ns)}, SAMPLES, 0)
    return CpuWindow(REQUESTS, 1000.0, total_ns, times, REQUESTS, total_ns, REQUESTS, samples, 1.0, 1.0, QUIET)


@pytest.fixture
def cell() -> Cell:
    """A TCP hop with a sidecar on the client's side, in four rounds of latency and two of CPU."""
    return tcp_cell()


def tcp_cell(delays_ns: tuple[int, ...] = (0, 0, 0, 0)) -> Cell:
    """That cell; the rounds with the sidecar take so much longer, in the sidecar itself."""
    plan = make_plan(ProfileSettings(protocols=("tcp",), topologies=("client",), temperatures=("hot",)))
    readings = Readings()
    for hop in plan.hops:
        added = 0 if hop.topology == NONE else 1
        for scene in plan.scenes:
            for number in range(4):
                delay_ns = added * delays_ns[number]
                window = latency_window(
                    number, 50_000 + added * (20_000 + 1000 * number) + delay_ns, added * 20_000 + delay_ns
                )
                readings.latency[hop, scene].append(window)
            readings.cpu[hop, scene] += [cpu_window(30_000 + added * (9000 + 2000 * number)) for number in range(2)]
            readings.cpu_rates_rps[scene] = None
    found: list[Cell] = Assembly(plan, readings, 0.0).cells()
    return next(entry for entry in found if entry.topology == "client")


def parts(cell: Cell) -> tuple[Latency, Cpu]:
    assert cell.latency is not None
    assert cell.cpu is not None
    return cell.latency, cell.cpu


def test_the_overhead_of_each_round_is_kept_in_both_currencies(cell: Cell) -> None:
    latency, cpu = parts(cell)
    assert latency.overhead_rounds_ns == pytest.approx([20_000, 21_000, 22_000, 23_000])
    assert latency.overhead_p99_rounds_ns == pytest.approx([20_000, 21_000, 22_000, 23_000])
    assert cpu.overhead_rounds_ns == pytest.approx([9000, 11_000])
    assert cpu.overhead_ns == pytest.approx(10_000)


def test_a_round_that_other_processes_delayed_moves_no_figure() -> None:
    delayed, _ = parts(tcp_cell((0, 0, 0, 64_000_000)))
    quiet, _ = parts(tcp_cell())
    assert delayed.overhead_p50_ns == quiet.overhead_p50_ns
    assert delayed.with_sidecars.p99_ns == quiet.with_sidecars.p99_ns
    assert delayed.components[IPC].median_ns == quiet.components[IPC].median_ns
    assert delayed.closure_residual == quiet.closure_residual
    assert delayed.overhead_rounds_ns[3] > 64e6


def test_intervals_lie_about_their_figures(cell: Cell) -> None:
    latency, cpu = parts(cell)
    figures: list[tuple[float, Any]] = [
        (latency.overhead_p50_ns, latency.overhead_ci95_ns),
        (latency.overhead_p99_ns, latency.overhead_p99_ci95_ns),
        (cpu.overhead_ns, cpu.overhead_ci95_ns),
        *((part.median_ns, part.ci95_ns) for part in latency.components.values()),
        *((part.cpu_ns_per_request, part.ci95_ns) for part in cpu.components.values()),
    ]
    for value, interval in figures:
        assert sum(interval) / 2 == pytest.approx(value, abs=1e-6)
    assert latency.overhead_ci95_ns is not None
    assert latency.overhead_ci95_ns[0] < 20_000


def test_the_share_of_netfilter_is_as_uncertain_as_its_samples(cell: Cell) -> None:
    latency, cpu = parts(cell)
    share_error = (0.2 * 0.8 / (2 * SAMPLES)) ** 0.5
    assert cpu.components[REDIRECT].error_ns == pytest.approx(40_000 * share_error, rel=0.01)
    assert latency.components[REDIRECT].error_ns == pytest.approx(20_000 * share_error, rel=0.01)


def test_tls_of_a_waypoint_is_a_step_of_the_ladder_since_it_replaces_functions() -> None:
    plan = make_plan(ProfileSettings(protocols=("http1",), topologies=("waypoint",), temperatures=("hot",)))
    user_ns = {"tcp-waypoint": 10_000, "http1-waypoint": 30_000, "http1-waypoint-mtls": 33_000}
    readings = Readings()
    for hop, scene in ((hop, scene) for hop in plan.hops for scene in plan.scenes):
        added = user_ns.get(hop.name, 0)
        readings.latency[hop, scene] += [latency_window(at, 50_000 + added, 0) for at in range(2)]
        busy_ns = 30_000 + added
        times = CpuTimes({(CLIENT_APP, USER): 30_000 * REQUESTS, (WAYPOINT_PROXY, USER): added * REQUESTS}, {}, 10**9)
        window = replace(cpu_window(busy_ns), times=times, samples=None)
        readings.cpu[hop, scene] += [window, window]
        readings.cpu_rates_rps[scene] = None
        used = Function("/envoy", 1 if hop.tls == "mtls" else 2, None)  # what moves bytes, with TLS or without
        weights = [SampledFunction(WAYPOINT_PROXY, None, used, 1e6)]
        readings.functions[hop, request_of(scene.load)] = UserFunctions(weights, 1000, "envoy", "1.40.0")
    (found,) = (cell for cell in Assembly(plan, readings, 0.0).cells() if cell.tls == "mtls")
    components = parts(found)[1].components
    costs = {name: components[name].cpu_ns_per_request for name in ("proxy_core", "parsing", "tls")}
    assert costs == pytest.approx({"proxy_core": 10_000, "parsing": 20_000, "tls": 3_000})
    assert components["tls"].source == "tracepoints, ladder"
