"""The planner of a budget: what it measures first, and that it keeps within the time."""

from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from profiler.errors import UsageError
from profiler.measuring.loop import expected_seconds
from profiler.planning.cells import Cell, make_plan
from profiler.planning.design import Design, candidate_loads
from profiler.planning.design_terms import measured
from profiler.planning.matrix import load_matrix
from profiler.planning.settings import ProfileSettings
from profiler.profile import types as profile
from tests.profiler.planning.synthetic import synthetic_cell

SETTINGS = ProfileSettings(
    protocols=("http1",),
    topologies=("both",),
    temperatures=("hot",),
    request_bytes=(128, 65_536, 1 << 20),
    response_bytes=(1024, 65_536, 1 << 20),
    headers=((0, 32), (40, 32)),
    new_connections=(False, True),
    budget_s=3600,
)
BUDGET = ProfileSettings(**load_matrix("budget"), budget_s=3600)


def as_measured(cell: Cell, error: float = 0.05) -> profile.Cell:
    """The cell as a profile has it, with that relative error."""
    load, hop = cell.scene.load, cell.hop
    return synthetic_cell(
        100_000,
        100_000 * error,
        protocol=hop.protocol,
        application=hop.application,
        tls=hop.tls,
        temperature=cell.scene.temperature,
        request_bytes=load.request_bytes,
        response_bytes=load.response_bytes,
        headers=load.headers,
        new_connections=load.new_connections,
    )


def dimension(design: Design, number: int) -> str:
    """What the load of a block of the plan differs in from the base."""
    base = candidate_loads(design.settings)[0]
    load = design.rehearse()[number].block.plan.asked[0].scene.load
    names = ("request_bytes", "response_bytes", "headers", "new_connections")
    return next((name for name in names if getattr(load, name) != getattr(base, name)), "base")


@pytest.mark.parametrize("budget_s", [1, 30])
def test_a_budget_that_cannot_hold_the_base_load_is_refused_with_what_would_do(budget_s: float) -> None:
    with pytest.raises(UsageError, match=rf"--budget {budget_s}s: .* takes \d+ s at least") as refused:
        Design(replace(BUDGET, budget_s=budget_s), expected_seconds)
    needed_s = float(str(refused.value).split("takes ")[1].split(" s")[0])
    Design(replace(BUDGET, budget_s=needed_s + 1), expected_seconds)


def test_every_configuration_is_measured_at_the_base_load_first() -> None:
    plan = [entry.block for entry in Design(BUDGET, expected_seconds).rehearse()]
    wanted = {(cell.hop, cell.scene.temperature) for cell in make_plan(BUDGET).asked}
    screened: set[object] = set()
    for block in plan:
        if wanted <= screened:
            break
        assert {cell.scene.load for cell in block.plan.asked} == {candidate_loads(BUDGET)[0]}
        screened |= {(cell.hop, cell.scene.temperature) for cell in block.plan.asked}
    assert wanted <= screened


def test_coefficients_that_nothing_tells_about_come_before_known_ones() -> None:
    design = Design(SETTINGS, expected_seconds)
    first = [dimension(design, number) for number in range(5)]
    assert first[0] == "base"
    assert set(first[1:]) == {"request_bytes", "response_bytes", "headers", "new_connections"}


@pytest.mark.parametrize(("certain", "uncertain"), [("http1", "http2"), ("http2", "http1")])
def test_the_uncertain_configuration_comes_before_the_certain_one(certain: str, uncertain: str) -> None:
    settings = replace(SETTINGS, protocols=("http1", "http2"))
    design = Design(settings, expected_seconds)
    screening = next(entry.block.name for entry in design.rehearse())
    known = [measured(as_measured(cell, 0.01)) for cell in make_plan(settings).asked if cell.hop.protocol == certain]
    block = design.next([screening], known, 1000)
    assert block is not None
    assert {cell.hop.protocol for cell in block.plan.asked} == {uncertain}


@pytest.mark.parametrize("budget_s", [200, 400, 900, 1800, 3600, 10_000])
def test_the_plan_is_never_longer_than_the_budget(budget_s: float) -> None:
    try:
        design = Design(replace(BUDGET, budget_s=budget_s), expected_seconds)
    except UsageError:
        assert budget_s < 900
        return
    assert sum(entry.expected_s for entry in design.rehearse()) <= budget_s


def test_a_block_that_does_not_fit_any_more_is_not_begun() -> None:
    design = Design(SETTINGS, expected_seconds)
    (screening,) = [entry.block.name for entry in design.rehearse()][:1]
    assert design.next([screening], [], 1.0) is None
    assert design.next([screening], [], 1000.0) is not None


def test_no_block_is_measured_twice() -> None:
    names = [entry.block.name for entry in Design(replace(SETTINGS, budget_s=36_000), expected_seconds).rehearse()]
    assert len(set(names)) == len(names) == 7


def test_more_time_means_more_rounds() -> None:
    repeats = [
        Design(replace(SETTINGS, budget_s=budget_s), expected_seconds).settings.repeats
        for budget_s in (100, 300, 600, 6000)
    ]
    assert repeats == sorted(repeats)
    assert repeats[-1] == 10


def test_measured_cells_of_a_users_filter_are_known_again(tmp_path: Any) -> None:
    file = tmp_path / "own.yaml"
    file.write_text('{name: x, typed_config: {"@type": t}}')
    design = Design(
        replace(SETTINGS, filters=((str(file),),), request_bytes=(128, 65_536), budget_s=3600), expected_seconds
    )
    (screening,) = [entry.block for entry in design.rehearse()][:1]
    known = [structs.replace(as_measured(cell, 0.01), filters=["own"]) for cell in screening.plan.asked]
    sizes = [
        structs.replace(known[0], request_bytes=65_536),
        structs.replace(known[0], request_bytes=32_768),
        structs.replace(known[0], headers=40),
        structs.replace(known[0], new_connections=True),
    ]
    block = design.next([screening.name], list(map(measured, [*known, *sizes])), 1000)
    assert block is not None
    assert block.plan.asked[0].scene.load.response_bytes > 1024  # the one thing that nothing told about


def test_loads_differ_from_the_base_in_one_dimension() -> None:
    base, *others = candidate_loads(SETTINGS)
    fields = ("request_bytes", "response_bytes", "headers", "new_connections")
    assert [sum(getattr(load, name) != getattr(base, name) for name in fields) for load in others] == [1] * 6
