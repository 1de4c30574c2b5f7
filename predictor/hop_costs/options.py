"""How to predict, and what if components were faster. Pure values."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """How to predict. `proxy` None: Envoy if it was measured. `samples` 0: no percentiles.

    `cpu_model` is that of the nodes, where known: another one than the profile's widens the interval. `load` adds
    waiting at the sidecars' workers. Without `intervals` each is its figure alone, which is faster. `crossing_share` is
    the share of hand-overs that go to another CPU, 0 to 1; None: as profiled.
    """

    proxy: str | None = None
    transport: str = "ip"
    samples: int = 10_000
    seed: int = 1
    cpu_model: str | None = None
    load: bool = True
    intervals: bool = True
    speedup: Mapping[str, "Factors"] | None = None
    crossing_share: float | None = None


@dataclass(frozen=True, slots=True)
class Factors:
    """What-if factors of a component: CPU at base and per unit (`C`, `c`), latency at base and per unit (`L`, `l`).

    A factor of 0.5 means that it takes half; 1 changes nothing.
    """

    cpu_base: float = 1.0
    cpu_slope: float = 1.0
    latency_base: float = 1.0
    latency_slope: float = 1.0
