"""A model of natural cells alone, in which CPUs sleep between requests, as one between hot and cold. Pure."""

from dataclasses import replace

from predictor.models.types import CoolingEnd, FittedModel
from profiler.vocabulary.hop import PLAIN
from profiler.vocabulary.protocols import HTTP1


def between_ends(model: FittedModel) -> FittedModel:
    """The model with its natural cells as the cold end, and their share at the hot one, where that is known.

    A sidecar that is asked again at once has not slept: what it then costs is the anchor's, as a share of natural.
    Models that have other cells are returned as they are.
    """
    if not model.natural_cooling or any(item.temperature != "natural" for item in model.configurations):
        return model
    hot = [replace(item.times(model.natural_hot), temperature="hot") for item in model.configurations]
    cold = [replace(item, temperature="cold") for item in model.configurations]
    rise = max(1.0 / model.natural_hot - 1.0, 0.0)
    end = CoolingEnd(HTTP1, PLAIN, "latency", factor=1.0, rise=rise, error=0.0)
    return replace(model, configurations=(*hot, *cold), cooling=model.natural_cooling, cooling_ends=(end,))
