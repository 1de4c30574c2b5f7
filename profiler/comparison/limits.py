"""Limits of figures of a profile, as expressions. Pure.

latency.parsing.p50 < +5%          against a baseline: at most 5 % more
mean.cpu.total < +2%               the mean over cells
latency.total.p99 < 2ms            in each cell, what the sidecars add
cpu.total < 0.25 vcpu/1krps        CPU time that the sidecars add
closure < 10%                      how far components miss the measured overhead
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from profiler.comparison.figures import CPU, LATENCY, P50, P99, PER_REQUEST, TOTAL, Key
from profiler.errors import UsageError
from profiler.files.units import parse_duration_ns
from profiler.text import not_one_of, one_line
from profiler.vocabulary.components import COMPONENTS

CLOSURE: Final = "closure"
LONGEST_LINE: Final = 200
_EXAMPLE: Final = "such as 'latency.parsing.p50 < +5%' or 'cpu.total < 0.25 vcpu/1krps'"
_EXPRESSION: Final = re.compile(r"\s*([A-Za-z0-9_.:-]+)\s*(<=?)\s*([+-]?)\s*([0-9]+(?:\.[0-9]+)?)\s*(\S[^<>]*?)?\s*")
_MEAN: Final = "mean."
NS_PER_VCPU: Final = 1e6
"""One vCPU at 1000 requests per second is a millisecond per request."""
_VCPU: Final = re.compile(r"vcpus?\s*/\s*(?:1k|1000)\s*rps", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Limit:
    """What a figure must stay below: `bound` in ns, or a fraction where `share`.

    `against` a baseline it bounds the change. `mean` bounds the mean over cells. `key` None is the closure residual of
    both currencies.
    """

    text: str
    key: Key | None
    bound: float
    share: bool
    against: bool
    mean: bool

    @property
    def vcpu(self) -> bool:
        """Whether it is written in vCPU per 1000 requests per second."""
        return bool(_VCPU.search(self.text))


def parse_limit(text: str, origin: str) -> Limit:
    """A limit. Raises `UsageError` with one line that begins with `origin`."""
    match = _EXPRESSION.fullmatch(text) if len(text) <= LONGEST_LINE else None
    if match is None:
        raise UsageError(f"{origin}: expected a limit {_EXAMPLE}; found {one_line(text)!r}")
    subject, _, sign, number, unit = match.groups()
    where = f"{origin}: {one_line(text)!r}"
    mean = subject.startswith(_MEAN)
    name = subject.removeprefix(_MEAN)
    key = None if name == CLOSURE else _key(name, where)
    try:
        bound, share = _bound(number, (unit or "").strip(), key)
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from None
    limit = Limit(" ".join(text.split()), key, -bound if sign == "-" else bound, share, bool(sign), mean)
    _check(limit, where)
    return limit


def parse_limits(text: str, origin: str) -> list[Limit]:
    """The limits of a file, one on a line; empty lines and what follows a # are left out."""
    lines = [(number, line.partition("#")[0]) for number, line in enumerate(text.splitlines(), 1)]
    found = [parse_limit(line, f"{origin}: line {number}") for number, line in lines if line.strip()]
    if not found:
        raise UsageError(f"{origin}: no limit in it; write one on a line, {_EXAMPLE}")
    return found


def require_known(limit: Limit, found: Iterable[str]) -> None:
    """Raise `UsageError` unless the limit's component is one of those `found` in the cells."""
    known = list(dict.fromkeys(found))
    if limit.key is not None and limit.key.component not in known:
        raise UsageError(f"{limit.text}: component: {not_one_of(limit.key.component, known)}")


def _key(name: str, where: str) -> Key:
    currency, _, rest = name.partition(".")
    if currency not in (LATENCY, CPU):
        raise UsageError(f"{where}: {not_one_of(currency, (LATENCY, CPU, CLOSURE))}")
    component, _, last = rest.rpartition(".")
    if last not in (P50, P99) or not component:
        component, last = rest, P50 if currency == LATENCY else ""
    if not component.startswith("filter:") and component not in (TOTAL, *COMPONENTS):
        raise UsageError(f"{where}: component: {not_one_of(component, (TOTAL, *COMPONENTS, 'filter:NAME'))}")
    if currency == CPU:
        if last:
            raise UsageError(f"{where}: CPU time has no percentiles; write cpu.{component}")
        return Key(CPU, component, PER_REQUEST)
    return Key(LATENCY, component, last)


def _bound(number: str, unit: str, key: Key | None) -> tuple[float, bool]:
    """The bound in base units, and whether it is a fraction. Raises ValueError."""
    if unit == "%":
        return float(number) / 100, True
    if _VCPU.fullmatch(unit) and key is not None and key.currency == CPU:
        return float(number) * NS_PER_VCPU, False
    return parse_duration_ns(f"{number}{unit}"), False


def _check(limit: Limit, where: str) -> None:
    if limit.key is None:
        if limit.mean or limit.against or not limit.share:
            raise UsageError(f"{where}: closure is limited as a share in each cell, such as 'closure < 10%'")
    elif limit.share and not limit.against:
        raise UsageError(f"{where}: a share is a change against the baseline and needs a sign, such as +5%")
    if limit.mean and not (limit.share and limit.against and limit.key and limit.key.statistic != P99):
        raise UsageError(f"{where}: a mean over cells is limited against a baseline, such as 'mean.cpu.total < +5%'")
    if limit.share and limit.against and limit.bound <= -1:
        raise UsageError(f"{where}: a figure cannot fall by 100 % or more")
