"""What the planner's design takes from a cell."""

import numpy as np
import pytest

from profiler.planning.cells import make_plan
from profiler.planning.design_terms import NOMINAL_ERROR, TERMS, measured, planned
from profiler.planning.settings import ProfileSettings
from tests.profiler.planning.synthetic import synthetic_cell

LARGE = [1, 64, 64, 40, 10, 1, 960, 960]
"""A large value of each term."""


def test_the_terms_are_of_the_whole_exchange_with_what_is_beyond_64_kib_apart() -> None:
    cell = synthetic_cell(1, request_bytes=65_536, response_bytes=32_768, messages=3, headers=40, new_connections=True)
    assert (measured(cell).row * LARGE).tolist() == pytest.approx([1, 64, 96, 40, 2, 1, 0, 32])
    assert len(LARGE) == TERMS


def test_the_load_makes_no_other_configuration() -> None:
    loads = ({"request_bytes": 9}, {"response_bytes": 9}, {"headers": 9}, {"messages": 9}, {"new_connections": True})
    found = {measured(synthetic_cell(1, **load)).configuration for load in loads}
    assert found == {measured(synthetic_cell(1)).configuration}


def test_each_temperature_is_another_configuration() -> None:
    cold = measured(synthetic_cell(1, temperature="cold"))
    assert cold.configuration != measured(synthetic_cell(1)).configuration


def test_cells_with_other_hops_are_other_configurations() -> None:
    settings = ProfileSettings(
        protocols=("tcp", "http1", "grpc"),
        tls=("none", "mtls"),
        transports=("ip", "uds"),
        workers=(1, 2),
        filters=((), ("rbac",)),
        temperatures=("hot",),
    )
    cells = make_plan(settings).cells
    assert len({planned(cell).configuration for cell in cells}) == len({cell.hop for cell in cells})


def test_a_planned_cell_is_known_again_once_it_is_measured() -> None:
    (cell,) = make_plan(ProfileSettings(protocols=("http1",), topologies=("both",), temperatures=("hot",))).asked
    load = cell.scene.load
    found = measured(synthetic_cell(1, request_bytes=load.request_bytes, response_bytes=load.response_bytes))
    assert planned(cell).configuration == found.configuration
    assert np.array_equal(planned(cell).row, found.row)


@pytest.mark.parametrize(
    ("overhead_ns", "error_ns", "error"),
    [(1000.0, 100.0, 0.1), (1000.0, 1.0, 0.01), (1000.0, 9000.0, 1.0), (-1000.0, 10.0, NOMINAL_ERROR)],
)
def test_the_error_is_that_of_the_interval_within_bounds(overhead_ns: float, error_ns: float, error: float) -> None:
    assert measured(synthetic_cell(overhead_ns, error_ns)).error == pytest.approx(error)
