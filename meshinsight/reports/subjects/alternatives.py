"""What to do about the cost: measured configurations that cost clearly less, and what each gives up. Pure: no I/O."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from meshinsight import numbers
from meshinsight.reports.report import Section
from meshinsight.reports.subjects import profile_summary, summaries
from profiler.profile.types import Cell, Currency
from profiler.vocabulary.hop import NONE, PLAIN, SHARED
from profiler.vocabulary.protocols import TCP

_SAME: Final = (
    "temperature", "proxy", "variant", "proxy_config", "request_bytes", "response_bytes", "headers", "header_bytes",
    "messages", "new_connections", "extra_headers", "connections", "rate_rps", "reference",
)  # fmt: skip
"""Where an alternative is like the cell that is quoted."""

_CHANGED: Final = ("protocol", "topology", "tls", "filters", "transport", "placement", "workers")
"""An alternative differs in one of these."""

_TOPOLOGIES: Final = {
    "client": ("only the client-side sidecar", "what the server-side sidecar does: access rules, mTLS, metrics there"),
    "server": ("only the server-side sidecar", "what the client-side sidecar does: balancing, retries, mTLS"),
    SHARED: ("one proxy shared by the node", "a separate proxy for each service"),
}
_PLACEMENTS: Final = {
    "together": ("client, sidecars and server on the same CPU", "parallel work of these processes"),
    "apart": ("client, sidecars and server on different CPUs", "short ways between these processes"),
}


@dataclass(frozen=True, slots=True)
class Alternative:
    """A measured cell that differs from a quoted one in one choice, and what it saves by currency, with intervals."""

    choice: str
    gives_up: str
    cell: Cell
    saved: Mapping[Currency, tuple[float, tuple[float, float]]]

    @property
    def clear(self) -> bool:
        """Whether it saves more than nothing of a currency, by the interval."""
        return any(low > 0 for _, (low, _) in self.saved.values())


def section(cells: Sequence[Cell]) -> Section:
    """The alternatives that clearly save something, those of HTTP first, most latency saved first."""
    groups = profile_summary.quoted(cells)
    rows = [
        (f"{summaries.protocol_name(group[0].protocol)}: {item.choice}", *_figures(item), item.gives_up)
        for group in groups
        for item in sorted(alternatives(group[0], cells), key=_latency_saved, reverse=True)
        if item.clear
    ]
    return Section(
        "",
        ("instead", "saves, µs per\nrequest at p50", "saves, vCPU\nper 1000/s", "gives up"),
        rows,
        about=_ABOUT.format(summaries.temperature_name(groups[0][0].temperature)) if rows else "",
        left=(0, 3),
    )


_ABOUT: Final = (
    "Choices of this profile that cost clearly less than the quoted one, each with {} and half of the 95 % interval of "
    "the saving."
)


def alternatives(quoted: Cell, cells: Sequence[Cell]) -> Iterator[Alternative]:
    """The cells that differ from the quoted one in one choice."""
    for cell in cells:
        if cell.topology == NONE or any(getattr(cell, name) != getattr(quoted, name) for name in _SAME):
            continue
        changed = [name for name in _CHANGED if getattr(cell, name) != getattr(quoted, name)]
        if len(changed) != 1:
            continue
        choice, gives_up = _NAMES[changed[0]](cell, quoted)
        if choice:
            yield Alternative(choice, gives_up, cell, dict(_saved(quoted, cell)))


def _protocol(cell: Cell, quoted: Cell) -> tuple[str, str]:
    name = summaries.protocol_name(quoted.protocol)
    return (
        (f"sidecars move {name} as TCP", "retries, routes and metrics by request") if cell.protocol == TCP else ("", "")
    )


def _topology(cell: Cell, _: Cell) -> tuple[str, str]:
    return _TOPOLOGIES.get(cell.topology, ("", ""))


def _placement(cell: Cell, _: Cell) -> tuple[str, str]:
    return _PLACEMENTS.get(cell.placement, ("", ""))


def _tls(cell: Cell, _: Cell) -> tuple[str, str]:
    return ("no mTLS", "encryption and identity") if cell.tls == PLAIN else ("", "")


def _filters(cell: Cell, quoted: Cell) -> tuple[str, str]:
    fewer = [name for name in quoted.filters if name not in cell.filters]
    return (f"without {', '.join(fewer)}", "what that filter does") if fewer else ("", "")


def _transport(cell: Cell, _: Cell) -> tuple[str, str]:
    return f"transport {cell.transport} between application and sidecar", "nothing, but applications must support it"


def _workers(cell: Cell, _: Cell) -> tuple[str, str]:
    return numbers.plural(cell.workers, "worker"), "–"


_NAMES: Final[Mapping[str, Callable[[Cell, Cell], tuple[str, str]]]] = {
    "protocol": _protocol,
    "topology": _topology,
    "placement": _placement,
    "tls": _tls,
    "filters": _filters,
    "transport": _transport,
    "workers": _workers,
}


def _saved(quoted: Cell, cell: Cell) -> Iterator[tuple[Currency, tuple[float, tuple[float, float]]]]:
    currencies: tuple[Currency, ...] = ("latency", "cpu")
    for currency in currencies:
        before, after = _overhead(quoted, currency), _overhead(cell, currency)
        if before is not None and after is not None:
            value = before[0] - after[0]
            half = math.hypot(before[1], after[1])
            yield currency, (value, (value - half, value + half))


def _overhead(cell: Cell, currency: Currency) -> tuple[float, float] | None:
    """An overhead in ns and half of its interval; None where either is not known."""
    part: Any = cell.part(currency)
    if part is None or part.overhead_ci95_ns is None:
        return None
    low, high = part.overhead_ci95_ns
    return part.overhead_p50_ns if currency == "latency" else part.overhead_ns, (high - low) / 2


def _latency_saved(item: Alternative) -> float:
    return item.saved["latency"][0] if "latency" in item.saved else -math.inf


def _figures(item: Alternative) -> tuple[str, str]:
    shown = []
    factors: tuple[tuple[Currency, float], ...] = (("latency", 1e-3), ("cpu", summaries.VCPU_PER_1000_RPS))
    for currency, factor in factors:
        value, interval = item.saved.get(currency, (None, None))
        shown.append(numbers.plus_minus(value, interval, factor))
    return shown[0], shown[1]
