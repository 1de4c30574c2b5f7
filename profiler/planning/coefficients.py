"""What the measured cells say about the costs of a configuration: base, per byte, per header, per connection. Pure.

Weighted least squares over a configuration's cells, for the total overhead in each currency. A cell's variance is that
of its rounds plus that of the machine, which the anchor cell tells: so the interval holds for another run too.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

FEATURES: Final = (
    "base",
    "per_request_kib",
    "per_response_kib",
    "per_header",
    "per_further_message",
    "new_connection",
    "per_request_kib_beyond_64",
    "per_response_kib_beyond_64",
)
"""The terms of the model; one that the cells of a configuration do not determine is left out.

Messages beyond 64 KiB meet buffers and windows: their last two terms are by how much a further KiB costs more then.
"""

_MAIN: Final = (0, 1, 2, 3, 4, 5)
_BENDS: Final = (6, 7)
_BEND_KIB: Final = 64.0
CURRENCIES: Final = ("latency", "cpu")
_Z95: Final = 1.96
_LEAST_RELATIVE_ERROR: Final = 0.01
"""No cell is known better than to 1 %, whatever its rounds say."""


@dataclass(frozen=True)
class Coefficient:
    """One term of one configuration: ns (latency) or CPU ns per request, with a 95 % interval.

    `low` and `high` are None where the cells determine the term but leave no way to tell its error.
    """

    configuration: str
    temperature: str
    currency: str
    term: str
    value: float
    low: float
    high: float
    cells: int


def features(cell: Mapping[str, Any]) -> Floats:
    """The row of a cell in the model, in the order of FEATURES."""
    request_kib = cell["request_bytes"] / 1024
    response_kib = cell["response_bytes"] * cell["messages"] / 1024
    return np.array(
        [
            1.0,
            request_kib,
            response_kib,
            cell["headers"],
            cell["messages"] - 1,
            float(cell["new_connections"]),
            max(0.0, request_kib - _BEND_KIB),
            max(0.0, response_kib - _BEND_KIB),
        ]
    )


def configuration_of(cell: Mapping[str, Any]) -> str:
    """What has coefficients of its own: everything but load and temperature."""
    parts = [cell["protocol"], cell["topology"], cell["proxy"], cell["tls"], "+".join(cell["filters"])]
    parts += [cell["transport"], f"w{cell['workers']}", cell["application"]]
    usual = {"envoy", "none", "ip", "w1", "", "http1" if cell["protocol"] == "tcp" else cell["protocol"]}
    return "-".join(parts[:2] + [part for part in parts[2:] if part not in usual])


def fit(cells: Iterable[Mapping[str, Any]], machine_error: float = 0.0) -> list[Coefficient]:
    """Coefficients of every configuration, temperature and currency that its cells determine.

    Args:
        cells: cells of a profile; only those with one request in flight in a closed loop are used.
        machine_error: standard deviation of the machine's speed between runs, as a fraction.
    """
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for cell in cells:
        if cell["connections"] == 1 and cell["rate_rps"] is None and cell["topology"] != "none":
            groups.setdefault((configuration_of(cell), cell["temperature"]), []).append(cell)
    return [
        coefficient
        for (configuration, temperature), group in groups.items()
        for currency in CURRENCIES
        for coefficient in _fit_group(configuration, temperature, currency, group, machine_error)
    ]


def _fit_group(
    configuration: str, temperature: str, currency: str, group: Sequence[Mapping[str, Any]], machine_error: float
) -> list[Coefficient]:
    known = [(features(cell), *reading) for cell in group if (reading := overhead(cell, currency)) is not None]
    if not known:
        return []
    rows = np.array([row for row, _, _ in known])
    values, errors = (np.array([entry[column] for entry in known]) for column in (1, 2))
    errors = np.hypot(errors, np.abs(values) * max(machine_error, _LEAST_RELATIVE_ERROR))
    terms = determined(rows)
    used = rows[:, terms]
    weights = 1 / errors**2
    information = used.T @ (used * weights[:, None])
    covariance = np.linalg.inv(information)
    solution = covariance @ (used.T @ (weights * values))
    spare = len(values) - len(terms)
    excess = float(np.sum(weights * (values - used @ solution) ** 2)) / spare if spare else 1.0
    deviations = np.sqrt(np.diag(covariance) * max(1.0, excess))
    return [
        Coefficient(
            configuration,
            temperature,
            currency,
            FEATURES[term],
            float(value),
            float(value - _Z95 * deviation),
            float(value + _Z95 * deviation),
            len(values),
        )
        for term, value, deviation in zip(terms, solution, deviations, strict=True)
    ]


def determined(rows: Floats) -> list[int]:
    """The terms that the rows tell apart: the base, each that no combination of others could stand for, then bends."""
    varying = [0, *(column for column in _MAIN[1:] if np.ptp(rows[:, column]) > 0)]
    whole = _rank(rows, varying)
    others = ([column for column in varying if column != term] for term in varying[1:])
    terms = [0, *(term for term, rest in zip(varying[1:], others, strict=True) if _rank(rows, rest) < whole)]
    for bend in _BENDS:
        if _rank(rows, [*terms, bend]) > len(terms):
            terms.append(bend)
    return terms


def _rank(rows: Floats, columns: Sequence[int]) -> int:
    return int(np.linalg.matrix_rank(rows[:, columns]))


def overhead(cell: Mapping[str, Any], currency: str) -> tuple[float, float] | None:
    """Overhead of a cell and its standard error in ns, at the run's median speed; None where it was not measured."""
    part = cell[currency]
    if part is None:
        return None
    factor = anchor_factor(cell)
    if currency == "latency":
        low, high = part["overhead_ci95_ns"]
        return factor * float(part["overhead_p50_ns"]), factor * float(high - low) / (2 * _Z95)
    value = float(part["with_cpu_ns_per_request"] - part["baseline_cpu_ns_per_request"])
    rounds = [component["rounds_ns"] for component in part["components"].values() if component.get("rounds_ns")]
    totals = np.sum(np.array(rounds), axis=0) if rounds else np.array([value])
    error = float(np.std(totals, ddof=1) / np.sqrt(len(totals))) if len(totals) > 1 else abs(value)
    return factor * value, factor * error


def anchor_factor(cell: Mapping[str, Any]) -> float:
    """What takes a cell to the run's median speed, as the anchor cell beside it tells; 1 where that is not known.

    A shared machine's speed moves by tens of percent within a run. Without this, what changed between two blocks would
    pass for the cost of what was configured.
    """
    components = (cell["latency"] or {}).get("components", {}).values()
    anchored = [part for part in components if part.get("anchored_median_ns") and part["median_ns"]]
    largest = max(anchored, key=lambda part: abs(part["median_ns"]), default=None)
    return float(largest["anchored_median_ns"] / largest["median_ns"]) if largest else 1.0


def machine_error(anchor: Mapping[str, Any] | None) -> float:
    """Standard deviation of the machine's speed over the run, as a fraction, from the anchor cell's drift.

    The drift is the distance from the 10th to the 90th percentile, which of a normal distribution is 2.56 deviations.
    """
    return float(anchor["drift_ratio"] or 0.0) / 2.56 if anchor else 0.0
