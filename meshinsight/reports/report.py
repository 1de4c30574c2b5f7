"""What is shown of a subject, as plain values: each subject builds a `Report`, each format renders it. Pure: no I/O.

Text in it comes from foreign files: a renderer makes it harmless for its format.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from meshinsight.reports.figures import Figure

INTERVAL: Final = "95 % interval"
"""The name of a column that holds the intervals of the column before it; renderers keep the two next to each other."""


@dataclass(frozen=True, slots=True)
class Section:
    """A titled table of text: the first column names the row and is aligned left, the others are figures, to the right.

    `detail` follows the title on its line, `lines` follow the table. A section without a title continues the one
    before it. `left` are the numbers of all columns that hold words and are aligned left. A line end in the name of a
    column is a place to break it; a format that needs none takes it for a space. A figure that is over its bound ends
    with ` !`.

    For formats that are read as a page: `about` explains the table, `figures` makes its charts, and a `folded` section
    is closed until the reader opens it.
    """

    title: str
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    detail: str = ""
    lines: Sequence[str] = ()
    left: Sequence[int] = (0,)
    about: str = ""
    figures: "Callable[[], Sequence[Figure]]" = tuple
    folded: bool = False

    @property
    def empty(self) -> bool:
        """Whether there is nothing below the title."""
        return not (self.rows or self.lines or self.detail or self.about or self.figures is not tuple)


@dataclass(frozen=True, slots=True)
class Check:
    """Something that was checked: `failed` or `skipped` says why, else it passed. `group` has similar checks."""

    group: str
    name: str
    failed: str = ""
    skipped: str = ""


@dataclass(slots=True)
class Report:
    """All that is shown of one subject. Sections and notes that are empty are left out.

    `notes` are titled lists; lines without a title are plain text. `document` gives the whole subject as JSON values,
    and `rows`, where the subject has such, as rows of a table. Both are in base units (ns, vCPU, bytes), and functions,
    since both can be large. `columns` are those of `rows`; unless given, the names in `rows`, longest row first.
    `checks` are for subjects that can fail.
    `indent` is that of the JSON text, None for one line.
    """

    title: str
    sections: Sequence[Section]
    notes: Sequence[tuple[str, Sequence[str]]]
    document: Callable[[], Any]
    rows: Callable[[], Iterable[Mapping[str, Any]]] = tuple
    columns: Sequence[str] = ()
    checks: Callable[[], Iterable[Check]] = tuple
    indent: int | None = 2

    def __post_init__(self) -> None:
        self.sections = [section for section in self.sections if not section.empty]
        self.notes = [(title, lines) for title, lines in self.notes if lines]
