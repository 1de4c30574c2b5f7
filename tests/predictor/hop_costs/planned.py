"""A synthetic profile of the cells of a plan, each with the components that its hop has."""

from functools import cache

from predictor.models.fitting import fit_profile
from predictor.models.types import FittedModel
from profiler.planning.cells import Cell, make_plan
from profiler.planning.settings import ProfileSettings
from profiler.profile import types as document
from profiler.vocabulary.components import filter_component
from profiler.vocabulary.hop import NONE, label_of
from tests.predictor.models.profiles import HTTP, TCP, Coefficients, cell, profile

DRAWS = 2


@cache
def planned_model(settings: ProfileSettings) -> FittedModel:
    """The model of a profile with the cells that the settings ask for, without the rungs that come with them."""
    found = [measured(one) for one in make_plan(settings).asked if one.hop.topology != NONE]
    return fit_profile(profile(found), draws=DRAWS)


def measured(one: Cell) -> document.Cell:
    hop, load = one.hop, one.scene.load
    costs: dict[str, tuple[float, ...]] = dict(TCP if hop.protocol == "tcp" else HTTP)
    costs |= {"tls": (7e3, 0.5, 0.5, 0.0, 0.0)} if hop.tls != "none" else {}
    costs |= {filter_component(label_of(name)): (3e3, 0.0, 0.0, 0.0, 0.0) for name in hop.filters}
    factor = 2.0 if one.scene.temperature == "cold" else 1.0
    coefficients: Coefficients = {name: tuple(factor * value for value in row) for name, row in costs.items()}
    return cell(
        coefficients,
        (load.request_bytes, load.response_bytes, 0, 0),
        id=one.id,
        protocol=hop.protocol,
        topology=hop.topology,
        tls=hop.tls,
        filters=[label_of(name) for name in hop.filters],
        application=hop.application,
        placement=hop.placement,
        transport=hop.transport,
        temperature=one.scene.temperature,
        extra_headers=list(load.extra_headers),
    )
