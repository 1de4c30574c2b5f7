"""A report as JSON: its document, whole or not at all."""

from typing import TextIO

from meshinsight.console import write_json_document
from meshinsight.reports.report import Report


def render(report: Report, stream: TextIO) -> None:
    """Write the document. Raises `MeshInsightError` when a number in it is not finite."""
    write_json_document(report.document(), stream, report.indent)
