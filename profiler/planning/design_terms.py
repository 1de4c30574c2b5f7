"""The terms that the planner's design is made for: what a cell, measured or planned, says of which coefficients. Pure.

Coefficients themselves are fitted by `predictor.models`, which chooses its knots by what was measured. A plan is made
before that, so its terms are fixed.
"""

from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from profiler.planning.cells import Cell
from profiler.profile import types as profile
from profiler.profile.intervals import overhead_figure
from profiler.vocabulary.hop import Hop, label_of
from profiler.vocabulary.protocols import GRPC

Floats = npt.NDArray[np.float64]

NOMINAL_ERROR: Final = 0.05
"""Relative error of a cell before one of its configuration was measured."""

_BEND_KIB: Final = 64.0
"""Messages beyond this size meet buffers and windows: a further KiB may cost another amount there."""

_SCALE: Final = np.array([1.0, 64.0, 64.0, 40.0, 10.0, 1.0, 960.0, 960.0])
"""What a large value of each term is: effects are compared over that distance."""

TERMS: Final = len(_SCALE)
"""Base, KiB of request and response, headers, further messages, new connection, both sizes beyond the bend."""

_OF_HOP: Final = tuple(
    entry.name
    for entry in fields(Hop)
    if entry.name not in ("filters", "variant") and entry.name in profile.Cell.__struct_fields__
)
"""Dimensions of a hop that a cell has under the same name and in the same form."""


@dataclass(frozen=True)
class DesignPoint:
    """A cell to the planner: `configuration` has coefficients of its own, `row` are its terms over a large value each.

    `error` is the relative standard error of its latency overhead.
    """

    configuration: tuple[Any, ...]
    row: Floats
    error: float = NOMINAL_ERROR


def planned(cell: Cell) -> DesignPoint:
    """A cell of a plan, as if it had been measured with the nominal error."""
    hop, load = cell.hop, cell.scene.load
    filters = tuple(label_of(name) for name in hop.filters)
    messages = load.messages if hop.application == GRPC else 1
    return DesignPoint(
        (*(getattr(hop, name) for name in _OF_HOP), hop.variant.name, filters, cell.scene.temperature),
        _row(load.request_bytes, load.response_bytes, load.headers, messages, load.new_connections),
    )


def measured(cell: profile.Cell) -> DesignPoint:
    """A cell that was measured."""
    return DesignPoint(
        (*(getattr(cell, name) for name in _OF_HOP), cell.variant, tuple(cell.filters), cell.temperature),
        _row(cell.request_bytes, cell.response_bytes, cell.headers, cell.messages, cell.new_connections),
        _relative_error(cell),
    )


def _row(request_bytes: int, response_bytes: int, headers: int, messages: int, new_connections: bool) -> Floats:
    request_kib, response_kib = request_bytes / 1024, response_bytes * messages / 1024
    beyond = [max(0.0, size_kib - _BEND_KIB) for size_kib in (request_kib, response_kib)]
    row = [1.0, request_kib, response_kib, headers, messages - 1, float(new_connections), *beyond]
    return np.asarray(np.array(row) / _SCALE)


def _relative_error(cell: profile.Cell) -> float:
    figure = overhead_figure(cell.latency) if cell.latency else None
    if figure is None or figure.value_ns <= 0 or not (error_ns := figure.standard_error_ns):
        return NOMINAL_ERROR
    return min(1.0, max(0.01, error_ns / figure.value_ns))
