"""Foreign text made fit for a terminal and for one line. Pure: no I/O."""

from collections.abc import Iterable, Sequence
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


def error_line(error: BaseException, longest: int = LONGEST) -> str:
    """What an error says, as `one_line` has it; its kind where it says nothing."""
    return one_line(str(error), longest) or type(error).__name__


def some_of(names: Iterable[str], most: int = 6) -> str:
    """The first names of a list, and whether there are more: `a, b, …`."""
    known = list(names)
    return ", ".join(known[:most]) + (", …" if len(known) > most else "")


def first_of(names: Sequence[str], most: int) -> str:
    """The first names of a list, and how many more there are: `a, b and 4 more`."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def not_one_of(found: str, choices: Iterable[str]) -> str:
    """What a message says of a value that is not one of the choices, after the name of the option or field."""
    return f"expected one of {', '.join(choices)}; found {one_line(found)!r}"
