"""Foreign text made fit for a terminal and for one line. Pure: no I/O."""

from typing import Final

LONGEST: Final = 160
"""Characters of foreign text that a message quotes unless it needs fewer."""


def printable(text: str) -> str:
    """A foreign string without control, formatting and surrogate characters, each replaced by a space.

    What is left cannot move a cursor, change a terminal's state or reverse the direction of writing.
    """
    return text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)


def one_line(text: str, longest: int = LONGEST) -> str:
    """Text as a message quotes it: white space folded, nothing unprintable, at most `longest` characters."""
    # Cut before the folding: an input of 64 MiB must not be copied to show its first words.
    line = " ".join(printable(text[: 8 * longest]).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
