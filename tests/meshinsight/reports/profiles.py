"""Profiles of the shape that default and quick runs have."""

from pathlib import Path
from typing import Any

from msgspec.structs import replace

from profiler.profile.document import load_profile
from profiler.profile.types import Cell, Perturbation, Profile

DATA = Path(__file__).parents[2] / "data"
_ENDS = ("apart", "together")


def quick_profile() -> Profile:
    """Eight cells, the cold ones paced, with a p99 that rests on few exchanges."""
    found = load_profile(DATA / "example-profile.json")
    return replace(found, cells=[_as_run(cell) for cell in found.cells])


def default_profile() -> Profile:
    """Sixteen cells: quick ones, those with a sidecar on the server's side, and the ends of placement."""
    quick = quick_profile()
    one_sided = [cell for cell in quick.cells if cell.topology == "client"]
    hot = [cell for cell in quick.cells if cell.topology == "both" and cell.temperature == "hot"]
    servers = [changed(cell, "client", "server", topology="server") for cell in one_sided]
    ends = [changed(cell, "both", f"both-{end}", placement=end) for cell in hot for end in _ENDS]
    return replace(quick, cells=[*quick.cells, *servers, *ends])


def changed(cell: Cell, before: str, after: str, **changes: Any) -> Cell:
    """A cell with another value of a dimension, in its id too."""
    return replace(cell, id=cell.id.replace(before, after), **changes)


def _as_run(cell: Cell) -> Cell:
    """A cell of the example with the warnings that runs on virtual machines have."""
    assert cell.latency is not None
    latency = cell.latency
    warnings = ["cpu: perf's samples are not shown, since they do not add up (bound ±10%); repeat with more --rounds"]
    disturbed = Perturbation(latency_ratio=1.01, throughput_ratio=0.86, proxy_cpu_ratio=1.1)
    if cell.temperature == "cold":
        few = replace(latency.with_sidecars, p99_ns=4.7e6, count=1500)
        latency = replace(latency, with_sidecars=few, overhead_p99_ci95_ns=[1.5e6, 7.5e6])
        cell = replace(cell, loop="paced", achieved_rps=499.6)
    else:
        middle = latency.overhead_p99_ns
        latency = replace(latency, overhead_p99_ci95_ns=[middle - 31_000.0, middle + 31_000.0])
    return replace(cell, placement="free", latency=latency, perturbation=disturbed, warnings=warnings)
