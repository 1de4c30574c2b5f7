"""What doctor finds: checks of single things, and what they mean for each feature. Pure: no I/O."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

Status = Literal["ok", "warn", "missing"]

PROFILE: Final = "profile"
LATENCY: Final = "latency decomposition"
CPU_EBPF: Final = "CPU decomposition by eBPF"
CPU_PERF: Final = "CPU decomposition by perf"
PREDICT: Final = "predict"
REPORT: Final = "report"

FEATURES: Final = {
    PROFILE: "send load through a real sidecar and measure what it adds",
    LATENCY: "which component each nanosecond of that latency belongs to",
    CPU_EBPF: "exact CPU time by component",
    CPU_PERF: "the second opinion on CPU time, by sampling",
    PREDICT: "the cost for a call graph, from a profile (to come; needs no privileges)",
    REPORT: "show a profile and write its HTML report",
}
"""Every feature that a check can affect, and what it does."""

EBPF: Final = (PROFILE, LATENCY, CPU_EBPF)
"""What needs kernel probes: `profile` too, since it explains every cost it measures."""
MEASURING: Final = (*EBPF, CPU_PERF)
"""What needs a sidecar under load."""


@dataclass(frozen=True)
class Check:
    """One thing this machine has or lacks.

    `missing` stops the features in `affects`; `warn` leaves them working with less; `ok` stops nothing. `remedy` says
    what to do about it, where something can be done.
    """

    name: str
    status: Status
    detail: str
    affects: tuple[str, ...] = ()
    remedy: str | None = None
    area: str = ""

    def of_area(self, area: str) -> "Check":
        return replace(self, area=area)


@dataclass(frozen=True)
class Feature:
    """Whether a feature works on this machine; `lacks` names the checks that stop it, `limits` those that weaken it."""

    name: str
    does: str
    works: bool
    lacks: tuple[str, ...]
    limits: tuple[str, ...]


@dataclass(frozen=True)
class Diagnosis:
    """Everything doctor found."""

    checks: tuple[Check, ...]

    @property
    def features(self) -> tuple[Feature, ...]:
        """What the checks mean for each feature."""
        return tuple(self._feature(name) for name in FEATURES)

    def as_json(self) -> dict[str, Any]:
        return {
            "checks": [asdict(check) for check in self.checks],
            "features": [asdict(feature) for feature in self.features],
        }

    def _feature(self, name: str) -> Feature:
        lacks = _names(self.checks, name, "missing")
        return Feature(name, FEATURES[name], not lacks, lacks, _names(self.checks, name, "warn"))


def _names(checks: Iterable[Check], feature: str, status: Status) -> tuple[str, ...]:
    return tuple(check.name for check in checks if check.status == status and feature in check.affects)
