"""What the reports derive from a profile document: labels, groups, sums, shares, open problems. Pure: no I/O.

Every function takes a profile, or a part of it, as `profiler.profile.document.load_profile` returns it.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from meshinsight import numbers
from profiler.probes.cputime import RARE
from profiler.profile.intervals import overhead_figure
from profiler.profile.types import (
    DIMENSIONS,
    Anchor,
    Calibration,
    Cell,
    Cpu,
    CpuComponent,
    Currency,
    Latency,
    LatencyComponent,
    Place,
    Probe,
    Profile,
    Proxy,
    RunNoise,
    UserSplit,
)
from profiler.text import printable
from profiler.vocabulary.components import (
    COMPONENTS,
    EVENT_WAIT,
    IPC,
    OTHER,
    PROXY_CORE,
    REDIRECT,
    SOCKET_READ,
    SOCKET_WRITE,
    TLS,
    TUNNEL,
)
from profiler.vocabulary.hop import MTLS, NONE
from profiler.vocabulary.protocols import TCP

MEANING: Final = "holds the estimate of 95 % of other runs of the same command on this machine"
"""Of every 95 % interval."""

PROTOCOL_NAMES: Final = {"tcp": "TCP", "http1": "HTTP/1.1", "http2": "HTTP/2", "h2": "HTTP/2", "grpc": "gRPC"}
TOPOLOGY_NAMES: Final = {
    "none": "no sidecar",
    "client": "a client-side sidecar",
    "server": "a server-side sidecar",
    "both": "two sidecars (one on each side)",
    "shared": "one proxy shared by the node",
    "waypoint": "a waypoint between two tunnels",
}
TEMPERATURE_NAMES: Final = {
    "hot": "hot caches",
    "cold-25": "caches a quarter cold",
    "cold-50": "caches half cold",
    "cold-75": "caches three quarters cold",
    "cold": "cold caches",
    "natural": "natural idling",
}
_SUBJECTS: Final = {
    "none": ("A repetition of {} without sidecars", "adds"),
    "client": ("One {} sidecar on the client's side", "adds"),
    "server": ("One {} sidecar on the server's side", "adds"),
    "both": ("Two {} sidecars", "add"),
    "shared": ("One {} proxy shared by the node", "adds"),
    "waypoint": ("One {} waypoint with its two tunnels", "adds"),
}
"""The beginning of a sentence by topology, with its verb."""

_PHRASES: Final = {
    IPC: "moving data between processes",
    SOCKET_READ: "reading sockets",
    SOCKET_WRITE: "writing sockets",
    EVENT_WAIT: "waiting for events",
    REDIRECT: "redirecting traffic",
    PROXY_CORE: "the proxy's own work",
    TLS: "encryption",
    TUNNEL: "the ends of the tunnels on the nodes",
}
"""Components whose names do not explain themselves."""

VCPU_PER_1000_RPS: Final = 1e-6
"""From CPU ns per request: a nanosecond per request is a millionth of a processor at 1000 requests per second."""

PER_1000_RPS: Final = " per 1000 requests/s"

_NEXT_TO_NOTHING: Final = 0.02
"""A lower end of this share of the upper one is zero in two digits."""

_MOST: Final = 0.5
_PREFERRED_TOPOLOGIES: Final = ("both", "client", "server", "shared", "waypoint", "none")
_PREFERRED_TEMPERATURES: Final = tuple(TEMPERATURE_NAMES)

_LONGEST_EXTRA: Final = 40
_FIRST: Final = (
    "tls",
    "filters",
    "proxy",
    "transport",
    "headers",
    "messages",
    "workers",
    "extra_headers",
    "application",
)
_LABEL_EXTRAS: Final = (
    *_FIRST,
    *(name for name in DIMENSIONS if name not in (*_FIRST, "header_bytes", "new_connections")),
)
_ALWAYS: Final = 3
_RATE_COLUMN: Final = 6
"""Of `_label_parts`, the first three are in every label, and sizes, connections and the rate follow."""

_QUOTED: Final = tuple(name for name in DIMENSIONS if name not in ("application", "header_bytes"))
"""Dimensions that are as usual in the cells that people quote."""


def protocol_name(protocol: str) -> str:
    """How people write the protocol: `http1` → `HTTP/1.1`."""
    return PROTOCOL_NAMES.get(protocol, protocol)


def topology_name(topology: str) -> str:
    """The topology in words: `both` → `two sidecars (one on each side)`."""
    return TOPOLOGY_NAMES.get(topology, topology)


def temperature_name(temperature: str) -> str:
    """The cache temperature in words: `hot` → `hot caches`."""
    return TEMPERATURE_NAMES.get(temperature, temperature)


def ordered(names: Iterable[str]) -> list[str]:
    """Component names in the order of every table and chart: the fixed ones, tls and filters, `other` last."""
    found = set(names)
    fixed = [name for name in COMPONENTS if name in found and name != OTHER]
    later = sorted(found.difference(COMPONENTS))
    return [*fixed, *later, *([OTHER] if OTHER in found else [])]


def cell_labels(cells: Sequence[Cell]) -> dict[str, str]:
    """A short label per cell id: protocol, topology, temperature and whatever else differs between the cells."""
    parts = {cell.id: _label_parts(cell) for cell in cells}
    constant = [
        len({row[column] for row in parts.values()}) == 1 for column in range(len(next(iter(parts.values()), ())))
    ]
    labels = {
        cell.id: "-".join(
            _rate_text(cell) if column == _RATE_COLUMN else part
            for column, part in enumerate(parts[cell.id])
            if part and (column < _ALWAYS or not constant[column])
        )
        for cell in cells
    }
    unique = len(set(labels.values())) == len(labels)
    return labels if unique else {cell_id: cell_id for cell_id in labels}


def _rate_text(cell: Cell) -> str:
    """The load as part of a label: `max`, `500paced`, `4000rps`."""
    if cell.rate_rps is not None:
        return f"{cell.rate_rps:g}rps"
    return f"{paced_rps(cell):g}paced" if cell.loop == "paced" else "max"


def paced_rps(cell: Cell) -> float:
    """The rate at which the requests of a paced cell were sent, by those that were answered: two digits."""
    return float(f"{cell.achieved_rps or 0.0:.2g}")


def rate_text(cell: Cell) -> str:
    """The load in a column: `9,364 max`, `500 paced`, `3,800 of 4,000`."""
    achieved = numbers.rate(cell.achieved_rps)
    if cell.rate_rps is not None:
        return f"{achieved} of {numbers.rate(cell.rate_rps)}"
    return f"{numbers.rate(paced_rps(cell))} paced" if cell.loop == "paced" else f"{achieved} max"


def _label_parts(cell: Cell) -> list[str]:
    """What a label is made of; cells that differ only in how they are paced have the same rate."""
    rate = "max" if cell.rate_rps is None else f"{cell.rate_rps:g}rps"
    sizes = [f"q{cell.request_bytes}", f"s{cell.response_bytes}", f"c{cell.connections}"]
    extras = ["" if cell.is_usual(name) else _extra_text(name, getattr(cell, name)) for name in _LABEL_EXTRAS]
    extras.append("new" if cell.new_connections else "")
    return [cell.protocol, cell.topology, cell.temperature, *sizes, rate, *extras]


def _extra_text(name: str, value: object) -> str:
    """An optional dimension of a cell as part of a label; foreign characters stay out of labels."""
    text = "+".join(map(str, value)) if isinstance(value, list) else str(value)
    text = {"headers": f"{text}headers", "messages": f"{text}messages", "workers": f"{text}workers"}.get(name, text)
    text = f"with.{text}" if name == "extra_headers" else text
    text = f"for.{text}" if name == "application" else text
    return re.sub(r"[^A-Za-z0-9_.:+]", "_", text)[:_LONGEST_EXTRA]


def shared_workload(cells: Sequence[Cell]) -> str:
    """What all cells have in common, in words: `request 128 B, response 1 KiB, 1 connection, 500/s paced`."""
    texts: dict[str, Callable[[Cell], str]] = {
        "request_bytes": lambda cell: f"request {numbers.size(cell.request_bytes)}",
        "response_bytes": lambda cell: f"response {numbers.size(cell.response_bytes)}",
        "connections": lambda cell: numbers.plural(cell.connections, "connection"),
    }
    shared = [
        text(cells[0]) for key, text in texts.items() if cells and len({getattr(cell, key) for cell in cells}) == 1
    ]
    if len({cell.rate_rps for cell in cells}) == 1:
        shared.append(_loads_text(cells))
    return ", ".join(shared)


def _loads_text(cells: Sequence[Cell]) -> str:
    """The loads of cells of one offered rate, by temperature where they differ."""
    loads: dict[str, list[str]] = {}
    for cell in cells:
        known = loads.setdefault(load_text(cell), [])
        if cell.temperature not in known:
            known.append(cell.temperature)
    if len(loads) == 1:
        return next(iter(loads))
    return ", ".join(f"{' and '.join(names)}: {load}" for load, names in loads.items())


def load_text(cell: Cell) -> str:
    """The offered load in words."""
    if cell.rate_rps is not None:
        return f"{cell.loop} loop at {numbers.rate(cell.rate_rps)}/s"
    return f"{numbers.rate(paced_rps(cell))}/s paced" if cell.loop == "paced" else "as fast as answers come"


def by_temperature(cells: Sequence[Cell]) -> list[list[Cell]]:
    """The cells in groups that differ only in cache temperature, hot first."""

    def key(cell: Cell) -> list[str]:
        parts = _label_parts(cell)
        return [*parts[:2], *parts[3:]]

    positions: dict[str, int] = {}
    for cell in cells:
        positions.setdefault(str(key(cell)), len(positions))
    grouped = groupby(sorted(cells, key=lambda cell: positions[str(key(cell))]), key=key)
    return [sorted(group, key=lambda cell: _rank(_PREFERRED_TEMPERATURES, cell.temperature)) for _, group in grouped]


def group_name(group: Sequence[Cell], labels: Mapping[str, str]) -> str:
    """The label that the cells of a `by_temperature` group share."""
    label, temperature = labels[group[0].id], group[0].temperature
    return "-".join(part for part in label.split("-") if part != temperature)


def medians_ns(latency: Latency) -> dict[str, float]:
    """The components' shares of the median exchange, in ns."""
    return {name: latency.components[name].median_ns for name in ordered(latency.components)}


def share(part: float, parts: Iterable[float]) -> float | None:
    """`part` of the sum of `parts`; None where the sum is not positive and a share would mean nothing."""
    whole = sum(parts)
    return part / whole if whole > 0 else None


def latency_over_baseline(latency: Latency) -> float | None:
    """Overhead at the median as a fraction of the median without sidecars."""
    return latency.overhead_p50_ns / latency.baseline_p50_ns if latency.baseline_p50_ns > 0 else None


def cpu_over_baseline(cpu: Cpu) -> float | None:
    """Added CPU as a fraction of the CPU without sidecars."""
    baseline_ns = cpu.baseline_cpu_ns_per_request
    return cpu.overhead_ns / baseline_ns if baseline_ns > 0 else None


def closure(cell: Cell, currency: Currency) -> float | None:
    """The closure residual of `latency` or `cpu`; None too without sidecar, where it would be relative to zero."""
    part = cell.part(currency)
    return None if part is None or cell.topology == NONE else part.closure_residual


def exchanges(latency: Latency) -> tuple[int, int, int]:
    """Exchanges sampled, dropped and lost. Every component sees the same ones; where they differ the worst counts."""
    components = latency.components.values()
    if not components:
        return 0, 0, 0
    samples = min(part.samples for part in components)
    return samples, max(part.dropped for part in components), max(part.lost for part in components)


def named_sources(cells: Sequence[Cell]) -> str:
    """Where the latency figures come from, as `timeline (ipc, socket_read); remainder (other)`."""
    names: dict[str, list[str]] = {}
    for cell in cells:
        components = cell.latency.components if cell.latency else {}
        for name in ordered(components):
            known = names.setdefault(printable(components[name].source), [])
            if name not in known:
                known.append(name)
    return "; ".join(f"{source} ({', '.join(members)})" for source, members in names.items())


def nonzero(parts: Sequence[Mapping[str, float]]) -> list[str]:
    """The components that are not exactly zero everywhere, in order; `other` always stays."""
    found = {name for part in parts for name, value in part.items() if value or name == OTHER}
    return ordered(found)


def place_name(place: Place) -> str:
    """Place and direction in words: `client sidecar, request`."""
    return f"{place.place.replace('_', ' ')}, {place.direction}"


def representatives(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Per protocol the cells that stand for the rest, one per temperature and otherwise alike.

    Nothing special configured, most sidecars, fewest connections, smallest messages: the figure people quote.
    """

    def preference(group: Sequence[Cell]) -> tuple[Any, ...]:
        first = group[0]
        return (
            all(cell.latency is None for cell in group),
            sum(not first.is_usual(name) for name in _QUOTED),
            first.reference,
            _rank(_PREFERRED_TOPOLOGIES, first.topology),
            first.connections,
            first.rate_rps is not None,
            first.request_bytes + first.response_bytes,
        )

    protocols = dict.fromkeys(cell.protocol for cell in cells)
    groups = by_temperature(cells)
    return [min((group for group in groups if group[0].protocol == name), key=preference) for name in protocols]


def headline(cells: Sequence[Cell]) -> str:
    """What the sidecars cost, in a sentence; the cells differ only in temperature (see `representatives`)."""
    first = cells[0]
    added = [(cell, text) for cell in cells if (text := _added_text(cell))]
    if not added:
        return f"Nothing was measured for {protocol_name(first.protocol)}."
    subject, verb = _SUBJECTS.get(first.topology, (f"{first.topology} of {{}}", "adds"))
    (nearest, text), *others = added
    also = [f"{text} with {temperature_name(cell.temperature)}" for cell, text in others]
    more = f" ({', '.join(also).replace(PER_1000_RPS, '')})" if also else ""
    cost = f"{subject.format(protocol_name(first.protocol))} {verb} {text} with {temperature_name(nearest.temperature)}"
    return f"{cost}{more}{_parts_text(cells)}."


def _added_text(cell: Cell) -> str:
    """What a cell adds in both currencies: `0.20–0.36 ms and 0.25–0.44 vCPU per 1000 requests/s`."""
    found = []
    if cell.latency is not None:
        found.append(_range_text(cell.latency.overhead_p50_ns, cell.latency.overhead_ci95_ns, 1e-6, "ms"))
    if cell.cpu is not None:
        cost = _range_text(cell.cpu.overhead_ns, cell.cpu.overhead_ci95_ns, VCPU_PER_1000_RPS, "vCPU")
        found.append(cost + PER_1000_RPS)
    return " and ".join(found)


def _range_text(value: float, interval: Sequence[float] | None, factor: float, unit: str) -> str:
    """An overhead as a range for a sentence; one that may be next to nothing is at most its upper end."""
    if interval is None or interval[1] <= 0:
        return f"{numbers.significant(value * factor, 2)} {unit}"
    if interval[0] < interval[1] * _NEXT_TO_NOTHING:
        return f"at most {numbers.significant(interval[1] * factor, 2)} {unit}"
    return f"{numbers.between(interval[0] * factor, interval[1] * factor)} {unit}"


def _parts_text(cells: Sequence[Cell]) -> str:
    """The largest components of the first cell's latency."""
    latency = next((cell.latency for cell in cells if cell.latency is not None), None)
    parts = [] if latency is None else leading(latency)
    if not parts:
        return ""
    if parts[0][1] > _MOST:
        return f"; most of the latency is {component_phrase(parts[0][0])}"
    named = [component_phrase(name, numbers.percent(part)) for name, part in parts]
    return f"; the largest parts of the latency are {' and '.join(named)}"


def component_phrase(name: str, share: str = "") -> str:
    """A component in words, with its share if given: `ipc` → `moving data between processes (ipc, 40 %)`."""
    phrase, names = (_PHRASES[name], [name]) if name in _PHRASES else (name, [])
    remarks = ", ".join([*names, *([share] if share else [])])
    return f"{phrase} ({remarks})" if remarks else phrase


def problems(profile: Profile) -> list[tuple[str, str]]:
    """Every error and warning with its next step as (kind, text), errors first; the cell's label leads its own."""
    labels = cell_labels(profile.cells)
    errors = [("error", text) for text in probe_problems(profile)]
    warnings = [("warning", text) for text in profile.warnings]
    for cell in profile.cells:
        errors += [("error", f"{labels[cell.id]}: {text}") for text in cell.errors]
        warnings += [("warning", f"{labels[cell.id]}: {text}") for text in cell.warnings]
    return errors + warnings


def problem_count_text(profile: Profile) -> str:
    """How many errors and warnings there are, in words."""
    kinds = [kind for kind, _ in problems(profile)]
    found = [(kinds.count("error"), "error"), (kinds.count("warning"), "warning")]
    return ", ".join(numbers.plural(number, name) for number, name in found if number) or "none"


def probe_problems(profile: Profile) -> list[str]:
    """One line per probe that is not attached or reported an error, or saw nothing."""
    return [
        f"probe {probe.program}/{probe.name}: {probe_status(probe)}"
        for probe in profile.probes
        if probe_status(probe) != "ok"
    ]


def probe_status(probe: Probe) -> str:
    """`ok`, or what is wrong with the probe."""
    if probe.error:
        return probe.error
    if not probe.attached:
        return "not attached"
    return "ok" if probe.hits or probe.name in RARE else "attached but no hits"


def hit_ns(calibration: Calibration, probe: Probe) -> float | None:
    """The calibrated cost of one hit of a probe in ns: its own, or else that of its program."""
    costs = calibration.probe_hit_ns
    return costs.get(probe.name, costs.get(probe.program))


def machine_text(environment: Mapping[str, Any]) -> str:
    """The machine in one line, from whatever the environment records."""
    parts = [environment.get("distribution"), _prefixed("Linux ", environment.get("kernel"))]
    cpus, model = environment.get("cpus"), environment.get("cpu_model")
    allowed = environment.get("cpus_allowed", cpus)
    count = cpus if allowed == cpus else f"{allowed} of {cpus}"
    parts.append(f"{count} CPUs ({model})" if cpus and model else model)
    memory = environment.get("memory_bytes")
    parts.append(numbers.size(memory) if isinstance(memory, int | float) else None)
    parts.append(environment.get("virtualisation"))
    return ", ".join(printable(str(part)) for part in parts if part) or numbers.UNKNOWN


def proxy_text(proxies: Mapping[str, Proxy]) -> str:
    """The proxies in one line: name, version, build, workers."""
    lines = []
    for name, proxy in proxies.items():
        workers = numbers.plural(proxy.workers, "worker") if proxy.workers else None
        parts = [f"{name} {proxy.version}", proxy.build, workers]
        lines.append(", ".join(printable(str(part)) for part in parts if part))
    return "; ".join(lines) or numbers.UNKNOWN


def noise_text(noise: RunNoise) -> str:
    """Steal and CPU pressure in one line, with the verdict where the machine was noisy."""
    steal, pressure = numbers.percent(noise.steal_ratio, 1), numbers.percent(noise.psi_cpu_some_ratio, 1)
    figures = f"CPU stolen by the host {steal}, tasks waiting for a CPU {pressure} of the time"
    return f"noisy: treat small differences with care ({figures})" if noise.noisy else figures


def anchor_text(anchor: Anchor | None) -> str:
    """The anchor cell in one line: which, how often, how far it drifted."""
    if anchor is None:
        return "not measured, so drift of the machine is unknown"
    rounds = numbers.plural(len(anchor.rounds), "round")
    name = f"{anchor.protocol}-{anchor.topology}-{anchor.temperature}"
    return (
        f"{name} drifted by {numbers.percent(anchor.drift_ratio, 1)} over {rounds} "
        f"(median {numbers.micros(anchor.median_with_p50_ns)} µs)"
    )


def anchored_overhead_ns(cell: Cell) -> float | None:
    """The latency overhead at the median speed of the run, by the anchor; None where that is not known."""
    if cell.latency is None or cell.anchor_factor is None:
        return None
    return cell.latency.overhead_p50_ns * cell.anchor_factor


def interval_text(cells: Sequence[Cell]) -> str:
    """What a 95 % interval of these cells means, with the number of rounds that it rests on."""
    latency = [len(overhead_figure(cell.latency).rounds_ns) or cell.rounds for cell in cells if cell.latency]
    cpu = [len(overhead_figure(cell.cpu).rounds_ns) or cell.rounds for cell in cells if cell.cpu]
    counts = [f"{_span(found)} rounds of {name}" for name, found in (("latency", latency), ("CPU", cpu)) if found]
    return f"95 % interval: {MEANING}; n = {', '.join(counts)}" if counts else f"95 % interval: {MEANING}"


def _span(counts: Sequence[int]) -> str:
    least, most = min(counts), max(counts)
    return str(least) if least == most else f"{least} to {most}"


def disturbance_text(cell: Cell) -> str:
    """What the probes changed, in words."""
    ratios = cell.perturbation
    named = {
        "median latency": ratios.latency_ratio,
        "throughput": ratios.throughput_ratio,
        "proxy CPU": ratios.proxy_cpu_ratio,
    }
    changes = [f"{name} {numbers.change_percent(ratio)}" for name, ratio in named.items() if ratio is not None]
    return f"measuring changed {', '.join(changes)}"


def leading(latency: Latency, most: int = 2) -> list[tuple[str, float]]:
    """The largest components with their shares, largest first."""
    medians = medians_ns(latency)
    shares = [(name, share(value, medians.values()) or 0.0) for name, value in medians.items()]
    return sorted((pair for pair in shares if pair[1] > 0), key=lambda pair: -pair[1])[:most]


def _rank(preferred: Sequence[str], name: str) -> int:
    return preferred.index(name) if name in preferred else len(preferred)


def _prefixed(prefix: str, value: object) -> str | None:
    return None if value is None else f"{prefix}{value}"


def added_costs(cells: Sequence[Cell]) -> list[tuple[Cell, str, LatencyComponent | None, CpuComponent | None]]:
    """What TLS and each filter cost: (cell, component, its latency entry, its CPU entry)."""
    found = []
    for cell in cells:
        latency = cell.latency.components if cell.latency else {}
        cpu = cell.cpu.components if cell.cpu else {}
        for name in ordered({**latency, **cpu}):
            if name == TLS or name.startswith("filter:"):
                found.append((cell, name, latency.get(name), cpu.get(name)))
    return found


def tells_from_zero(interval: Sequence[float] | None) -> bool:
    """Whether a 95 % interval leaves zero out."""
    return interval is not None and not interval[0] <= 0 <= interval[1]


def user_splits(cells: Sequence[Cell]) -> list[tuple[Cell, dict[str, UserSplit]]]:
    """Cells whose user time was split by more than one source, with the split."""
    return [(cell, cell.cpu.user_split) for cell in cells if cell.cpu is not None and len(cell.cpu.user_split) > 1]


def handshakes(cells: Sequence[Cell]) -> list[tuple[Cell, Cell]]:
    """Pairs of mTLS cells that differ in nothing but a new connection per request: with it, and kept alive.

    As TCP proxies only: HTTP proxies keep their connections to each other whatever the client does.
    """

    def key(cell: Cell) -> tuple[Any, ...]:
        names = ("protocol", "topology", "proxy", "temperature", "request_bytes", "response_bytes", "headers")
        return (*(getattr(cell, name) for name in names), tuple(cell.filters), cell.messages)

    mutual = [cell for cell in cells if cell.tls == MTLS and cell.protocol == TCP and cell.latency is not None]
    kept = {key(cell): cell for cell in mutual if not cell.new_connections}
    return [(cell, kept[key(cell)]) for cell in mutual if cell.new_connections and key(cell) in kept]


def record_costs(cells: Sequence[Cell]) -> list[tuple[Cell, Cell, float]]:
    """What TLS records cost per KiB of message: (smallest cell, largest cell, ns per KiB) of each configuration.

    Of mTLS cells over kept connections that differ in nothing but the sizes of request and response.
    """

    def key(cell: Cell) -> tuple[Any, ...]:
        names = ("protocol", "topology", "proxy", "temperature", "connections", "rate_rps", "headers", "messages")
        return (*(getattr(cell, name) for name in names), tuple(cell.filters))

    groups: dict[tuple[Any, ...], list[tuple[Cell, float]]] = {}
    for cell in cells:
        mutual = cell.tls == MTLS and not cell.new_connections
        if mutual and cell.latency is not None and (tls := cell.latency.components.get(TLS)):
            groups.setdefault(key(cell), []).append((cell, tls.median_ns))
    found = []
    for group in groups.values():
        smallest, least_ns = min(group, key=lambda entry: _message_bytes(entry[0]))
        largest, most_ns = max(group, key=lambda entry: _message_bytes(entry[0]))
        further_kib = (_message_bytes(largest) - _message_bytes(smallest)) / 1024
        if further_kib > 0:
            found.append((smallest, largest, (most_ns - least_ns) / further_kib))
    return found


def _message_bytes(cell: Cell) -> int:
    return cell.request_bytes + cell.response_bytes * cell.messages
