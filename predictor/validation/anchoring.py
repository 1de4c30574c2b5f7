"""A model at the speed that the machine has now, as the anchor cells tell. Pure.

An anchor cell is one fixed hop of a profile, measured again while a validation runs. The CPU time that it takes now
over what the model says of it is how much slower the machine is: the costs of its protocol at its temperature are taken
times that, latency and CPU alike. Its latency says less: what the kernel's placement and a host that gives a CPU back
late do to one request in flight is in it, and not in the graph (tried on 21 random graphs with four profiles).
HTTP/2 and gRPC follow HTTP/1.1, whose parsing and caches they share; temperatures between two anchors lie between.
How fast idle sidecars cool is scaled by the anchor at one low rate, but not above what the profile has: graphs do not
cost as much more as a single hop does while other guests take the caches of idle CPUs (tried on 42 random graphs).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from predictor.graph.types import CallGraph
from predictor.models.types import FEATURES, POSITIONS, Configuration, FittedModel, but_placement
from predictor.validation.types import Anchor
from profiler.errors import UsageError
from profiler.measuring.applications import AnchorCell, AnchorReading
from profiler.planning.cells import ANCHOR_SCENE
from profiler.profile.types import Profile
from profiler.vocabulary import usual
from profiler.vocabulary.hop import PLACEMENTS
from profiler.vocabulary.protocols import HTTP1, TCP
from profiler.vocabulary.temperature import COLD, HOT, NATURAL

ANCHOR: Final = AnchorCell(HTTP1, HOT)
"""The anchor cell of a profile without cells of an anchor's load."""

_IDLE_RPS: Final = 200.0
_COLD: Final = AnchorCell(HTTP1, COLD)
_IDLE: Final = AnchorCell(HTTP1, HOT, _IDLE_RPS)

_CHANGED: Final = 1.5
"""An anchor that costs so many times more or less than in the profile is reported (a judgement): half an hour on a
shared host moves hot cells by 30 %."""


def model_of(model: FittedModel, temperature: str, placement: str) -> FittedModel:
    """What of the model speaks of a testbed at `temperature`: natural is not between hot and cold, but apart.

    Configurations of another placement than that of the testbed are taken where that was not measured.

    Raises `UsageError`: natural was not measured.
    """
    apart = temperature == NATURAL
    chosen = tuple(item for item in model.configurations if (item.temperature == NATURAL) == apart)
    if apart and not chosen:
        raise UsageError(
            "--temperature natural: the profile has no cells of it; measure some with: meshinsight profile "
            "--temperature natural"
        )
    measured = {but_placement(item.key) for item in chosen if item.placement == placement}
    same = (item for item in chosen if item.placement == placement or but_placement(item.key) not in measured)
    return replace(model, configurations=tuple(same))


def anchor_cells(graphs: Sequence[CallGraph], model: FittedModel, profile: Profile) -> dict[AnchorCell, AnchorReading]:
    """The cells to measure for graphs, HTTP/1.1's first, with what they cost in the profile.

    Each is placed as in the profile, since the two are compared. `model` is what `model_of` gives.

    Raises `UsageError`: the profile has no anchor.
    """
    protocols = (HTTP1, TCP) if any(map(_with_tcp, graphs)) else (HTTP1,)
    found = {}
    for cell in (AnchorCell(protocol, temperature) for protocol in protocols for temperature in (HOT, COLD, NATURAL)):
        item = _configuration_of(model, cell)
        if item is not None and (cost := _modelled(item)).latency_ns > 0.0:
            found[replace(cell, placement=item.placement)] = cost
    placement = next((cell.placement for cell in found if cell == ANCHOR), _placement(model))
    known = found or {replace(ANCHOR, placement=placement): AnchorReading(_profiled_ns(profile), 0.0)}
    if model.cooling and {ANCHOR, _COLD} <= set(found):
        hot_ns, cold_ns = found[ANCHOR].latency_ns, found[_COLD].latency_ns
        idle_ns = hot_ns + _idle_position(model) * (cold_ns - hot_ns)
        known[replace(_IDLE, placement=placement)] = AnchorReading(idle_ns, 0.0)
    return known


def _placement(model: FittedModel) -> str:
    """That of the model's cells, or of the first of them."""
    return next((item.placement for item in model.configurations), usual.PLACEMENT)


def _with_tcp(graph: CallGraph) -> bool:
    modes = {mode for service in graph.services for mode in (service.sidecar.client, service.sidecar.server)}
    protocols = {call.protocol for call in graph.calls} | {entry.protocol for entry in graph.ingress}
    return "tcp" in modes or TCP in protocols


def at_speed_of(model: FittedModel, anchors: Sequence[Anchor]) -> FittedModel:
    """The model with its costs times what the anchors say, draws and all."""
    factors = {anchor.cell: anchor.cpu_factor for anchor in anchors if anchor.cell != _IDLE}
    return replace(
        model,
        configurations=tuple(item.times(_factor(item, factors)) for item in model.configurations),
        cooling=_cooling(model, {anchor.cell: anchor.measured.latency_ns for anchor in anchors}),
    )


def changed_since(anchors: Sequence[Anchor]) -> tuple[str, ...]:
    """What to say where the machine is not as fast as when the profile was made, in every round."""
    changed = [
        f"{anchor.cell.name} {anchor.cpu_factor:.2g}"
        for anchor in anchors
        if not 1.0 / _CHANGED < anchor.cpu_factor < _CHANGED and anchor.off_in_all_rounds
    ]
    if not changed:
        return ()
    return (
        f"the machine has changed since the profile: anchors cost {', '.join(changed)} times what the profile says; "
        "measure a new profile, or quote the anchored figures",
    )


def _cooling(model: FittedModel, measured_ns: Mapping[AnchorCell, float]) -> tuple[tuple[float, float], ...]:
    """The curve through where the anchor at a low rate lies now between hot and cold, where that is lower."""
    if not {ANCHOR, _COLD, _IDLE} <= set(measured_ns):
        return model.cooling
    way_ns = measured_ns[_COLD] - measured_ns[ANCHOR]
    before = _idle_position(model)
    if way_ns <= 0.0 or before <= 0.0:
        return model.cooling
    factor = min(1.0, max(0.0, (measured_ns[_IDLE] - measured_ns[ANCHOR]) / way_ns) / before)
    return tuple((gap_ns, factor * position) for gap_ns, position in model.cooling)


def _idle_position(model: FittedModel) -> float:
    gaps, positions = zip(*model.cooling, strict=True)
    return float(np.interp(1e9 / _IDLE_RPS, gaps, positions))


def _factor(item: Configuration, factors: Mapping[AnchorCell, float]) -> float:
    """The factor of a configuration: its protocol's anchors' around its temperature, else HTTP/1.1's; 1 without."""
    position = POSITIONS.get(item.temperature, 0.0)
    for protocol in (item.protocol, HTTP1):
        known = {
            POSITIONS.get(cell.temperature, 0.0): value for cell, value in factors.items() if cell.protocol == protocol
        }
        if known:
            positions = sorted(known)
            return float(np.interp(position, positions, [known[one] for one in positions]))
    return 1.0


def _configuration_of(model: FittedModel, cell: AnchorCell) -> Configuration | None:
    """The configuration that an anchor cell is of, in the first placement that was measured."""
    hop = cell.hop
    for item in sorted(model.configurations, key=lambda item: PLACEMENTS.index(item.placement)):
        same = (item.proxy, item.protocol, item.topology, item.tls, item.transport, item.workers, item.application) == (
            hop.proxy, hop.protocol, hop.topology, hop.tls, hop.transport, hop.workers, hop.application,
        )  # fmt: skip
        plain = not item.filters and not item.extra_headers
        if same and plain and item.temperature == cell.temperature:
            return item
    return None


def _modelled(item: Configuration) -> AnchorReading:
    """What a configuration costs at the anchor's load; 0 where that was not measured."""
    load = ANCHOR_SCENE.load
    features = {"request_bytes": float(load.request_bytes), "response_bytes": float(load.response_bytes)}
    row = np.array([[features.get(name, 0.0) for name in FEATURES]])
    latency_ns, cpu_ns = (
        float((cost.rows(row) @ cost.coefficients).sum()) if cost else 0.0 for cost in (item.latency, item.cpu)
    )
    return AnchorReading(latency_ns, cpu_ns)


def _profiled_ns(profile: Profile) -> float:
    """Overhead of the anchor in the profile, in ns. Raises `UsageError`."""
    rounds = profile.anchor.rounds if profile.anchor else []
    overheads = [entry.with_p50_ns - entry.baseline_p50_ns for entry in rounds if entry.baseline_p50_ns is not None]
    if not overheads or np.median(overheads) <= 0:
        raise UsageError("the profile has no anchor cell to compare this machine with; measure it again")
    return float(np.median(overheads))
