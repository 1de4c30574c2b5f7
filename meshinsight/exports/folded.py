"""Folded stacks, one a line, as flamegraph.pl, inferno and speedscope read them.

Functions of the kernel end with `_[k]`, which flamegraph.pl gives a color.
"""

from collections.abc import Iterable

from profiler.symbols.stacks import KERNEL, SampledStacks


def folded(found: Iterable[SampledStacks]) -> str:
    """The text: name, process and functions, outermost first, and the weight."""
    lines = []
    for cell in found:
        for stack in cell.stacks:
            ending = "_[k]" if stack.file == KERNEL else ""
            frames = [*cell.outermost(stack), *(f"{frame}{ending}" for frame in stack.frames)]
            lines.append(f"{';'.join(frame.replace(';', ':') for frame in frames)} {round(stack.weight)}\n")
    return "".join(lines)
