"""From windows to overheads with intervals, and their comparison with what a profile predicts. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from experiments.independent_harness.load import COLD, HOT, Window
from experiments.machine import machine_text

TCP, HTTP1 = "tcp", "http1"
PLAIN: Final = "plain"
"""The treatment of a window without capture; the others are protocols."""
BOUND: Final = 0.1
LATE: Final = 0.05
"""Share of requests sent late above which the table says so: the CPUs then had little time to become cold."""
SEED: Final = 1
RESAMPLES: Final = 2000
CURRENCIES: Final = ("p50", "cpu")


@dataclass(frozen=True)
class Topology:
    """Services in a row, whether the client's connections are captured too, and the rate of cold windows."""

    services: int
    client: bool
    rate_rps: float

    @property
    def rules(self) -> int:
        """How many rules of capture lead a connection to an Envoy."""
        return 2 * self.services - (0 if self.client else 1)


TOPOLOGIES: Final = {
    "hop": Topology(1, True, 500.0),
    "chain1": Topology(1, False, 500.0),
    "chain3": Topology(3, False, 250.0),
    "chain4": Topology(4, False, 250.0),
}
"""A cold chain takes longer than the 2 ms between the requests of one hop."""


@dataclass(frozen=True)
class Case:
    """One figure of the result: a protocol, a topology and a temperature."""

    protocol: str
    topology: str
    temperature: str

    @property
    def name(self) -> str:
        """As options and tables name it."""
        return f"{self.protocol}-{self.topology}-{self.temperature}"

    @property
    def cell(self) -> tuple[str, str]:
        """What it shares with the case of the other protocol: the windows without capture."""
        return self.topology, self.temperature


CASES: Final = {
    case.name: case
    for case in (
        Case(protocol, topology, temperature)
        for protocol in (TCP, HTTP1)
        for temperature in (HOT, COLD)
        for topology in TOPOLOGIES
    )
}

Round = Mapping[str, Window]
"""The windows of one cell in one round, by treatment."""


def evaluated(case: Case, rounds: Sequence[Round]) -> dict[str, Any]:
    """Overheads of a case in ns per request: medians over rounds of the difference within a round."""
    rate_rps = TOPOLOGIES[case.topology].rate_rps if case.temperature == COLD else None
    found: dict[str, Any] = {
        "rate_rps": rate_rps,
        "late": float(np.median([one[case.protocol].late for one in rounds])),
    }
    for currency in CURRENCIES:
        plain, meshed = (
            np.array([getattr(one[name], f"{currency}_ns") for one in rounds]) for name in (PLAIN, case.protocol)
        )
        found[currency] = {
            "plain_ns": float(np.median(plain)),
            "overhead_ns": float(np.median(meshed - plain)),
            "ci95_ns": interval(meshed - plain),
            "rounds_ns": {PLAIN: plain.tolist(), case.protocol: meshed.tolist()},
        }
    return found


def interval(values: "np.ndarray[Any, np.dtype[np.float64]]") -> list[float]:
    """95 % interval of the median, by drawing the rounds again."""
    drawn = np.random.default_rng(SEED).choice(values, (RESAMPLES, len(values)))
    return [float(end) for end in np.percentile(np.median(drawn, axis=1), (2.5, 97.5))]


def compared(measured: Mapping[str, Any], predicted: Mapping[str, float]) -> dict[str, Any]:
    """The same entry with what was predicted, in ns, and its ratio to what was measured."""
    found = dict(measured)
    for currency in CURRENCIES:
        part, predicted_ns = measured[currency], predicted[currency]
        low, high = part["ci95_ns"]
        ends = sorted(predicted_ns / end if end > 0 else float("inf") for end in (low, high))
        ratio = predicted_ns / part["overhead_ns"]
        found[currency] = {**part, "predicted_ns": predicted_ns, "ratio": ratio, "verdict": judged(ratio, *ends)}
    return found


def judged(ratio: float, low: float, high: float) -> str:
    """Whether a ratio, with its interval by the measurement, is within `BOUND` of one."""
    if abs(ratio - 1) <= BOUND:
        return "agrees"
    return "apart" if low > 1 + BOUND or high < 1 - BOUND else "inconclusive"


def verdict(cases: Mapping[str, Mapping[str, Any]]) -> str:
    """What the figures say, in one line for each currency."""
    return "\n".join(f"- {verdict_on(currency, cases)}" for currency in CURRENCIES)


def verdict_on(currency: str, cases: Mapping[str, Mapping[str, Any]]) -> str:
    """How many predictions agree, and which do not; without predictions, the overheads of a hop."""
    label = "p50" if currency == "p50" else "CPU"
    ratios = {name: entry[currency] for name, entry in cases.items() if "ratio" in entry[currency]}
    if not ratios:
        figures = [f"{name} {micros(entry[currency]['overhead_ns'])} µs" for name, entry in cases.items()]
        return f"{label}, overhead: {', '.join(figures)}."
    agreeing = sum(part["verdict"] == "agrees" for part in ratios.values())
    others = [
        f"{name} {part['ratio']:.2f} ({part['verdict']})"
        for name, part in ratios.items()
        if part["verdict"] != "agrees"
    ]
    return (
        f"{label}: {agreeing} of {len(ratios)} predictions are within {BOUND:.0%} of what this harness measured"
        f"{'; the others: ' + ', '.join(others) if others else ''}."
    )


def as_text(document: Mapping[str, Any]) -> str:
    """The result as Markdown."""
    machine = document["environment"]
    head = (
        f"{machine_text(machine)}; Envoy {machine['envoy']}, {machine['nginx']}; {document['rounds']} rounds of "
        f"{document['seconds']} s, {document['steal']:.1%} of the CPU time stolen, {document['date']}. "
        "Raw: [result.json](result.json)."
    )
    note = (
        "Microseconds per request: without sidecars, what sidecars add with its 95 % interval, what the profile "
        "predicts, and predicted over measured."
    )
    lines = [
        "| case | requests/s | p50 without | overhead | predicted | ratio | CPU without | overhead | predicted "
        "| ratio |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
        *(row(name, entry) for name, entry in document["cases"].items()),
    ]
    return "\n\n".join(["# Result", head, document["finding"]["text"], note, "\n".join(lines)]) + "\n"


def row(name: str, entry: Mapping[str, Any]) -> str:
    """One case of the table."""
    rate = "closed loop" if entry["rate_rps"] is None else f"{entry['rate_rps']:g}"
    cells = [name, f"{rate}, {entry['late']:.0%} late" if entry["late"] > LATE else rate]
    for currency in CURRENCIES:
        part = entry[currency]
        low, high = part["ci95_ns"]
        cells += [micros(part["plain_ns"]), f"{micros(part['overhead_ns'])} ({micros(low)} … {micros(high)})"]
        cells += [micros(part["predicted_ns"]), f"{part['ratio']:.2f}"] if "ratio" in part else ["–", "–"]
    return f"| {' | '.join(cells)} |"


def micros(time_ns: float) -> str:
    """Microseconds, three figures."""
    return f"{time_ns / 1e3:.1f}" if abs(time_ns) < 1e5 else f"{time_ns / 1e3:.0f}"
