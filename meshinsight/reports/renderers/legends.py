"""What a chart's colours and shapes mean: every series that it draws. Pure: no I/O."""

from collections.abc import Iterator
from dataclasses import dataclass

from meshinsight.reports.figures import Bars, Changes, Figure, Graph, History, OverTime, Scatter
from meshinsight.reports.renderers import palette


@dataclass(frozen=True, slots=True)
class Key:
    """An entry of a legend: a shape that the template knows, with a colour; "" is that of the text."""

    label: str
    shape: str
    colour: str = ""


def legend(figure: Figure) -> list[Key]:
    """The entries of a figure's legend, in order."""
    match figure:
        case Bars():
            return list(_of_bars(figure))
        case OverTime():
            return [Key(line.label, "line", line.colour) for line in figure.lines]
        case Scatter():
            return [
                Key("a call graph, with both 95 % intervals", "cross", palette.MEASURED),
                Key("prediction and measurement agree", "line"),
                Key("±20 %", "band"),
            ]
        case Graph():
            return list(_of_graph(figure))
        case Changes():
            return list(_of_changes(figure))
        case History():
            return [
                Key("one profile, with its 95 % interval", "cross", palette.MEASURED),
                Key("mean between change points", "line"),
                Key("change point", "dashed"),
            ]


def _of_bars(figure: Bars) -> Iterator[Key]:
    for name in figure.components:
        yield Key(name, "box", palette.colour(name))
    if any(bar.total is not None for panel in figure.panels for bar in panel.bars):
        yield Key(figure.total, "diamond")


def _of_changes(figure: Changes) -> Iterator[Key]:
    found = {change.verdict for changes in figure.panels.values() for change in changes}
    for verdict, (colour, shape) in palette.VERDICTS.items():
        if verdict in found:
            yield Key(f"{verdict}, with its 95 % interval" if verdict != "unknown" else "no interval", shape, colour)


def _of_graph(figure: Graph) -> Iterator[Key]:
    for heat, text in figure.heats:
        yield Key(text, "call", f"var(--heat-{heat})")
    yield Key(f"thickest line: {figure.thickest}", "thick")
    yield Key("critical path without sidecars", "dashed")
    yield Key("critical path with sidecars", "line")
