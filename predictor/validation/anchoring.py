"""A model at the speed that the machine has now, as the anchor cells tell. Pure.

An anchor cell is one fixed hop of a profile, measured again while a validation runs. What it costs now over what the
model says of it is how much slower the machine is: the costs of its protocol at its temperature are taken times that.
HTTP/2 and gRPC follow HTTP/1.1, whose parsing and caches they share; temperatures between two anchors lie between.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from predictor.graph.types import CallGraph
from predictor.models.types import FEATURES, Configuration, Cost, FittedModel
from predictor.predict.hops import POSITIONS
from predictor.validation.types import Anchor
from profiler.campaign.applications import COLD, HOT, NATURAL, AnchorCell
from profiler.campaign.cells import ANCHOR_SCENE
from profiler.errors import UsageError
from profiler.proxies.base import HTTP1, TCP

ANCHOR: Final = AnchorCell(HTTP1, HOT)
"""The anchor cell that every profile has."""


def model_of(model: FittedModel, temperature: str) -> FittedModel:
    """What of the model speaks of a testbed at `temperature`: natural is not between hot and cold, but apart.

    Raises `UsageError`: natural was not measured.
    """
    apart = temperature == NATURAL
    chosen = tuple(item for item in model.configurations if (item.temperature == NATURAL) == apart)
    if apart and not chosen:
        raise UsageError(
            "--temperature natural: the profile has no cells of it; measure some with: meshinsight profile "
            "--temperature natural"
        )
    return replace(model, configurations=chosen)


def anchor_cells(graph: CallGraph, model: FittedModel, profile: Mapping[str, Any]) -> dict[AnchorCell, float]:
    """The cells to measure for a graph, that of every profile first, with what they cost in the profile, in ns.

    `model` is what `model_of` gives. Raises `UsageError`: the profile has no anchor.
    """
    tcp = any(call.protocol == TCP for call in (*graph.calls, *(entry.as_call() for entry in graph.ingress)))
    modes = {mode for service in graph.services for mode in (service.sidecar.client, service.sidecar.server)}
    protocols = (HTTP1, TCP) if tcp or "tcp" in modes else (HTTP1,)
    found = {
        cell: cost_ns
        for cell in (
            AnchorCell(protocol, temperature) for protocol in protocols for temperature in (HOT, COLD, NATURAL)
        )
        if (cost_ns := _modelled_ns(model, cell)) > 0.0
    }
    return {ANCHOR: found.get(ANCHOR) or _profiled_ns(profile), **found}


def at_speed_of(model: FittedModel, anchors: Sequence[Anchor]) -> FittedModel:
    """The model with its costs times what the anchors say, draws and all."""
    factors = {anchor.cell: anchor.factor for anchor in anchors}
    return replace(
        model,
        configurations=tuple(_scaled(item, _factor(item, factors)) for item in model.configurations),
    )


def _factor(item: Configuration, factors: Mapping[AnchorCell, float]) -> float:
    """The factor of a configuration: of its protocol's anchors at temperatures around its own, else HTTP/1.1's; 1 without."""
    position = POSITIONS.get(item.temperature, 0.0)
    for protocol in (item.protocol, HTTP1):
        known = {POSITIONS[cell.temperature]: value for cell, value in factors.items() if cell.protocol == protocol}
        if known:
            positions = sorted(known)
            return float(np.interp(position, positions, [known[one] for one in positions]))
    return 1.0


def _scaled(item: Configuration, factor: float) -> Configuration:
    def times(cost: Cost | None) -> Cost | None:
        if cost is None:
            return None
        return replace(cost, coefficients=cost.coefficients * factor, draws=cost.draws * factor)

    return replace(item, latency=times(item.latency), cpu=times(item.cpu))


def _modelled_ns(model: FittedModel, cell: AnchorCell) -> float:
    """What the model says of an anchor cell's latency; 0 where it was not measured."""
    hop, load = cell.hop, ANCHOR_SCENE.load
    features = {"request_bytes": float(load.request_bytes), "response_bytes": float(load.response_bytes)}
    for item in model.configurations:
        same = (item.proxy, item.protocol, item.topology, item.tls, item.transport, item.workers, item.application) == (
            hop.proxy, hop.protocol, hop.topology, hop.tls, hop.transport, hop.workers, hop.application,
        )  # fmt: skip
        plain = not item.filters and not item.extra_headers
        if same and plain and item.temperature == cell.temperature and item.latency is not None:
            row = item.latency.rows(np.array([[features.get(name, 0.0) for name in FEATURES]]))
            return float((row @ item.latency.coefficients).sum())
    return 0.0


def _profiled_ns(profile: Mapping[str, Any]) -> float:
    """Overhead of the anchor in the profile, in ns. Raises `UsageError`."""
    anchor = profile["anchor"]
    rounds = [] if anchor is None else anchor["rounds"]
    overheads = [
        entry["with_p50_ns"] - entry["baseline_p50_ns"] for entry in rounds if entry["baseline_p50_ns"] is not None
    ]
    if not overheads or np.median(overheads) <= 0:
        raise UsageError("the profile has no anchor cell to compare this machine with; measure it again")
    return float(np.median(overheads))
