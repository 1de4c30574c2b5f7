"""What one cell says: components in ns with their rounds, and where a component was spent. Pure.

A profile of an earlier version lacks dimensions; they have the value that was then the only one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from predictor.models.types import UNEXPLAINED, Floats
from profiler.planning.coefficients import anchor_factor
from profiler.vocabulary.components import CLIENT_APP, CLIENT_SIDECAR, REQUEST, SERVER_APP, SERVER_SIDECAR

_Z95: Final = 1.96
_DEFAULTS: Final[Mapping[str, Any]] = {
    "proxy": "envoy",
    "tls": "none",
    "filters": (),
    "transport": "ip",
    "extra_headers": (),
    "workers": 1,
    "headers": 0,
    "messages": 1,
    "new_connections": False,
}


def dimension(cell: Mapping[str, Any], name: str) -> Any:
    """The value of a dimension of a cell, the usual one where the profile does not say."""
    value = cell.get(name)
    if name == "application" and value is None:
        return "http1" if cell["protocol"] == "tcp" else cell["protocol"]
    value = _DEFAULTS.get(name) if value is None else value
    return tuple(value) if isinstance(value, list) else value


def feature_row(cell: Mapping[str, Any]) -> list[float]:
    """The features of a cell in the order of `types.FEATURES`."""
    messages = float(dimension(cell, "messages"))
    return [
        float(cell["request_bytes"]),
        cell["response_bytes"] * messages,
        float(dimension(cell, "headers")),
        messages - 1.0,
        float(dimension(cell, "new_connections")),
    ]


def usable(cell: Mapping[str, Any]) -> bool:
    """Whether a cell tells about costs alone: one request in flight, closed loop, sidecars there, no error."""
    alone = cell["connections"] == 1 and cell["rate_rps"] is None and cell["topology"] != "none"
    return bool(alone and not cell["errors"])


@dataclass(frozen=True, slots=True)
class Reading:
    """One cell in one currency: `values` by component in ns, `rounds` the same for each round (empty: not kept).

    `errors` are standard errors by component from the profile's intervals, for profiles that did not keep the rounds.
    """

    features: tuple[float, ...]
    values: Mapping[str, float]
    rounds: Mapping[str, Sequence[float]]
    errors: Mapping[str, float]

    @property
    def total(self) -> float:
        """The measured overhead in ns."""
        return sum(self.values.values())

    def error(self) -> float:
        """Standard error of the total over the rounds, 0 where it is not known."""
        if not self.rounds:
            return float(np.sqrt(sum(error**2 for error in self.errors.values())))
        totals = np.sum([list(rounds) for rounds in self.rounds.values()], axis=0)
        return float(np.std(totals, ddof=1) / np.sqrt(len(totals))) if len(totals) > 1 else 0.0


def reading(cell: Mapping[str, Any], currency: str, follows: float = 0.0) -> Reading | None:
    """The reading of a cell, None where it was not measured. Components add up to the measured overhead.

    `follows` is how much of the machine's drift, which the anchor cell tells, the cell goes along with: 0 takes it as
    measured, 1 takes all of it off.
    """
    part = cell[currency]
    if part is None:
        return None
    found = _as_measured(cell, part, currency)
    factor = anchor_factor(cell) ** follows
    return replace(
        found,
        values={name: value * factor for name, value in found.values.items()},
        rounds={name: [value * factor for value in entries] for name, entries in found.rounds.items()},
        errors={name: error * factor for name, error in found.errors.items()},
    )


def _as_measured(cell: Mapping[str, Any], part: Mapping[str, Any], currency: str) -> Reading:
    key = "median_ns" if currency == "latency" else "cpu_ns_per_request"
    values = {name: float(component[key]) for name, component in part["components"].items()}
    if currency == "latency":
        total = float(part["overhead_p50_ns"])
    else:
        total = float(part["with_cpu_ns_per_request"] - part["baseline_cpu_ns_per_request"])
    values[UNEXPLAINED] = total - sum(values.values())
    rounds = {
        name: component["rounds_ns"] for name, component in part["components"].items() if "rounds_ns" in component
    }
    lengths = {len(entries) for entries in rounds.values()}
    kept = rounds if len(lengths) == 1 and min(lengths) > 1 else {}
    spans = {name: span for name, component in part["components"].items() if (span := component.get("ci95_ns"))}
    errors = {name: abs(span[1] - span[0]) / (2 * _Z95) for name, span in spans.items()}
    return Reading(tuple(feature_row(cell)), values, kept, errors)


def mean_ratio(cells: Iterable[Mapping[str, Any]]) -> float:
    """Mean overhead over median overhead of the exchanges, all cells together, at least 1."""
    parts = [cell["latency"] for cell in cells if cell["latency"] is not None]
    ratios = []
    for part in parts:
        mean = sum(component["mean_ns"] for component in part["components"].values())
        median = sum(component["median_ns"] for component in part["components"].values())
        if median > 0:
            ratios.append(mean / median)
    return max(1.0, float(np.median(ratios))) if ratios else 1.0


def shares(cells: Iterable[Mapping[str, Any]], chosen: str) -> dict[str, float]:
    """By component, the share on the client's side (`client`) or on the request's way (`request`), 0 to 1.

    Of a component that is negative somewhere, which then has no shares, half; so too of one that no place has.
    """
    sums: dict[str, Floats] = {}
    for cell in cells:
        for place in (cell["latency"] or {}).get("by_place", ()):
            if chosen == "client":
                sides = ((CLIENT_APP, CLIENT_SIDECAR), (SERVER_APP, SERVER_SIDECAR))
                inside = [place["place"] in side for side in sides]
            else:
                inside = [place["direction"] == REQUEST, place["direction"] != REQUEST]
            for name, value in place["components"].items():
                sums.setdefault(name, np.zeros(2))[:] += value * np.array(inside)
    return {name: _share(*pair) for name, pair in sums.items()}


def _share(first: float, second: float) -> float:
    if min(first, second) < 0.0 or first + second <= 0.0:
        return 0.5
    return float(first / (first + second))


def memory(cells: Iterable[Mapping[str, Any]]) -> tuple[float | None, float | None]:
    """Resident bytes of one proxy before load, and bytes that a connection adds to it; None where not measured."""
    found = [(cell["memory"], 2 if cell["topology"] == "both" else 1) for cell in cells if cell.get("memory")]
    if not found:
        return None, None
    rss = float(np.median([entry["rss_bytes"] / proxies for entry, proxies in found]))
    return rss, float(np.median([entry["per_connection_bytes"] / proxies for entry, proxies in found]))
