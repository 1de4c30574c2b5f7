"""Several reports as one document, the answer first: what formats that are read as a page show. Pure: no I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from meshinsight.reports.report import Report, Section


@dataclass(frozen=True, slots=True)
class Page:
    """`facts` are what figures are quoted with, `problem` is what comes before anything else, "" if there is none.

    `parts` come in the order in which they matter. `glossary` has the meaning of each term that tables and legends use.
    """

    title: str
    parts: Sequence[Report]
    facts: Sequence[tuple[str, str]] = ()
    problem: str = ""
    glossary: Mapping[str, str] = field(default_factory=dict)


def part(title: str, *sections: Section) -> Report:
    """A part of a page; only formats for pages show it."""
    return Report(title, sections, (), document=dict)
