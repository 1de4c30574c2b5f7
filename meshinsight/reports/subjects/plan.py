"""The plan of a run as text: what `meshinsight profile --dry-run` prints."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from rich import box
from rich.table import Table

from meshinsight.console import make_console

if TYPE_CHECKING:
    from profiler.planning.blocks import Block
    from profiler.planning.settings import ProfileSettings

_WIDTH = 160


def print_plan(blocks: "Sequence[tuple[Block, float]]", settings: "ProfileSettings", stream: TextIO) -> None:
    """Print the blocks in order with their cells and expected time, and the sum."""
    width = None if stream.isatty() else _WIDTH
    console = make_console(stream, width)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("block", justify="right")
    table.add_column("cell", overflow="fold")
    table.add_column("why")
    table.add_column("time", justify="right")
    for number, (block, expected_s) in enumerate(blocks, 1):
        for index, cell in enumerate(block.plan.cells):
            asked = "asked for" if cell.hop.placement in settings.placements else "end of placement"
            why = "rung of the ladder" if cell.reference else asked
            first = (str(number), _minutes(expected_s)) if index == 0 else ("", "")
            table.add_row(first[0], cell.id, why, first[1])
        table.add_section()
    console.print(table)
    total_s = sum(expected_s for _, expected_s in blocks)
    cells = sum(len(block.plan.asked) for block, _ in blocks)
    console.print(
        f"{len(blocks)} blocks, {cells} cells asked for, {settings.repeats} rounds of {settings.duration_s:g} s each: "
        f"about {_minutes(total_s)}"
    )
    if settings.budget_s:
        console.print(
            f"Budget {_minutes(settings.budget_s)}. The order after the base load is what equal uncertainty everywhere "
            "would give; the run itself goes where the intervals turn out widest."
        )


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} min"
