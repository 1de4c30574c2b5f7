"""What doctor finds: checks of single things, and what they mean for each feature. Pure: no I/O."""

from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

Status = Literal["ok", "warn", "missing"]

PROFILE: Final = "profile"
ATTACH: Final = "attach"
CLUSTER: Final = "cluster"
PREDICT: Final = "predict"
ADVISE: Final = "advise"
VALIDATE: Final = "validate"
REPORT: Final = "report"

FEATURES: Final = {
    ATTACH: "show what a sidecar that runs on this machine spends CPU time on",
    PROFILE: "measure what sidecars cost, on this machine",
    CLUSTER: "measure on a Kubernetes cluster: profile --cluster, attach --pod",
    PREDICT: "predict what sidecars add to a call graph, from a profile",
    ADVISE: "find the changes that meet latency and CPU limits",
    VALIDATE: "deploy a call graph here and compare it with its prediction",
    REPORT: "show a profile and write its HTML report",
}
"""Every feature that a check can affect, and what it does."""

READING: Final = (PREDICT, ADVISE, REPORT)
"""What works from a stored profile."""
EBPF: Final = (PROFILE,)
"""What does not work without kernel probes. `attach` reports less without them."""
LOAD: Final = (PROFILE, VALIDATE)
"""What sends load through sidecars."""
ROOT: Final = (*LOAD, ATTACH)
"""What needs privileges on this machine."""


@dataclass(frozen=True)
class Check:
    """One thing this machine has or lacks.

    `missing` stops the features in `affects`, and those in `weakens` work with less; `warn` leaves all of them working
    with less; `ok` stops nothing. `remedy` says what to do about it, where something can be done.
    """

    name: str
    status: Status
    detail: str
    affects: tuple[str, ...] = ()
    remedy: str | None = None
    area: str = ""
    weakens: tuple[str, ...] = ()

    def concerns(self, feature: str) -> bool:
        """Whether it is a gap that stops or weakens a feature."""
        return self.status != "ok" and feature in (*self.affects, *self.weakens)

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
    """Everything doctor found, or what concerns the features `wanted`."""

    checks: tuple[Check, ...]
    wanted: tuple[str, ...] = tuple(FEATURES)

    def of_feature(self, name: str) -> "Diagnosis":
        """What concerns one feature; checks that found nothing wrong are left out."""
        return Diagnosis(tuple(check for check in self.checks if check.concerns(name)), (name,))

    @property
    def summary(self) -> str:
        """One line: what works on this machine, and what does not."""
        works = [feature.name for feature in self.features if feature.works]
        fails = [feature.name for feature in self.features if not feature.works]
        if not fails:
            return f"All of this works on this machine: {', '.join(works)}."
        if not works:
            return f"Does not work on this machine: {', '.join(fails)}."
        return f"Works on this machine: {', '.join(works)}. Does not work: {', '.join(fails)}."

    @property
    def features(self) -> tuple[Feature, ...]:
        """What the checks mean for each feature."""
        return tuple(self._feature(name) for name in self.wanted)

    def as_json(self) -> dict[str, Any]:
        return {
            "summary": self.summary,
            "checks": [asdict(check) for check in self.checks],
            "features": [asdict(feature) for feature in self.features],
        }

    def _feature(self, name: str) -> Feature:
        gaps = [check for check in self.checks if check.concerns(name)]
        lacks = [check.name for check in gaps if check.status == "missing" and name in check.affects]
        limits = [check.name for check in gaps if check.name not in lacks]
        return Feature(name, FEATURES[name], not lacks, tuple(lacks), tuple(limits))
