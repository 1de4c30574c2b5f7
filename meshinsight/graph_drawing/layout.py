"""Where boxes, lines and labels of a layered drawing go. Pure: numbers in, numbers out.

The method is Sugiyama's (layers, fewer crossings, positions), with one column for labels between two layers: there each
line has a row of its own, so that no label can lie on another one, on a box or on a line. Libraries for layered graphs
(grandalf, igraph) place boxes only. Units are those of the drawing, x to the right, y down.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

_SWEEPS: Final = 24
_ROW_GAP: Final = 9.0
_PORT_GAP: Final = 9.0
_BEND: Final = 30.0
_BEND_PER_RISE: Final = 0.09
"""The room for lines between two columns grows with the largest difference in height that one of them takes there."""

_STRAIGHTNESS: Final = 4.0
"""How much more a line wants to be straight than a box wants to be in the middle of its lines."""


@dataclass(frozen=True, slots=True)
class Box:
    """A box to place: the least size it needs, and its layer, 0 at the left."""

    width: float
    height: float
    layer: int


@dataclass(frozen=True, slots=True)
class Link:
    """A line from one box to another in a later layer; its label has the line in the middle of its height."""

    source: str
    target: str
    thickness: float
    label_width: float
    label_height: float


@dataclass(frozen=True, slots=True)
class Route:
    """A line as placed: bent from the first of its points to the second, straight to the third, and so on, bent to end.

    `label` is the centre of the label, which has the line in the middle.
    """

    points: tuple[tuple[float, float], ...]
    label: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Place:
    """A box as placed: its centre and size. Boxes of one layer are equally wide, and as high as their lines need."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Layout:
    """Boxes, routes in the order of the links, and the size of it all."""

    places: Mapping[str, Place]
    routes: tuple[Route, ...]
    width: float
    height: float


@dataclass(slots=True)
class _Item:
    """A box, or the passage of one line through one column. `left` and `right` are lines by link and other end."""

    column: int
    width: float
    height: float
    link: int | None = None
    label: bool = False
    left: list[tuple[int, int]] = field(default_factory=list)
    right: list[tuple[int, int]] = field(default_factory=list)
    ports: dict[tuple[int, bool], float] = field(default_factory=dict)


def layout(boxes: Mapping[str, Box], links: Sequence[Link]) -> Layout:
    """Place boxes and lines. Every link leads to a later layer."""
    items, chains = _items(boxes, links)
    columns = _ordered(_columns(items), items)
    _set_ports(items, columns, links)
    y = _closed_up(_heights(items, columns), items)
    x = _across(items, columns, y)
    return Layout(
        places={
            name: Place(x[item.column][0], at, x[item.column][1], item.height)
            for name, item, at in zip(boxes, items, y, strict=False)
        },
        routes=tuple(_route(number, chain, items, x, y) for number, chain in enumerate(chains)),
        width=x[-1][0] + x[-1][1] / 2,
        height=max(at + item.height / 2 for item, at in zip(items, y, strict=True)),
    )


def _items(boxes: Mapping[str, Box], links: Sequence[Link]) -> tuple[list[_Item], list[list[int]]]:
    """All items, boxes first, and each link's chain of items from box to box."""
    items = [_Item(2 * box.layer, box.width, box.height) for box in boxes.values()]
    index = {name: i for i, name in enumerate(boxes)}
    labels: dict[int, int] = {}
    chains: list[list[int]] = [[] for _ in links]
    spans = [(boxes[link.target].layer - boxes[link.source].layer, number) for number, link in enumerate(links)]
    for _, number in sorted(spans):  # short lines have no choice where their label goes
        link = links[number]
        first, last = 2 * boxes[link.source].layer + 1, 2 * boxes[link.target].layer - 1
        labelled = min(range(first, last + 1, 2), key=lambda column: labels.get(column, 0))
        labels[labelled] = labels.get(labelled, 0) + 1
        chain = [index[link.source]]
        for column in range(first, last + 1):
            label = column == labelled
            size = (link.label_width, link.label_height) if label else (0.0, link.thickness)
            items.append(_Item(column, *size, number, label))
            chain.append(len(items) - 1)
        chains[number] = [*chain, index[link.target]]
    for number, chain in enumerate(chains):
        for here, there in pairwise(chain):
            items[here].right.append((number, there))
            items[there].left.append((number, here))
    return items, chains


def _columns(items: Sequence[_Item]) -> list[list[int]]:
    """Items by column, in the order in which a walk along the lines meets them."""
    columns: list[list[int]] = [[] for _ in range(1 + max(item.column for item in items))]
    seen: set[int] = set()
    waiting = [i for i, item in enumerate(items) if not item.left][::-1]
    while waiting:
        i = waiting.pop()
        if i not in seen:
            seen.add(i)
            columns[items[i].column].append(i)
            waiting += [there for _, there in reversed(items[i].right)]
    return columns


def _ordered(columns: list[list[int]], items: Sequence[_Item]) -> list[list[int]]:
    """The order with fewest crossings among those that sorting by the mean place of neighbours comes by."""
    best, fewest = [list(column) for column in columns], _crossings(columns, items)
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 0
        for column in columns[1:] if forward else columns[-2::-1]:
            _sort(column, columns, items, forward)
        crossings = _crossings(columns, items)
        if crossings < fewest:
            best, fewest = [list(column) for column in columns], crossings
    return best


def _sort(column: list[int], columns: Sequence[Sequence[int]], items: Sequence[_Item], forward: bool) -> None:
    number = items[column[0]].column
    beside = columns[number - 1 if forward else number + 1]
    places = {i: place for place, i in enumerate(beside)}
    means = {}
    for place, i in enumerate(column):
        ends = [places[end] for _, end in (items[i].left if forward else items[i].right)]
        means[i] = sum(ends) / len(ends) if ends else place * len(beside) / len(column)
    column.sort(key=means.__getitem__)


def _crossings(columns: Sequence[Sequence[int]], items: Sequence[_Item]) -> int:
    """How many pairs of lines cross."""
    total = 0
    for column, beside in pairwise(columns):
        places = {i: place for place, i in enumerate(beside)}
        ends = [end for i in column for end in sorted(places[there] for _, there in items[i].right)]
        total += sum(one > other for number, one in enumerate(ends) for other in ends[number + 1 :])
    return total


def _set_ports(items: Sequence[_Item], columns: Sequence[Sequence[int]], links: Sequence[Link]) -> None:
    """Where on a box's side each line ends, from its centre; boxes grow to hold their lines."""
    places = {i: place for column in columns for place, i in enumerate(column)}
    for item in items:
        for outgoing, ends in ((False, item.left), (True, item.right)):
            ends.sort(key=lambda end: places[end[1]])
            if item.link is not None:
                item.ports[item.link, outgoing] = 0.0
                continue
            sizes = [links[number].thickness + _PORT_GAP for number, _ in ends]
            at = -sum(sizes) / 2
            for (number, _), size in zip(ends, sizes, strict=True):
                item.ports[number, outgoing] = at + size / 2
                at += size
            item.height = max(item.height, sum(sizes) + _PORT_GAP)


def _heights(items: Sequence[_Item], columns: Sequence[Sequence[int]]) -> list[float]:
    """Where items are from top to bottom: near their neighbours, in order, without overlap."""
    y = [0.0] * len(items)
    for column in columns:
        _spread(column, items, y, [0.0] * len(column), [1.0] * len(column))
    for sweep in range(_SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            wanted, weights = [], []
            for i in column:
                item = items[i]
                # The last sweeps settle between both sides; those before carry news from one end to the other.
                sides = ((item.left, False), (item.right, True))
                used = sides if sweep >= _SWEEPS // 2 else sides[:1] if sweep % 2 == 0 else sides[1:]
                pulls = [
                    (y[end] + items[end].ports[link, not right] - item.ports[link, right], _pull(item, items[end]))
                    for ends, right in used
                    for link, end in ends
                ]
                weight = sum(pull for _, pull in pulls)
                wanted.append(sum(at * pull for at, pull in pulls) / weight if pulls else y[i])
                weights.append(weight or 0.1)
            _spread(column, items, y, wanted, weights)
    return y


def _pull(one: _Item, other: _Item) -> float:
    return _STRAIGHTNESS if one.link is not None and other.link is not None else 1.0


def _spread(
    column: Sequence[int], items: Sequence[_Item], y: list[float], wanted: Sequence[float], weights: Sequence[float]
) -> None:
    """Least squares from the wanted places with the order and distances kept: pool adjacent violators."""
    offsets: list[float] = []
    offset, before = 0.0, 0.0
    for i in column:
        half = items[i].height / 2
        offset += before + half + (_ROW_GAP if offsets else 0.0)
        offsets.append(offset)
        before = half
    blocks: list[tuple[float, float, int]] = []  # mean, weight, number of items
    for at, off, weight in zip(wanted, offsets, weights, strict=True):
        block = (at - off, weight, 1)
        while blocks and blocks[-1][0] > block[0]:
            mean, heavy, count = blocks.pop()
            both = heavy + block[1]
            block = ((mean * heavy + block[0] * block[1]) / both, both, count + block[2])
        blocks.append(block)
    shifts = [mean for mean, _, count in blocks for _ in range(count)]
    for i, off, shift in zip(column, offsets, shifts, strict=True):
        y[i] = shift + off


def _closed_up(y: Sequence[float], items: Sequence[_Item]) -> list[float]:
    """The same places from zero on, without empty bands between parts that do not hang together."""
    spans = []  # top and bottom of each item with the lines to its right
    for item, at in zip(items, y, strict=True):
        ends = [y[end] for _, end in item.right]
        spans.append((min(at - item.height / 2, *ends, at), max(at + item.height / 2, *ends, at)))
    order = sorted(range(len(items)), key=spans.__getitem__)
    placed, bottom, shift = list(y), spans[order[0]][0], -spans[order[0]][0]
    for i in order:
        shift -= max(spans[i][0] - bottom - _ROW_GAP, 0.0)
        bottom = max(bottom, spans[i][1])
        placed[i] = y[i] + shift
    return placed


def _across(items: Sequence[_Item], columns: Sequence[Sequence[int]], y: Sequence[float]) -> list[tuple[float, float]]:
    """Centre and width of each column."""
    found: list[tuple[float, float]] = []
    right = 0.0
    for number, column in enumerate(columns):
        if number:
            rises = [abs(y[end] - y[i]) for i in columns[number - 1] for _, end in items[i].right]
            right += _BEND + _BEND_PER_RISE * max(rises, default=0.0)
        width = max(items[i].width for i in column)
        found.append((right + width / 2, width))
        right += width
    return found


def _route(
    number: int, chain: Sequence[int], items: Sequence[_Item], x: Sequence[tuple[float, float]], y: Sequence[float]
) -> Route:
    points, label = [], (0.0, 0.0)
    for place, i in enumerate(chain):
        item = items[i]
        centre, width = x[item.column]
        if place > 0:
            points.append((centre - width / 2, y[i] + item.ports[number, False]))
        if place < len(chain) - 1:
            points.append((centre + width / 2, y[i] + item.ports[number, True]))
        if item.label:
            label = (centre, y[i])
    return Route(tuple(points), label)
