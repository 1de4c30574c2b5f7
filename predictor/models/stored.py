"""The model kept beside its profile, `model.json`: predictions then neither check the profile nor fit it again.

It holds only for the profile whose SHA-256 it names, for the code that fitted it, and while its own checksum fits;
anything else is as if it were not there. Arrays are packed: `{"shape": …, "float64": base64 of little-endian doubles}`.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from predictor.models.document import model_of
from predictor.models.types import CURRENCIES, FittedModel
from profiler.errors import UsageError
from profiler.files.json_text import json_line
from profiler.files.writing import write_whole

FILE_NAME: Final = "model.json"

_ELSEWHERE: Final = (
    "profiler/attribution/intervals.py",
    "profiler/profile/intervals.py",
    "profiler/profile/types.py",
    "profiler/vocabulary/components.py",
    "profiler/vocabulary/hop.py",
    "profiler/vocabulary/protocols.py",
    "profiler/vocabulary/temperature.py",
    "profiler/vocabulary/usual.py",
    "profiler/vocabulary/variant.py",
)
_ARRAYS: Final = ("coefficients", "draws")
_DAMAGES: Final = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, UsageError)
"""What reading a file of any content may end in; `ValueError` is damaged JSON, text or base64 too."""


def save_model(model: FittedModel, file: Path, profile_sha256: str) -> None:
    """Write a model for the profile with that digest, whole or not at all. Raises `MeshInsightError`."""
    document = model.to_json()
    bound = {
        "format": document["format"],  # first, since readers tell a model by its beginning
        "profile_sha256": profile_sha256,
        "fitted_by": _fitting_sha256(),
        **document,
        "configurations": [_changed(item, _packed) for item in document["configurations"]],
    }
    write_whole(file, json_line({**bound, "checksum": _checksum(bound)}))


def read_model(file: Path, profile_sha256: str) -> FittedModel | None:
    """The model in `file` if it is that of the profile with that digest; None if missing, stale or damaged."""
    try:
        document = json.loads(file.read_bytes())
        checksum = document.pop("checksum")
        if (document["profile_sha256"], document["fitted_by"]) != (profile_sha256, _fitting_sha256()):
            return None
        return model_of(document, str(file)) if checksum == _checksum(document) else None
    except _DAMAGES:
        return None


def _changed(configuration: Mapping[str, Any], change: Any) -> dict[str, Any]:
    found = dict(configuration)
    for currency in CURRENCIES:
        if (cost := found[currency]) is not None:
            found[currency] = {**cost, **{name: change(cost[name]) for name in _ARRAYS}}
    return found


def _packed(values: Any) -> dict[str, Any]:
    array = np.array(values, dtype="<f8")
    return {"shape": list(array.shape), "float64": base64.b64encode(array.tobytes()).decode("ascii")}


def _checksum(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True, allow_nan=False).encode()).hexdigest()


def fitting_files() -> list[Path]:
    """The code that a fitted model depends on: this folder, and what fitting imports from elsewhere."""
    root = Path(__file__).parents[2]
    return [*sorted(Path(__file__).parent.glob("*.py")), *(root / name for name in _ELSEWHERE)]


def _fitting_sha256() -> str:
    """Digest of that code: a model that other code fitted may differ."""
    found = hashlib.sha256()
    for file in fitting_files():
        found.update(file.read_bytes())
    return found.hexdigest()
