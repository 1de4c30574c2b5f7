"""A run in blocks: what is deployed and measured together, and saved when it is finished. Pure.

A block holds whole ladders, with their baselines and the anchor, so it can be evaluated on its own; blocks are small
enough that no more than about a dozen hops are up at a time and that little is lost when a run is interrupted.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from profiler.errors import UsageError
from profiler.planning.cells import Cell, Plan, cooled_hops, with_rungs

_MOST_HOPS: Final = 15
_HOPS_PER_VARIANT: Final = 3
_MOST_HOPS_OF_VARIANTS: Final = 24
"""Variants beyond two have room for three rungs each, up to five variants."""

_MOST_POINTS: Final = 40


@dataclass(frozen=True)
class Block:
    """Cells that are measured together."""

    plan: Plan

    @property
    def name(self) -> str:
        """The same for the same cells, in any run: how a finished block is known again."""
        text = "\n".join(f"{cell.id} {cell.hop.bootstrap} {cell.hop.filters}" for cell in self.plan.cells)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def make_blocks(cells: Sequence[Cell], *, cooling: bool = True) -> list[Block]:
    """Group cells that share baselines and rungs, in the order given.

    How a hop's sidecars cool is measured in the first block that has it, where `cooling` asks for it.
    """
    left = set(cooled_hops(cells)) if cooling else set()

    def block(chosen: Sequence[Cell]) -> Block:
        cooled = [hop for hop in dict.fromkeys(cell.hop for cell in chosen) if hop in left]
        left.difference_update(cooled)
        return Block(with_rungs(chosen, cooled))

    groups: dict[object, list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.hop.application, cell.scene.load), []).append(cell)
    blocks: list[Block] = []
    current: list[Cell] = []
    for group in groups.values():
        for part in _parts(group):
            if current and not _fits([*current, *part]):
                blocks.append(block(current))
                current = []
            current += part
    return [*blocks, block(current)] if current else blocks


def _parts(group: Sequence[Cell]) -> list[list[Cell]]:
    """A group in parts that fit; cells of the same hop, in all its variants, stay together."""
    by_hop: dict[object, list[Cell]] = {}
    for cell in group:
        by_hop.setdefault(cell.hop.family, []).append(cell)
    parts: list[list[Cell]] = [[]]
    for cells in by_hop.values():
        _require_room(cells)
        if parts[-1] and not _fits([*parts[-1], *cells]):
            parts.append([])
        parts[-1] += cells
    return parts


def _require_room(cells: Sequence[Cell]) -> None:
    """Variants are measured next to each other or not at all. Raises UsageError."""
    variants = {cell.hop.variant.name for cell in cells}
    if len(variants) > 1 and not _fits(cells):
        raise UsageError(
            f"{len(variants)} variants of {cells[0].hop.family.name}: cannot run next to each other, since a block has "
            f"{_MOST_HOPS_OF_VARIANTS} hops at most; give fewer variants, temperatures or filters"
        )


def _fits(cells: Sequence[Cell]) -> bool:
    plan = with_rungs(cells)
    points = sum(len(plan.hops_of(scene)) for scene in plan.scenes)
    further = max(0, len({cell.hop.variant for cell in cells}) - 2)
    most_hops = min(_MOST_HOPS_OF_VARIANTS, _MOST_HOPS + _HOPS_PER_VARIANT * further)
    return len(plan.hops) <= most_hops and points <= _MOST_POINTS
