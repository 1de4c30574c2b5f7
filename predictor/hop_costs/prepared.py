"""What predictions take from a model and options alone: worked out once, and kept for the next prediction."""

from dataclasses import dataclass
from typing import Any, Final

from predictor.hop_costs.crossing import at_share
from predictor.hop_costs.forms import Forms
from predictor.hop_costs.options import Options
from predictor.hop_costs.temperature import Cooling
from predictor.models.natural import between_ends
from predictor.models.types import FittedModel

_MOST_KEPT: Final = 4
_kept: list[tuple[FittedModel, Any, "Prepared"]] = []


@dataclass(frozen=True, slots=True)
class Prepared:
    """The model as options ask for it, its forms, how its sidecars cool; `draws` imagined runs, 1 without intervals."""

    model: FittedModel
    forms: Forms
    cooling: Cooling
    draws: int

    @classmethod
    def of(cls, model: FittedModel, options: Options) -> "Prepared":
        """That of a model, the same each time for the same model and options. Raises `UsageError` as `at_share`."""
        asked = (options.crossing_share, options.intervals, dict(options.speedup or {}))
        for known, of_known, found in list(_kept):
            if known is model and of_known == asked:
                return found
        moved = between_ends(at_share(model, options.crossing_share))
        costs = (cost for item in moved.configurations for cost in (item.latency, item.cpu) if cost)
        draws = next((len(cost.draws) for cost in costs), 1) if options.intervals else 1
        found = cls(moved, Forms(moved, options), Cooling.of(moved), draws)
        _kept[:] = [(model, asked, found), *_kept[: _MOST_KEPT - 1]]
        return found
