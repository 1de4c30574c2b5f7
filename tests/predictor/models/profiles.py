"""Profiles with known coefficients: what a perfect measurement of them would have been."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from profiler.profile.document import plain, profile_of
from profiler.profile.types import (
    Anchor,
    Calibration,
    Cell,
    CoolingPoint,
    Cpu,
    CpuComponent,
    Latency,
    LatencyComponent,
    Memory,
    Noise,
    Percentiles,
    Perturbation,
    Place,
    Profile,
    RunNoise,
)

Coefficients = Mapping[str, tuple[float, ...]]
"""By component: ns at base, per request byte, per response byte, per header, per new connection."""

LOADS = ((0, 0, 0, 0), (1000, 0, 0, 0), (0, 1000, 0, 0), (3000, 2000, 10, 0), (500, 700, 0, 1), (9000, 8000, 4, 0))
"""Request bytes, response bytes, headers, new connections."""

HTTP: Coefficients = {"ipc": (20e3, 1.0, 2.0, 0.0, 0.0), "parsing": (50e3, 0.5, 0.25, 300.0, 9e3)}
TCP: Coefficients = {"ipc": (10e3, 1.0, 1.0, 0.0, 0.0), "proxy_core": (5e3, 0.25, 0.5, 10.0, 8e3)}


def value(coefficients: Coefficients, load: tuple[float, ...], name: str) -> float:
    base, *slopes = coefficients[name]
    return base + sum(slope * amount for slope, amount in zip(slopes, load, strict=True))


def cell(coefficients: Coefficients, load: tuple[float, ...], rounds: Sequence[float] = (), **dimensions: Any) -> Cell:
    """A cell whose latency is `coefficients`, its CPU twice that; `rounds` are factors, one per round."""
    found = {name: value(coefficients, load, name) for name in coefficients}
    client = dimensions.pop("client_share", 0.5)
    ratio = dimensions.pop("mean_ratio", 1.0)
    request, response, headers, new = load
    known: dict[str, Any] = {
        "id": "x", "protocol": "http1", "topology": "both", "temperature": "hot", "request_bytes": request,
        "response_bytes": response, "headers": headers, "new_connections": bool(new), "connections": 1,
        "rate_rps": None, "achieved_rps": 1000.0, "baseline_achieved_rps": 2000.0, "loop": "closed",
        "rounds": max(1, len(rounds)), "errors": [], "warnings": [],
        "latency": _latency(found, rounds, client, ratio), "cpu": _cpu(found, rounds),
        "memory": Memory(rss_bytes=120e6, per_connection_bytes=2e4),
        "perturbation": Perturbation(latency_ratio=1.0, throughput_ratio=1.0, proxy_cpu_ratio=1.0),
        "noise": Noise(steal_ratio=0.0, psi_cpu_some_ratio=0.0),
    }  # fmt: skip
    return Cell(**{**known, **dimensions})


def _latency(found: Mapping[str, float], rounds: Sequence[float], client: float, ratio: float) -> Latency:
    """Latency with an overhead of the sum of `found`, of which `client` is on the client's side."""
    total, sides = sum(found.values()), (("client_sidecar", client), ("server_sidecar", 1 - client))
    baseline_ns = 100e3
    return Latency(
        baseline_p50_ns=baseline_ns,
        with_p50_ns=baseline_ns + total,
        overhead_p50_ns=total,
        overhead_ci95_ns=None,
        baseline=_percentiles(baseline_ns),
        with_sidecars=_percentiles(baseline_ns + total),
        components={
            name: LatencyComponent(
                median_ns=ns, mean_ns=ratio * ns, p99_ns=None, ci95_ns=None, samples=1000, dropped=0, lost=0,
                rounds_ns=[float(ns * factor) for factor in rounds], source="imagined",
            )
            for name, ns in found.items()
        },
        by_place=[
            Place(place=place, direction="request", components={name: ns * share for name, ns in found.items()})
            for place, share in sides
        ],
        closure_residual=0.0,
    )  # fmt: skip


def _percentiles(ns: float) -> Percentiles:
    return Percentiles(p50_ns=ns, p90_ns=ns, p99_ns=ns, mean_ns=ns, count=1000)


def _cpu(found: Mapping[str, float], rounds: Sequence[float]) -> Cpu:
    """CPU of twice `found`. Nothing is used without sidecars, or with them where they add less than nothing."""
    total = 2 * sum(found.values())
    components = {
        name: CpuComponent(
            cpu_ns_per_request=2 * ns, vcpu_per_1000_rps=2e-6 * ns, share=None, ci95_ns=None,
            rounds_ns=[float(2 * ns * factor) for factor in rounds], source="imagined",
        )
        for name, ns in found.items()
    }  # fmt: skip
    return Cpu(
        rate_rps=1000.0,
        baseline_cpu_ns_per_request=max(0.0, -total),
        with_cpu_ns_per_request=max(0.0, total),
        components=components,
        perf_components={},
        disagreement_points={},
        perf_unresolved_share=None,
        perf_samples=None,
        closure_residual=0.0,
    )


def latency_of(one: Cell) -> Latency:
    """The latency of a cell that has some."""
    assert one.latency is not None
    return one.latency


def scaled(one: Cell, latency: float = 1.0, cpu: float = 1.0) -> Cell:
    """The cell at `latency` times its latency overhead and `cpu` times its CPU overhead, rounds and all."""
    before, used = latency_of(one), one.cpu
    assert used is not None
    after = replace(
        before,
        with_p50_ns=before.baseline_p50_ns + latency * before.overhead_p50_ns,
        overhead_p50_ns=latency * before.overhead_p50_ns,
        components={
            name: replace(
                part,
                median_ns=latency * part.median_ns,
                mean_ns=latency * part.mean_ns,
                rounds_ns=[latency * ns for ns in part.rounds_ns],
            )
            for name, part in before.components.items()
        },
        by_place=[
            replace(place, components={name: latency * ns for name, ns in place.components.items()})
            for place in before.by_place
        ],
    )
    costs = replace(
        used,
        with_cpu_ns_per_request=used.baseline_cpu_ns_per_request + cpu * used.overhead_ns,
        components={
            name: replace(
                part,
                cpu_ns_per_request=cpu * part.cpu_ns_per_request,
                vcpu_per_1000_rps=cpu * part.vcpu_per_1000_rps,
                rounds_ns=[cpu * ns for ns in part.rounds_ns],
            )
            for name, part in used.components.items()
        },
    )
    return replace(one, latency=after, cpu=costs)


def anchor(drift: float = 0.0, cooling: Sequence[CoolingPoint] = ()) -> Anchor:
    """An anchor of no rounds: what drifted, and how it cools."""
    return Anchor(
        protocol="http1", topology="both", temperature="hot", rounds=[], median_with_p50_ns=None, drift_ratio=drift,
        cooling=list(cooling),
    )  # fmt: skip


def profile(cells: Sequence[Cell], drift: float = 0.0) -> Profile:
    """A profile of the cells, as it would come from its file. Raises `ProfileError`: a cell is not a valid one."""
    found = Profile(
        status="complete",
        run_id="synthetic",
        created="2026-01-01T00:00:00Z",
        meshinsight_version="0",
        command=["meshinsight", "profile"],
        settings={},
        environment={"cpu_model": "imagined", "kernel": "6"},
        proxies={},
        workload={},
        calibration=Calibration(),
        noise=RunNoise(steal_ratio=0.0, psi_cpu_some_ratio=0.0, noisy=False),
        anchor=anchor(drift),
        probes=[],
        cells=list(cells),
        warnings=[],
        files={},
    )
    return profile_of(plain(found), "a synthetic profile")


def with_anchor(found: Profile, known: Anchor) -> Profile:
    """The profile with that anchor."""
    return replace(found, anchor=known)


def known_profile(**dimensions: Any) -> Profile:
    """HTTP and TCP hops with both sidecars, at all loads."""
    http = [cell(HTTP, load, **dimensions) for load in LOADS]
    return profile([*http, *(cell(TCP, load, protocol="tcp", **dimensions) for load in LOADS)])
