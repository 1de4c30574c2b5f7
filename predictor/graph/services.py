"""Reads the services of a call graph file: sidecars and service times in their several forms."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from predictor.graph.fields import Fields
from predictor.graph.names import is_printable
from predictor.graph.service_time import DISTRIBUTIONS, ServiceTime
from predictor.graph.types import CLIENT_MODES, INGRESS, ONE_MILLISECOND, SIDECAR_MODES, Service, Sidecar

SERVICE_FIELDS: Final = (
    "name", "workload", "replicas", "replicas_per_node", "sidecar", "service_time", "cold_weight",
)  # fmt: skip

_LEAST_PERCENT: Final = 1e-9

Defaulted = dict[tuple[str, str], list[str]]
"""What was left out, by kind (`services`) and field: whose it is (names or edge ids)."""


def read_service(fields: Fields, missing: Defaulted) -> Service:
    """The service in `fields`; what it leaves out is added to `missing`. Raises `UsageError`."""
    fields.only(SERVICE_FIELDS)
    name = fields.text("name")
    if name == INGRESS or "->" in name:
        raise fields.refuse(
            f"{name!r} is not a name for a service ({INGRESS!r} is the world outside); rename it", "name"
        )
    refuse_unprintable(fields, "name", name)
    refuse_unprintable(fields, "workload", fields.text("workload", ""))
    service = Service(
        name=name,
        workload=fields.text("workload", ""),
        replicas=fields.whole("replicas", 1),
        sidecar=_sidecar(fields, name, missing),
        service_time=_service_time(fields, name, missing),
        replicas_per_node=fields.optional("replicas_per_node", least=1e-9),
        cold_weight=fields.optional("cold_weight", most=1.0),
    )
    _note(missing, name, fields.defaulted)
    return service


def _note(missing: Defaulted, name: str, keys: Sequence[str], prefix: str = "") -> None:
    for key in keys:
        missing.setdefault(("services", prefix + key), []).append(name)


def refuse_unprintable(fields: Fields, key: str, name: str) -> None:
    """Raise `UsageError` for a name with control characters, line breaks or the like."""
    if not is_printable(name):
        raise fields.refuse(f"{name!r} has characters that cannot be printed; rename it", key)


def _sidecar(fields: Fields, name: str, missing: Defaulted) -> Sidecar:
    given = fields.raw("sidecar", None)
    if given is None:
        return Sidecar()
    if isinstance(given, str):
        mode = fields.choice("sidecar", SIDECAR_MODES, "http")
        return Sidecar("none" if mode == "waypoint" else mode, mode)
    sides = fields.below("sidecar")
    sides.only(("client", "server"))
    sidecar = Sidecar(sides.choice("client", CLIENT_MODES, "http"), sides.choice("server", SIDECAR_MODES, "http"))
    _note(missing, name, sides.defaulted, "sidecar.")
    return sidecar


def _service_time(fields: Fields, name: str, missing: Defaulted) -> ServiceTime:
    given = fields.raw("service_time", None)
    if given is None:
        return ONE_MILLISECOND
    if not isinstance(given, dict):
        mean_ns = fields.duration_ns("service_time")
        _note(missing, name, ["distribution"], "service_time.")
        return ServiceTime.constant(mean_ns)
    inner = fields.below("service_time")
    if any(key.startswith("p") for key in inner.values) or not inner.has("mean"):
        return _percentiles(inner)
    inner.only(("mean", "distribution", "cv"))
    mean_ns = inner.duration_ns("mean")
    kind = inner.choice("distribution", DISTRIBUTIONS, "constant")
    _note(missing, name, inner.defaulted, "service_time.")
    if kind != "lognormal" and inner.has("cv"):
        raise inner.refuse("only a lognormal has a cv; add 'distribution: lognormal' or remove it", "cv")
    return ServiceTime(kind, mean_ns, inner.number("cv", most=100.0) if kind == "lognormal" else 0.0)


def _percentiles(inner: Fields) -> ServiceTime:
    points = []
    for key in (key for key in inner.values if key != "mean"):
        try:
            percent = float(key.removeprefix("p"))
        except ValueError:
            percent = -1.0
        if not key.startswith("p") or not _LEAST_PERCENT <= percent <= 100.0 - _LEAST_PERCENT:
            raise inner.refuse("expected mean, distribution and cv, or percentiles such as p50, p90, p99.9", key)
        points.append((percent, inner.duration_ns(key)))
    points.sort()
    if not points:
        raise inner.refuse("no time in it; give mean, or percentiles such as p50 and p99")
    if any(later[1] < earlier[1] or later[0] == earlier[0] for earlier, later in pairwise(points)):
        raise inner.refuse("a higher percentile is smaller than a lower one; correct one of them")
    time = ServiceTime.from_percentiles(tuple(points), inner.duration_ns("mean") if inner.has("mean") else None)
    if not time.bounded():
        raise inner.refuse(
            "the last two percentiles are so steep that rare requests would take longer than 30 years; "
            "give percentiles further apart, or a higher one such as p99.9"
        )
    return time
