"""The output formats by the name that `-o` has for them. A new one is a file in `renderers/` and its line here."""

from collections.abc import Callable
from typing import Final, TextIO

from meshinsight.reports.renderers import csv_document, html, json_document, junit, markdown, terminal
from meshinsight.reports.report import Report

FORMATS: Final[dict[str, Callable[[Report, TextIO], None]]] = {
    "table": terminal.render,
    "json": json_document.render,
    "csv": csv_document.render,
    "markdown": markdown.render,
    "html": html.render,
    "junit": junit.render,
}


def text_formats() -> list[str]:
    """The names of those for subjects without rows: all but CSV and JUnit."""
    return [name for name in row_formats() if name != "csv"]


def row_formats() -> list[str]:
    """The names of those for subjects without checks: all but JUnit."""
    return [name for name in FORMATS if name != "junit"]
