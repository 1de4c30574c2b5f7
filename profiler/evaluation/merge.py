"""The results of blocks as one: what a profile says of the whole run. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from profiler.host.accounting import NOISY_STEAL_RATIO


def merge(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge block results in the order of measuring.

    Anchored medians, which each block scaled to its own anchor, are scaled to the anchor of the whole run.
    """
    anchor = _anchor(results)
    return {
        "run_id": results[0]["run_id"],
        "cells": _cells(results, anchor),
        "calibration": {"probe_hit_ns": _medians([result["probe_hit_ns"] for result in results])},
        "anchor": anchor,
        "noise": _noise([result["noise"] for result in results]),
        "probes": _probes(results),
        "repeated_windows": sum(result["repeated_windows"] for result in results),
        "files": {key: name for result in results for key, name in result["files"].items()},
    }


def _cells(results: Sequence[Mapping[str, Any]], anchor: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """All cells; of one that several blocks had as a rung, the first asked for, else the first."""
    whole = (anchor or {}).get("median_by_temperature_ns", {})
    found: dict[str, dict[str, Any]] = {}
    for result in results:
        own = (result["anchor"] or {}).get("median_by_temperature_ns", {})
        for cell in result["cells"]:
            temperature = cell["temperature"]
            factor = whole[temperature] / own[temperature] if own.get(temperature) and temperature in whole else 1.0
            known = found.get(cell["id"])
            if known is None or (known["reference"] and not cell["reference"]):
                found[cell["id"]] = _anchored(cell, factor)
    return list(found.values())


def _anchored(cell: Mapping[str, Any], factor: float) -> dict[str, Any]:
    if cell["latency"] is None:
        return dict(cell)
    components = {
        name: {**part, "anchored_median_ns": _scaled(part["anchored_median_ns"], factor)}
        for name, part in cell["latency"]["components"].items()
    }
    return {**cell, "latency": {**cell["latency"], "components": components}}


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _anchor(results: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    known = [(result["at_s"], result["anchor"]) for result in results if result["anchor"]]
    if not known:
        return None
    rounds = [{**entry, "at_s": at_s + entry["at_s"]} for at_s, anchor in known for entry in anchor["rounds"]]
    medians_ns = [entry["with_p50_ns"] for entry in rounds]
    low, high = np.percentile(medians_ns, [10, 90])
    temperatures = {name: None for _, anchor in known for name in anchor["median_by_temperature_ns"]}
    return {
        **{key: known[0][1][key] for key in ("protocol", "topology", "temperature")},
        "rounds": rounds,
        "median_with_p50_ns": float(np.median(medians_ns)),
        "median_by_temperature_ns": {
            name: float(
                np.median(
                    [
                        anchor["median_by_temperature_ns"][name]
                        for _, anchor in known
                        if name in anchor["median_by_temperature_ns"]
                    ]
                )
            )
            for name in temperatures
        },
        "drift_ratio": float((high - low) / np.median(medians_ns)),
        "cooling": _cooling([point for _, anchor in known for point in anchor.get("cooling", ())]),
    }


def _cooling(points: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Medians over blocks."""
    found: dict[tuple[str, float | None], list[Mapping[str, Any]]] = {}
    for point in points:
        found.setdefault((point["temperature"], point["rate_rps"]), []).append(point)
    return [
        {
            "temperature": temperature,
            "rate_rps": rate_rps,
            **_medians([{key: point[key] for key in ("with_p50_ns", "baseline_p50_ns")} for point in same]),
        }
        for (temperature, rate_rps), same in found.items()
    ]


def _noise(noises: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found = {}
    for key in ("steal_ratio", "psi_cpu_some_ratio"):
        values = [noise[key] for noise in noises if noise[key] is not None]
        found[key] = float(np.mean(values)) if values else None
    return {**found, "noisy": (found["steal_ratio"] or 0.0) > NOISY_STEAL_RATIO}


def _medians(entries: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Medians of what all of them have."""
    names = [key for key in entries[0] if all(key in entry for entry in entries)]
    return {key: float(np.median([entry[key] for entry in entries])) for key in names}


def _probes(results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Every probe with the hits and drops of all blocks."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for result in results:
        for probe in result["probes"]:
            known = found.setdefault((probe["program"], probe["name"]), {**probe, "hits": 0, "dropped": 0})
            known["hits"] += probe["hits"]
            known["dropped"] += probe["dropped"]
            known["attached"] = known["attached"] and probe["attached"]
            known["error"] = known["error"] or probe["error"]
    return list(found.values())
