"""The profile that call graphs need, as settings of a run: the hops that predicting them asks for, few sizes. Pure.

Every hop is measured at the usual sizes. What a byte costs is measured only where the graphs have messages that are
larger by so much that the assumed cost of a byte (`predictor.hop_costs.slopes`) would matter: once with the largest
request and once with the largest response of the graphs.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

from predictor.graph.plan import sidecar_modes
from predictor.graph.types import CallGraph
from predictor.hop_costs.costs import kinds_of
from predictor.hop_costs.needs import Need, needs_of
from predictor.hop_costs.temperature import given_weights
from profiler.errors import UsageError
from profiler.planning.choice import HopChoice, dimensions_of
from profiler.planning.settings import LARGEST_MESSAGE_BYTES
from profiler.vocabulary.hop import label_of
from profiler.vocabulary.temperature import COLD, HOT
from profiler.vocabulary.usual import REQUEST_BYTES, RESPONSE_BYTES

_FURTHER_BYTES: Final = 8192
"""So many bytes more than the usual cost within 4 us of what is assumed, a few percent of a hop."""

Sizes = tuple[float, float]
"""Largest request and response in bytes."""


def settings_for(graphs: Sequence[CallGraph], filter_files: Sequence[str] = ()) -> dict[str, Any]:
    """What to measure for the graphs, as keyword arguments of ProfileSettings.

    `filter_files` are paths of the user's own filters, which the graphs name as profiles do.

    Raises `UsageError`: no call passes a sidecar, or none has the filter of a file.
    """
    needed: dict[Need, Sizes] = {}
    for graph in graphs:
        for need, sizes in _needed(graph).items():
            needed[need] = _larger(sizes, needed.get(need, (0.0, 0.0)))
    if not needed:
        raise UsageError("--for: no call of the graph passes a sidecar, so there is nothing to measure")
    largest = tuple(min(math.ceil(max(column)), LARGEST_MESSAGE_BYTES) for column in zip(*needed.values(), strict=True))
    files = {label_of(file): file for file in filter_files}
    if unused := set(files) - {name for need in needed for name in need.filters}:
        raise UsageError(f"--filter-file {files[min(unused)]}: no call of the graph has a filter {min(unused)}")
    hops = [
        HopChoice(
            need.protocol,
            need.topology,
            need.tls,
            tuple(files.get(name, name) for name in need.filters),
            _sizes(sizes, (largest[0], largest[1])),
        )
        for need, sizes in sorted(needed.items())
    ]
    cold = {weight for graph in graphs for weight in given_weights(graph).values()} != {0.0}
    return {**dimensions_of(hops), "temperatures": (HOT, COLD) if cold else (HOT,)}


def _needed(graph: CallGraph) -> dict[Need, Sizes]:
    """What one graph needs, each with the largest messages of the calls that need it."""
    edges = (*(entry.as_call() for entry in graph.ingress), *graph.calls)
    found: dict[Need, Sizes] = {}
    for kind, chosen in kinds_of(edges, sidecar_modes(graph)).items():
        sizes = (max(edges[edge].request_bytes for edge in chosen), max(edges[edge].response_bytes for edge in chosen))
        for need in needs_of(kind):
            found[need] = _larger(sizes, found.get(need, (0.0, 0.0)))
    return found


def _larger(one: Sizes, other: Sizes) -> Sizes:
    return max(one[0], other[0]), max(one[1], other[1])


def _sizes(sizes: Sizes, largest: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """The sizes to measure a hop at: the usual ones first, as they are the base load of every run."""
    found = [(REQUEST_BYTES, RESPONSE_BYTES)]
    if sizes[0] > REQUEST_BYTES + _FURTHER_BYTES:
        found.append((largest[0], RESPONSE_BYTES))
    if sizes[1] > RESPONSE_BYTES + _FURTHER_BYTES:
        found.append((REQUEST_BYTES, largest[1]))
    return tuple(found)
