"""Kubernetes manifests: services, replicas and what the sidecars make of each port. Several documents, lists, folders.

Manifests do not say who calls whom; addresses of Services in containers' settings are taken as calls.
"""

from collections.abc import Sequence
from pathlib import Path

from predictor.graph.types import CallGraph
from predictor.importers.flat import flat_graph
from predictor.importers.manifests.catalog import read_catalog
from predictor.importers.manifests.graph import manifest_graph
from predictor.importers.manifests.objects import REMEDY, read_objects
from predictor.importers.manifests.ports import port_protocol
from profiler.errors import UsageError

__all__ = ("port_protocol", "read_manifests")


def read_manifests(inputs: Sequence[Path], rate_rps: float | None = None) -> CallGraph:
    """The call graph that manifests let guess. Raises `UsageError`, one line with file and line."""
    objects, origin = read_objects(inputs)
    catalog = read_catalog(objects)
    if not catalog.services:
        raise UsageError(f"{origin}: no Service in it; {REMEDY}")
    return flat_graph(manifest_graph(catalog, rate_rps), origin)
