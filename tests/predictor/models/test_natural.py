"""Models of natural cells."""

from dataclasses import replace

import numpy as np

from predictor.models.fitting import fit_profile
from predictor.models.natural import between_ends
from tests.predictor.models.profiles import known_profile

MODEL = fit_profile(known_profile())
NATURAL = replace(
    MODEL,
    configurations=tuple(replace(item, temperature="natural") for item in MODEL.configurations),
    natural_cooling=((1e5, 0.0), (1e6, 1.0)),
    natural_hot=0.25,
)


def test_natural_cells_are_the_cold_end_and_their_share_the_hot_one() -> None:
    found = between_ends(NATURAL)
    assert found.cooling == NATURAL.natural_cooling
    hot, cold = (
        {item.name.removesuffix(end): item for item in found.configurations if item.temperature == end}
        for end in ("hot", "cold")
    )
    assert set(hot) == set(cold)
    for name, item in cold.items():
        for one, other in ((item.latency, hot[name].latency), (item.cpu, hot[name].cpu)):
            assert one is not None
            assert other is not None
            np.testing.assert_allclose(other.coefficients, 0.25 * one.coefficients)


def test_other_models_stay_as_they_are() -> None:
    mixed = replace(NATURAL, configurations=(*MODEL.configurations, *NATURAL.configurations))
    unknown = replace(NATURAL, natural_cooling=())
    assert [between_ends(one) for one in (MODEL, mixed, unknown)] == [MODEL, mixed, unknown]
