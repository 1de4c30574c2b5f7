"""Reads the services of a call graph file: sidecars and service times in their several forms."""

from itertools import pairwise
from typing import Final

from predictor.graph.fields import Fields
from predictor.graph.service_time import DISTRIBUTIONS, ServiceTime
from predictor.graph.types import INGRESS, ONE_MILLISECOND, SIDECAR_MODES, Service, Sidecar

SERVICE_FIELDS: Final = (
    "name", "workload", "replicas", "replicas_per_node", "sidecar", "service_time", "cold_weight",
)  # fmt: skip

Defaulted = list[tuple[str, str, str]]
"""What was left out: the kind (`services`), whose it is (a name or an edge id), and the field."""


def read_service(fields: Fields, missing: Defaulted) -> Service:
    """The service in `fields`; what it leaves out is added to `missing`. Raises `UsageError`."""
    fields.only(SERVICE_FIELDS)
    name = fields.text("name")
    if name == INGRESS or "->" in name:
        raise fields.refuse(
            f"{name!r} is not a name for a service ({INGRESS!r} is the world outside); rename it", "name"
        )
    service = Service(
        name=name,
        workload=fields.text("workload", ""),
        replicas=fields.whole("replicas", 1),
        sidecar=_sidecar(fields, name, missing),
        service_time=_service_time(fields, name, missing),
        replicas_per_node=fields.optional("replicas_per_node", least=1e-9),
        cold_weight=fields.optional("cold_weight", most=1.0),
    )
    missing += [("services", name, key) for key in fields.defaulted]
    return service


def _sidecar(fields: Fields, name: str, missing: Defaulted) -> Sidecar:
    given = fields.raw("sidecar", None)
    if given is None:
        return Sidecar()
    if isinstance(given, str):
        mode = fields.choice("sidecar", SIDECAR_MODES, "http")
        return Sidecar(mode, mode)
    sides = fields.below("sidecar")
    sides.only(("client", "server"))
    sidecar = Sidecar(sides.choice("client", SIDECAR_MODES, "http"), sides.choice("server", SIDECAR_MODES, "http"))
    missing += [("services", name, f"sidecar.{key}") for key in sides.defaulted]
    return sidecar


def _service_time(fields: Fields, name: str, missing: Defaulted) -> ServiceTime:
    given = fields.raw("service_time", None)
    if given is None:
        return ONE_MILLISECOND
    if not isinstance(given, dict):
        mean_ns = fields.duration_ns("service_time")
        missing.append(("services", name, "service_time.distribution"))
        return ServiceTime.constant(mean_ns)
    inner = fields.below("service_time")
    if any(key.startswith("p") for key in inner.values) or not inner.has("mean"):
        return _percentiles(inner)
    inner.only(("mean", "distribution", "cv"))
    mean_ns = inner.duration_ns("mean")
    kind = inner.choice("distribution", DISTRIBUTIONS, "constant")
    missing += [("services", name, f"service_time.{key}") for key in inner.defaulted]
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
        if not key.startswith("p") or not 0.0 < percent < 100.0:
            raise inner.refuse("expected mean, distribution and cv, or percentiles such as p50, p90, p99.9", key)
        points.append((percent, inner.duration_ns(key)))
    points.sort()
    if not points:
        raise inner.refuse("no time in it; give mean, or percentiles such as p50 and p99")
    if any(later[1] < earlier[1] or later[0] == earlier[0] for earlier, later in pairwise(points)):
        raise inner.refuse("a higher percentile is smaller than a lower one; correct one of them")
    return ServiceTime.from_percentiles(tuple(points), inner.duration_ns("mean") if inner.has("mean") else None)
