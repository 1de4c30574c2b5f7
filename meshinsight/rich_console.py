"""rich's console, made safe: text loses its control characters where rich turns it into what a terminal gets."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from profiler.text import printable


class SafeConsole(Console):
    """A console on which no text can move the cursor, whichever renderable it is in. Line ends stay."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable() or segment.text == "\n":
                yield segment
            else:
                yield Segment("\n".join(map(printable, segment.text.split("\n"))), segment.style)
