"""speedscope's file format: one profile per cell or sidecar, in one file."""

import json
from collections.abc import Iterable
from typing import Any, Final

from meshinsight import __version__
from profiler.symbols.stacks import SampledStacks

_SCHEMA: Final = "https://www.speedscope.app/file-format-schema.json"
_UNITS: Final = {"cpu-clock": "nanoseconds"}
"""Of weights by event; what is not time has none."""

Frame = tuple[str, str]
"""Name and file."""


def speedscope(found: Iterable[SampledStacks], title: str) -> str:
    """The document: https://github.com/jlfwong/speedscope/wiki/Importing-from-custom-sources."""
    numbers: dict[Frame, int] = {}
    profiles = [_profile(cell, numbers) for cell in found]
    document = {
        "$schema": _SCHEMA,
        "exporter": f"meshinsight@{__version__}",
        "name": title,
        "activeProfileIndex": 0,
        "shared": {"frames": [{"name": name, **({"file": file} if file else {})} for name, file in numbers]},
        "profiles": profiles,
    }
    return json.dumps(document, allow_nan=False, ensure_ascii=False) + "\n"


def _profile(cell: SampledStacks, numbers: dict[Frame, int]) -> dict[str, Any]:
    def number(name: str, file: str) -> int:
        return numbers.setdefault((name, file), len(numbers))

    samples = [[number(one.process, ""), *(number(name, one.file) for name in one.frames)] for one in cell.stacks]
    weights = [round(one.weight) for one in cell.stacks]
    return {
        "type": "sampled",
        "name": cell.name,
        "unit": _UNITS.get(cell.event, "none"),
        "startValue": 0,
        "endValue": sum(weights),
        "samples": samples,
        "weights": weights,
    }
