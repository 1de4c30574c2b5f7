"""Rows of the long form as numpy columns, checked. What is wrong is told by graph, so that others go on. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from predictor.batch.columns import (
    ASYNCHRONOUS,
    CALLEE,
    CALLER,
    CHOICE_BY_NAME,
    CHOICES,
    FAILURE,
    FILTERS,
    GRAPH,
    NUMBERS,
    PERCENTILES,
    PERCENTS,
    WORKLOAD,
    Choice,
    Number,
)
from predictor.graph.service_time import ServiceTime
from predictor.graph.types import INGRESS, SIDECAR_MODES
from predictor.models.types import Floats
from predictor.predict.own_times import variance_ns2
from profiler.text import not_one_of

Indices = npt.NDArray[np.intp]
Booleans = npt.NDArray[np.bool_]

_EXPONENTIAL, _LOGNORMAL, _PERCENTILES = (
    CHOICE_BY_NAME["service_time"].words.index(kind) for kind in ("exponential", "lognormal", "percentiles")
)
NO_SIDECAR: Final = SIDECAR_MODES.index("none")
_NO_DISTRIBUTION: Final = (
    "service_time_percentiles_ns: expected as many times as service_time_percents has rising percents between 0 and "
    "100, above 0 and not falling"
)

_LONGEST_NS: Final = 1e18
_SPARSE: Final = 16
"""Names are numbered by a table while it is at most so many times as long as the rows, else by sorting."""


@dataclass(slots=True)
class Problems:
    """Why graphs cannot be predicted: the first reason of each, by the graph's number in the chunk."""

    texts: dict[int, str] = field(default_factory=dict)

    def add(self, graphs: Indices, text: str) -> None:
        for graph in np.unique(graphs).tolist():
            self.texts.setdefault(graph, text)


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of whole graphs. `graph`, `caller` and `callee` are numbers in the chunk; outside is caller −1.

    `numbers` and `choices` are by column; those of callees by node, of graphs by graph. `filters` are codes of
    `filter_sets`; `first` is each node's first row as callee, `deployment` by node.
    """

    graphs: int
    nodes: int
    graph: Indices
    caller: Indices
    callee: Indices
    node_graph: Indices
    first: Indices
    numbers: dict[str, Floats]
    choices: dict[str, npt.NDArray[np.int64]]
    asynchronous: Booleans | None
    filters: npt.NDArray[np.int64]
    filter_sets: tuple[tuple[str, ...], ...]
    deployment: Indices
    deployments: int
    own_variances: Floats


def graph_column(table: pa.Table) -> tuple[pa.Array, Indices, Indices]:
    """The graphs' ids, the first row of each, and each row's graph number: neighbours with equal ids are one graph."""
    column = table.column(GRAPH).combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    runs = pc.run_end_encode(column)
    ends = runs.run_ends.to_numpy().astype(np.intp)
    starts = np.concatenate(([0], ends[:-1])).astype(np.intp)
    return runs.values, starts, np.repeat(np.arange(len(ends)), ends - starts)


class Decoder:
    """Decodes one table."""

    def __init__(self, table: pa.Table, starts: Indices, graph: Indices) -> None:
        self._table = table
        self._starts = starts
        self._graph = graph
        self._count = table.num_rows
        self.problems = Problems()

    def rows(self) -> Rows | None:
        """The rows; None where `problems` has some, which are to be left out first."""
        self._failures()
        numbers = {item.name: self._number(item) for item in NUMBERS}
        choices = {item.name: self._choice(item) for item in CHOICES}
        filters, sets = self._filters()
        caller, callee, workload, vocabulary, outside = self._names()
        entry = caller == outside
        self._refuse(entry & ~(numbers["rate_rps"] >= 0.0), "rate_rps: not given for an entry (caller 'ingress')")
        self._refuse(callee == outside, f"callee: no service may be called {INGRESS!r}")
        if self.problems.texts:
            return None
        count = max(len(vocabulary), 1)
        base = self._graph * count
        keys = (base[~entry] + caller[~entry], base + callee)
        nodes, node_keys = _numbered(keys, len(self._starts) * count)
        node_graph = node_keys // count
        callers = np.full(self._count, -1, dtype=np.intp)
        callers[~entry] = nodes[0]
        first = np.full(len(node_keys), -1, dtype=np.intp)
        first[nodes[1][::-1]] = np.arange(self._count)[::-1]  # of equal places the last one written stays
        self.problems.add(node_graph[first < 0], "no request reaches one of its services")
        repeated = np.bincount(nodes[1][entry], minlength=len(node_keys)) > 1
        self.problems.add(node_graph[repeated], "an entry is there twice; add up their rates")
        entered = np.bincount(self._graph[entry], minlength=len(self._starts)) > 0
        self.problems.add(np.flatnonzero(~entered), "no entry; add a row with the caller 'ingress' and its rate_rps")
        if self.problems.texts:
            return None
        for item in NUMBERS:
            if item.of != "edge":
                chosen, values = first if item.of == "callee" else self._starts, numbers[item.name]
                given = values.strides != (0,)
                numbers[item.name] = values[chosen] if given else same(item.default, len(chosen))
        deployment, deployments = self._deployments(workload, callee, first, node_graph, count)
        own_variances = self._own_variances(numbers, choices["service_time"][first], first)
        if self.problems.texts:
            return None
        asynchronous = self._flags()
        choices["client_sidecar"] = np.where(entry, NO_SIDECAR, choices["client_sidecar"])
        return Rows(
            graphs=len(self._starts), nodes=len(node_keys), graph=self._graph, caller=callers, callee=nodes[1],
            node_graph=node_graph, first=first, numbers=numbers, choices=choices, asynchronous=asynchronous,
            filters=filters, filter_sets=sets, deployment=deployment, deployments=deployments,
            own_variances=own_variances,
        )  # fmt: skip

    def _own_variances(self, numbers: Mapping[str, Floats], kinds: npt.NDArray[np.int64], first: Indices) -> Floats:
        """Variances of service times by node, in ns²."""
        means = numbers["service_time_ns"]
        found = np.zeros(len(first))
        found[kinds == _EXPONENTIAL] = means[kinds == _EXPONENTIAL] ** 2
        varied = kinds == _LOGNORMAL
        found[varied] = (numbers["service_time_cv"][varied] * means[varied]) ** 2
        for node in np.flatnonzero(kinds == _PERCENTILES).tolist():
            percents, times = (self._listed(name, int(first[node])) for name in (PERCENTS, PERCENTILES))
            if not _is_distribution(percents, times):
                self.problems.add(self._graph[first[node] : first[node] + 1], _NO_DISTRIBUTION)
            elif times:
                points = tuple(zip(percents, times, strict=True))
                found[node] = variance_ns2(ServiceTime("percentiles", float(means[node]), percentiles=points))
        return found

    def _listed(self, name: str, row: int) -> list[Any]:
        """A list of numbers in a row; empty where there is none."""
        if name not in self._table.column_names:
            return []
        return list(self._table.column(name)[row].as_py() or ())

    def _refuse(self, wrong: Booleans, text: str) -> None:
        if wrong.any():
            self.problems.add(self._graph[wrong], text)

    def _failures(self) -> None:
        if FAILURE in self._table.column_names:
            for row, text in enumerate(self._table.column(FAILURE).to_pylist()):
                if text is not None:
                    self.problems.add(self._graph[row : row + 1], text)

    def _number(self, item: Number) -> Floats:
        if item.name not in self._table.column_names:
            return same(item.default, self._count)
        values = _floats(self._table.column(item.name))
        low, high = values.min(), values.max()  # NaN where one is
        if not (item.least <= low and high <= item.most and high < np.inf):
            wrong = (values < item.least) | (values > item.most) | np.isinf(values)
            self._tell(item, values, wrong)
        if np.isnan(low) and not np.isnan(item.default):
            values = np.where(np.isnan(values), item.default, values)
        return values

    def _tell(self, item: Number, values: Floats, wrong: Booleans) -> None:
        bounds = f"{item.least:g} or more" if item.most == np.inf else f"between {item.least:g} and {item.most:g}"
        for row in np.flatnonzero(wrong).tolist():
            text = f"{item.name}: expected {bounds}, found {values[row]:g}"
            self.problems.add(self._graph[row : row + 1], text)

    def _choice(self, item: Choice) -> npt.NDArray[np.int64]:
        default = item.words.index(item.default)
        if item.name not in self._table.column_names:
            return np.broadcast_to(np.int64(default), self._count)
        codes, words = _text(self._table.column(item.name))
        known = {word: number for number, word in enumerate(item.words)}
        found = np.array([*(known.get(word, -1) for word in words), default])[codes]
        for code in np.unique(codes[found < 0]).tolist():
            text = f"{item.name}: {not_one_of(words[code], item.words)}"
            self._refuse(codes == code, text)
        return found

    def _flags(self) -> Booleans | None:
        if ASYNCHRONOUS not in self._table.column_names:
            return None
        values = np.asarray(pc.fill_null(self._table.column(ASYNCHRONOUS).combine_chunks(), False))
        found = values.astype(np.bool_)
        return found if found.any() else None

    def _filters(self) -> tuple[npt.NDArray[np.int64], tuple[tuple[str, ...], ...]]:
        if FILTERS not in self._table.column_names:
            return np.zeros(self._count, dtype=np.int64), ((),)
        column = self._table.column(FILTERS).combine_chunks()
        if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
            column = pc.binary_join(column, "+")
        codes, words = _text(column)
        sets = [tuple(sorted(name for name in word.split("+") if name)) for word in words]
        numbers = {found: number for number, found in enumerate(dict.fromkeys([(), *sets]))}
        return np.array([*(numbers[found] for found in sets), 0])[codes], tuple(numbers)

    def _names(self) -> tuple[Indices, Indices, Indices | None, Sequence[str], int]:
        """Codes of callers, callees and workloads in one vocabulary, it, and the code of `ingress`."""
        columns = [_text(self._table.column(name)) for name in (CALLER, CALLEE)]
        for name, (codes, words) in zip((CALLER, CALLEE), columns, strict=True):
            self._refuse(codes == len(words), f"{name}: not given")
        if WORKLOAD in self._table.column_names:
            columns.append(_text(self._table.column(WORKLOAD)))
        vocabulary: dict[str, int] = {INGRESS: 0}
        found = []
        for codes, words in columns:
            numbers = [vocabulary.setdefault(word, len(vocabulary)) if word else -1 for word in words]
            found.append(np.array([*numbers, -1], dtype=np.intp)[codes])
        for name, codes in zip((CALLER, CALLEE), found, strict=False):
            self._refuse(codes < 0, f"{name}: not given")
        return found[0], found[1], found[2] if len(found) > 2 else None, list(vocabulary), 0

    def _deployments(
        self, workload: Indices | None, callee: Indices, first: Indices, node_graph: Indices, count: int
    ) -> tuple[Indices, int]:
        """The deployment of each node: its workload's, or its own."""
        if workload is None or (workload < 0).all():
            return np.arange(len(first)), len(first)
        names = np.where(workload[first] >= 0, workload[first], callee[first])
        (numbers,), keys = _numbered((node_graph * count + names,), len(self._starts) * count)
        return numbers, len(keys)


def _is_distribution(percents: Sequence[Any], times: Sequence[Any]) -> bool:
    """Whether percents with their times are points of a distribution of times. Neither has any: so they are."""
    numbers = [isinstance(value, int | float) and 0.0 < value < _LONGEST_NS for value in (*percents, *times)]
    if len(percents) != len(times) or not all(numbers):
        return False
    rising = all(later > earlier for earlier, later in pairwise(percents))
    return rising and max(percents, default=0.0) < 100.0 and list(times) == sorted(times)


def _numbered(keys: Sequence[Indices], most: int) -> tuple[list[Indices], Indices]:
    """Numbers from 0 for keys below `most`, equal keys alike, in the order of the keys; and the keys by number."""
    rows = sum(len(part) for part in keys)
    if most <= _SPARSE * max(rows, 1):
        present = np.zeros(most, dtype=np.bool_)
        for part in keys:
            present[part] = True
        known = np.flatnonzero(present)
        numbers = np.empty(most, dtype=np.intp)
        numbers[known] = np.arange(len(known))
        return [numbers[part] for part in keys], known
    known, inverse = np.unique(np.concatenate(keys), return_inverse=True)
    return np.split(inverse, np.cumsum([len(part) for part in keys])[:-1]), known


def same(value: float, count: int) -> Floats:
    """An array of one value, which takes no room."""
    return np.broadcast_to(np.float64(value), count)


def _floats(column: pa.ChunkedArray) -> Floats:
    values: Any = column.combine_chunks()
    if values.type != pa.float64():
        values = values.cast(pa.float64())
    return np.asarray(values.to_numpy(zero_copy_only=False))


def _text(column: Any) -> tuple[Indices, list[str]]:
    """Codes of a text column and its words; the code of null is the number of words."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    words = column.dictionary.to_pylist()
    indices = column.indices
    if indices.null_count:
        indices = pc.fill_null(indices, len(words))
    return np.asarray(indices).astype(np.intp), words
