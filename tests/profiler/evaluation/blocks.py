"""Results of blocks and what they hold, with the figures that a test chooses."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from profiler.evaluation.block_result import BlockResult
from profiler.profile.document import load_profile
from profiler.profile.types import Anchor, AnchorRound, Cell, Noise, Probe

EXAMPLE = load_profile(Path(__file__).parents[2] / "data" / "example-profile.json")
QUIET = Noise(steal_ratio=0.0, psi_cpu_some_ratio=None)


def cell(name: str, *, anchor_factor: float | None = 1.0, **changes: Any) -> Cell:
    """The first cell of the example under another name."""
    return replace(EXAMPLE.cells[0], id=name, anchor_factor=anchor_factor, **changes)


def anchor(*medians_ns: float, **changes: Any) -> Anchor:
    """The anchor cell with a round of each median, 10 s apart."""
    middle_ns = sorted(medians_ns)[len(medians_ns) // 2]
    found = Anchor(
        protocol="http1",
        topology="both",
        temperature="hot",
        rounds=[
            AnchorRound(at_s=10.0 * number, with_p50_ns=median_ns, baseline_p50_ns=1.0)
            for number, median_ns in enumerate(medians_ns)
        ],
        median_with_p50_ns=middle_ns,
        median_by_temperature_ns={"hot": middle_ns},
        drift_ratio=0.0,
    )
    return replace(found, **changes)


def probe(name: str, hits: int, dropped: int = 0, attached: bool = True, error: str | None = None) -> Probe:
    """A probe of the timeline's program."""
    return Probe(program="timeline", name=name, attached=attached, hits=hits, dropped=dropped, error=error)


def block_result(cells: Sequence[Cell] = (), **changes: Any) -> BlockResult:
    """The result of a block of these cells."""
    found = BlockResult(
        run_id="run-0",
        at_s=0.0,
        took_s=9.0,
        cells=list(cells),
        probe_hit_ns={"in_a_loop": 100.0, "in_place": 200.0},
        anchor=anchor(100.0),
        noise=QUIET,
        probes=[],
        repeated_windows=1,
        files={},
    )
    return replace(found, **changes)
