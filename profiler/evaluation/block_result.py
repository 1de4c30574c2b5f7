"""The result of a finished block, as it is kept on disk until the run is complete."""

import msgspec

from profiler.profile.types import Anchor, Cell, Count, Noise, Positive, Probe, RunId, Text


class BlockResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one block found: `at_s` seconds into the run, in `took_s` seconds."""

    run_id: RunId
    at_s: Positive
    took_s: Positive
    cells: list[Cell]
    probe_hit_ns: dict[str, Positive]
    anchor: Anchor | None
    noise: Noise
    probes: list[Probe]
    repeated_windows: Count
    files: dict[str, Text]

    def __post_init__(self) -> None:
        """Raises ValueError for an anchor of no rounds, of which there is no median."""
        if self.anchor is not None and not self.anchor.rounds:
            raise ValueError("Expected a round in anchor.rounds")
