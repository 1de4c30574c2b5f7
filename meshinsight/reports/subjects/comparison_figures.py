"""The pictures of a comparison: the change of each component of the whole, and one picture per component. Pure."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from meshinsight.reports.figures import Change, Changes
from meshinsight.reports.subjects.summaries import ordered
from profiler.comparison.compare import Compared, Comparison
from profiler.comparison.figures import CPU, LATENCY, P99, TOTAL

SHOWN: Final = 30
"""So many rows of a picture can be read."""
_CURRENCIES: Final = {LATENCY: "latency, % of its overhead", CPU: "CPU, % of its overhead"}


def mean_pictures(found: Comparison, part: str, name: str) -> list[Changes]:
    """The mean over parts, by component."""
    means = [entry for cell, entry in found.figures() if not cell]
    picture = _picture(f"{name}-mean", f"Change of the mean over {part}s", means, lambda entry: entry.key.component)
    return [picture] if picture.rows else []


def component_pictures(found: Comparison, part: str, name: str) -> list[Changes]:
    """One picture per component, by part."""
    by_part = [(cell, entry) for cell, entry in found.figures() if cell]
    names = {id(entry): cell for cell, entry in by_part}
    components = [TOTAL, *ordered({entry.key.component for _, entry in by_part} - {TOTAL})]
    made = [
        _picture(
            f"{name}-{number}",
            f"Change of {component}, by {part}",
            [entry for _, entry in by_part if entry.key.component == component],
            lambda entry: names[id(entry)],
        )
        for number, component in enumerate(components)
    ]
    return [picture for picture in made if picture.rows]


def _picture(name: str, title: str, entries: Sequence[Compared], label: Callable[[Compared], str]) -> Changes:
    """One row per label; where there are too many, those with the largest change."""
    known = [entry for entry in entries if entry.key.statistic != P99 and entry.effect is not None]
    sizes: dict[str, float] = {}
    for entry in known:
        sizes[label(entry)] = max(sizes.get(label(entry), 0.0), abs(entry.effect or 0.0))
    largest = set(sorted(sizes, key=lambda text: -sizes[text])[:SHOWN])
    cut = f" ({len(largest)} of {len(sizes)}, largest changes)" if len(largest) < len(sizes) else ""
    panels = {
        axis: list(_changes([entry for entry in known if entry.key.currency == currency], largest, label))
        for currency, axis in _CURRENCIES.items()
    }
    return Changes(name, title + cut, panels)


def _changes(entries: Sequence[Compared], rows: set[str], label: Callable[[Compared], str]) -> Iterator[Change]:
    seen: set[str] = set()
    for entry in entries:
        text = label(entry)
        if text in rows and text not in seen:  # further statistics are in the table
            seen.add(text)
            scale = 100 / entry.whole
            interval = entry.difference.interval
            ends = None if interval is None else (interval[0] * scale, interval[1] * scale)
            yield Change(text, entry.difference.value * scale, ends, entry.verdict)
