"""The plan of a run: what `meshinsight profile --dry-run` prints. Pure: no I/O."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from meshinsight import numbers
from meshinsight.reports.report import Report, Section
from profiler.planning.cells import PACED_RPS, paced

if TYPE_CHECKING:
    from profiler.planning.blocks import Block
    from profiler.planning.cells import Cell
    from profiler.planning.settings import ProfileSettings
    from profiler.vocabulary.variant import Variant


def report(blocks: "Sequence[tuple[Block, float]]", settings: "ProfileSettings") -> Report:
    """The blocks in order with their cells and expected time, and the sum."""
    rows = []
    for number, (block, expected_s) in enumerate(blocks, 1):
        for index, cell in enumerate(block.plan.cells):
            asked = "asked for" if cell.hop.placement in settings.placements else "end of placement"
            why = "rung of the ladder" if cell.reference else asked
            first = (str(number), numbers.duration(expected_s)) if index == 0 else ("", "")
            rows.append((first[0], _name(cell), why, first[1]))
    lines = [sum_text(blocks, settings)]
    if settings.budget_s:
        lines.append(
            f"Budget {numbers.duration(settings.budget_s)}. The order after the base load is the one for equal "
            "uncertainty of all cells; the run itself measures where the intervals are widest."
        )
    if settings.variants:
        lines += [
            f"Variant {variant.name or 'of all cells'}: {_variant_text(variant)}" for variant in settings.variants
        ]
    table = Section("", ("block", "cell", "why", "time"), rows, lines=lines, left=(0, 1, 2))
    return Report("Plan", [table], [], document=dict)


def sum_text(blocks: "Sequence[tuple[Block, float]]", settings: "ProfileSettings") -> str:
    """How much is measured, and about how long it takes."""
    total_s = sum(expected_s for _, expected_s in blocks)
    cells = sum(len(block.plan.asked) for block, _ in blocks)
    return (
        f"{numbers.plural(len(blocks), 'block')}, {numbers.plural(cells, 'cell')} asked for, "
        f"{numbers.plural(settings.repeats, 'round')} of {settings.duration_s:g} s each: "
        f"about {numbers.duration(total_s)}"
    )


def _variant_text(variant: "Variant") -> str:
    """What a variant has instead of what is usual."""
    parts = [
        f"Envoy {variant.version}" if variant.version else variant.binary,
        f"filter {variant.filter_file}" if variant.filter_file else "",
        f"configuration {variant.bootstrap}" if variant.bootstrap else "",
    ]
    return ", ".join(part for part in parts if part) or "without a filter"


def _name(cell: "Cell") -> str:
    """The id of a cell, with the rate where it is paced though no rate was asked for."""
    load = cell.scene.load
    return cell.id if paced(cell.scene) == load else cell.id.replace("-max", f"-{PACED_RPS:g}paced")
