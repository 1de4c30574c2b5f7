"""The results of blocks as one: what a profile says of the whole run. Pure."""

from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace

from profiler.evaluation.block_result import BlockResult
from profiler.host.accounting import NOISY_STEAL_RATIO
from profiler.profile.intervals import with_intervals
from profiler.profile.types import Anchor, Cell, CoolingPoint, Noise, Probe, RunNoise


def merged_cells(results: Sequence[BlockResult], anchor: Anchor | None) -> list[Cell]:
    """All cells in the order of measuring; of one that several blocks have, the first asked for, else the first.

    A block's anchor factors go to its own anchor's median; here to that of the whole run, which is `anchor`. Intervals
    hold the drift of the whole run too.
    """
    found: dict[str, Cell] = {}
    for result in results:
        for cell in result.cells:
            known = found.get(cell.id)
            if known is None or (known.reference and not cell.reference):
                found[cell.id] = at_speed_of(anchor, cell, result.anchor)
    return list(found.values())


def at_speed_of(whole: Anchor | None, cell: Cell, own: Anchor | None) -> Cell:
    """The cell with a factor that goes to the median speed of `whole`, where its own goes to that of `own`."""
    before_ns, after_ns = (
        anchor.median_by_temperature_ns.get(cell.temperature) if anchor else None for anchor in (own, whole)
    )
    factor = after_ns / before_ns if before_ns and after_ns is not None else 1.0
    anchored = None if cell.anchor_factor is None else cell.anchor_factor * factor
    return with_intervals(replace(cell, anchor_factor=anchored), whole)


def merged_anchor(results: Sequence[BlockResult]) -> Anchor | None:
    """The anchor over the whole run; None where no block measured it."""
    return joined_anchor([(result.at_s, result.anchor) for result in results if result.anchor])


def joined_anchor(known: Sequence[tuple[float, Anchor]]) -> Anchor | None:
    """Anchors as one, each with the seconds at which it began; None where there is none."""
    if not known:
        return None
    rounds = [replace(entry, at_s=at_s + entry.at_s) for at_s, anchor in known for entry in anchor.rounds]
    medians_ns = [entry.with_p50_ns for entry in rounds]
    low, high = np.percentile(medians_ns, [10, 90])
    by_temperature: dict[str, list[float]] = {}
    for _, anchor in known:
        for temperature, median_ns in anchor.median_by_temperature_ns.items():
            by_temperature.setdefault(temperature, []).append(median_ns)
    return replace(
        known[0][1],
        rounds=rounds,
        median_with_p50_ns=float(np.median(medians_ns)),
        median_by_temperature_ns={name: float(np.median(values)) for name, values in by_temperature.items()},
        drift_ratio=float((high - low) / np.median(medians_ns)),
        cooling=_cooling([point for _, anchor in known for point in anchor.cooling]),
    )


def _cooling(points: Sequence[CoolingPoint]) -> list[CoolingPoint]:
    """Medians over blocks."""
    found: dict[tuple[object, ...], list[CoolingPoint]] = {}
    for point in points:
        key = (point.protocol, point.tls, point.topology, point.temperature, point.rate_rps)
        found.setdefault(key, []).append(point)
    return [
        replace(
            same[0],
            with_p50_ns=float(np.median([point.with_p50_ns for point in same])),
            baseline_p50_ns=float(np.median([point.baseline_p50_ns for point in same])),
        )
        for same in found.values()
    ]


def merged_noise(noises: Sequence[Noise]) -> RunNoise:
    """Means over the blocks, with the verdict."""
    steal = _mean([noise.steal_ratio for noise in noises])
    pressure = _mean([noise.psi_cpu_some_ratio for noise in noises])
    return RunNoise(steal_ratio=steal, psi_cpu_some_ratio=pressure, noisy=(steal or 0.0) > NOISY_STEAL_RATIO)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def merged_hit_ns(results: Sequence[BlockResult]) -> dict[str, float | None]:
    """Medians of the costs of a probe hit that all blocks have."""
    names = [name for name in results[0].probe_hit_ns if all(name in result.probe_hit_ns for result in results)]
    return {name: float(np.median([result.probe_hit_ns[name] for result in results])) for name in names}


def merged_probes(results: Sequence[BlockResult]) -> list[Probe]:
    """Every probe with the hits and drops of all blocks."""
    found: dict[tuple[str, str], Probe] = {}
    for probe in (probe for result in results for probe in result.probes):
        known = found.get((probe.program, probe.name))
        found[probe.program, probe.name] = (
            probe
            if known is None
            else replace(
                known,
                hits=known.hits + probe.hits,
                dropped=known.dropped + probe.dropped,
                attached=known.attached and probe.attached,
                error=known.error or probe.error,
            )
        )
    return list(found.values())
