"""Measures the variants of a graph, interleaved: rounds over all of them in random order, with the anchor in each."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

import numpy as np

from profiler.errors import MeshInsightError
from profiler.measuring.applications import AnchorCell, AnchorReading, ApplicationBench, CpuReading, LatencyReading

_ANCHOR_S: Final = 0.4
_ATTEMPTS: Final = 3
_PAUSE_S: Final = 0.5
_SEARCH_S: Final = 0.5
_AROUND_S: Final = 1.0
"""Seconds that a window takes beside its length."""

_BUSY: Final = 0.35
"""No more than this share of the machine's CPUs is asked for: waiting for a CPU is not what sidecars cost."""

_HELD: Final = 0.9
"""A rate is held if so much of it is answered in time."""

_OVERLAP: Final = 0.5
"""At most this share of the time a request is on its way, so that requests hardly meet."""

Report = Callable[[str, float], None]
"""Told, before each step, its label and the seconds that are left."""


@dataclass
class Rounds:
    """What was measured, by variant, in order of rounds; `cpu` in every second; and the anchors, by cell."""

    latency: dict[str, list[LatencyReading]] = field(default_factory=lambda: defaultdict(list))
    cpu: dict[str, list[CpuReading]] = field(default_factory=lambda: defaultdict(list))
    anchors: dict[AnchorCell, list[AnchorReading]] = field(default_factory=lambda: defaultdict(list))


def find_rate(bench: ApplicationBench, variants: Sequence[str], wanted_rps: float, cpus: int) -> float:
    """The rate at which all variants are measured, per second: the graph's own, or what this machine holds."""
    most = wanted_rps
    for variant in variants:
        most = _held(most, partial(_hardly_meeting_rps, bench, variant))
        most = _held(most, partial(_not_too_busy_rps, bench, variant, most, cpus))
    return float(f"{most:.2g}") if most >= 1.0 else most


def _hardly_meeting_rps(bench: ApplicationBench, variant: str) -> float:
    return _OVERLAP * bench.serial_rps(variant, _SEARCH_S)


def _not_too_busy_rps(bench: ApplicationBench, variant: str, rate_rps: float, cpus: int) -> float:
    reading = bench.cpu(variant, rate_rps, _SEARCH_S)
    return _BUSY * cpus / (reading.busy_ns / reading.requests * 1e-9)


def _held(wanted_rps: float, attempt: Callable[[], float]) -> float:
    """The best of several attempts, since others on the host only ever slow us down, or what is wanted if that is less.

    The first attempt that reaches it is enough.
    """
    best = 0.0
    for _ in range(_ATTEMPTS):
        best = max(best, attempt())
        if best >= wanted_rps:
            return wanted_rps
    return best


def require_held(bench: ApplicationBench, variants: Sequence[str], rate_rps: float) -> None:
    """Raise `MeshInsightError` where a variant does not answer a rate that was asked for."""
    for variant in variants:
        most = max(bench.latency(variant, rate_rps, _SEARCH_S).answered_rps for _ in range(_ATTEMPTS))
        if most < _HELD * rate_rps:
            raise MeshInsightError(
                f"{variant}: {most:.3g} of {rate_rps:g} requests/s were answered; give a lower --rate, or none to have "
                "one found"
            )


def measure(
    bench: ApplicationBench, variants: Sequence[str], rate_rps: float, rounds: int, seconds: float, report: Report,
    seed: int = 1,
) -> Rounds:  # fmt: skip
    """Measure the anchors and all variants in so many rounds, each with a window of `seconds` for latency.

    In every second round CPU is measured too, in windows of twice the length: placement of processes on CPUs stays for
    a window and differs between them, which many short windows tell better than a few long ones.
    Windows in which the host took much of the CPUs are measured again, a few times.
    """
    random = np.random.default_rng(seed)
    found = Rounds()
    step_s, cpu_s, anchor_s = seconds + _AROUND_S, 2 * seconds + _AROUND_S, _ANCHOR_S + 0.5
    anchors_s = bench.windows_per_anchor * anchor_s
    left_s = rounds * (len(variants) * step_s + anchors_s) + (rounds + 1) // 2 * len(variants) * cpu_s
    for number in range(rounds):
        report(f"round {number + 1} of {rounds}: anchors", left_s)
        for cell, reading in bench.anchors(_ANCHOR_S).items():
            found.anchors[cell].append(reading)
        left_s -= anchors_s
        for variant in (variants[index] for index in random.permutation(len(variants))):
            report(f"round {number + 1} of {rounds}: latency, {variant}", left_s)
            found.latency[variant].append(_quiet(partial(bench.latency, variant, rate_rps, seconds)))
            left_s -= step_s
        for variant in (variants[index] for index in random.permutation(len(variants)) if number % 2 == 0):
            report(f"round {number + 1} of {rounds}: CPU, {variant}", left_s)
            found.cpu[variant].append(_quiet(partial(bench.cpu, variant, rate_rps, 2 * seconds)))
            left_s -= cpu_s
    return found


_Reading = TypeVar("_Reading", LatencyReading, CpuReading)


def _quiet(attempt: Callable[[], _Reading]) -> _Reading:
    reading = attempt()
    for _ in range(_ATTEMPTS - 1):
        if not reading.noise.noisy:
            break
        time.sleep(_PAUSE_S)
        reading = attempt()
    return reading


def failures(found: Rounds) -> Mapping[str, int]:
    """Failed requests by variant, where there were any."""
    sums = {name: sum(reading.failed for reading in readings) for name, readings in found.latency.items()}
    return {name: count for name, count in sums.items() if count}


def not_held(found: Rounds, rate_rps: float) -> Mapping[str, float]:
    """The rate that was answered, by variant, where it was not the one that was sent: the median of the rounds."""
    rates = {
        name: float(np.median([reading.answered_rps for reading in readings]))
        for name, readings in found.latency.items()
    }
    return {name: rate for name, rate in rates.items() if rate < _HELD * rate_rps}
