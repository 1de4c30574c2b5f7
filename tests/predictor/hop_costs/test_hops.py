"""Which configurations stand for a hop, where several could."""

from typing import Any

from predictor.hop_costs.hops import Part, Resolver
from predictor.hop_costs.needs import Kind
from predictor.models.fitting import fit_profile
from profiler.profile.types import Cell
from tests.predictor.models.profiles import HTTP, cell, profile

ONE = (1000, 2000, 0, 0)
LUA = {**HTTP, "filter:lua": (7e3, 0.0, 0.0, 0.0, 0.0)}
SERVER_ALONE = Kind("none", "http", "http1", "none", ())


def measured(topology: str, temperature: str, filters: tuple[str, ...] = ()) -> Cell:
    more: dict[str, Any] = {"id": "-".join((topology, temperature, *filters)), "filters": list(filters)}
    return cell(LUA if filters else HTTP, ONE, topology=topology, temperature=temperature, **more)


def resolved(kind: Kind, *cells: Cell) -> tuple[tuple[Part, ...], list[str]]:
    resolver = Resolver(fit_profile(profile(cells)), None, "ip")
    return resolver.resolve([kind])[kind], resolver.notes


def taken(parts: tuple[Part, ...]) -> list[tuple[str, list[str], str]]:
    """Of each part the topology, the temperatures and the component."""
    return [(part.points[0][1].topology, [item.temperature for _, item in part.points], part.only) for part in parts]


def test_a_side_is_taken_from_a_hop_with_that_side_alone() -> None:
    cells = [measured(topology, at) for topology in ("server", "both") for at in ("hot", "cold")]
    parts, notes = resolved(SERVER_ALONE, *cells)
    assert taken(parts) == [("server", ["hot", "cold"], "")]
    assert notes == []


def test_a_side_that_was_measured_hot_only_is_its_share_of_a_hop_that_was_measured_cold_too() -> None:
    parts, notes = resolved(SERVER_ALONE, measured("server", "hot"), measured("both", "hot"), measured("both", "cold"))
    assert taken(parts) == [("both", ["hot", "cold"], "")]
    assert "at more temperatures" in notes[0]


def test_a_filter_that_was_measured_hot_only_is_added_to_a_hop_that_was_measured_cold_too() -> None:
    cells = [measured("both", "hot"), measured("both", "cold"), measured("server", "hot", ("lua",))]
    parts, notes = resolved(Kind("none", "http", "http1", "none", ("lua",)), *cells)
    assert taken(parts) == [("both", ["hot", "cold"], ""), ("server", ["hot"], "filter:lua")]
    assert any(note.startswith("filter lua: from") for note in notes)


def test_a_hop_with_its_filter_is_taken_as_it_is_where_nothing_else_is_known_better() -> None:
    cells = [measured("both", "hot"), measured("server", "hot", ("lua",))]
    parts, notes = resolved(Kind("none", "http", "http1", "none", ("lua",)), *cells)
    assert taken(parts) == [("server", ["hot"], "")]
    assert notes == []
