"""The checks of a report as JUnit XML, which CI systems show: a suite per group."""

from collections.abc import Sequence
from typing import TextIO
from xml.etree import ElementTree

from meshinsight.reports.report import Check, Report
from profiler.text import printable


def render(report: Report, stream: TextIO) -> None:
    """Write the suites. A check that failed or was skipped has the reason as its message."""
    checks = list(report.checks())
    groups: dict[str, list[Check]] = {}
    for check in checks:
        groups.setdefault(check.group, []).append(check)
    suites = ElementTree.Element("testsuites", _counts(report.title, checks))
    for group, members in groups.items():
        suite = ElementTree.SubElement(suites, "testsuite", _counts(group, members))
        for check in members:
            _add_case(suite, check)
    ElementTree.indent(suites)
    stream.write(f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(suites, encoding="unicode")}\n')


def _counts(name: str, checks: Sequence[Check]) -> dict[str, str]:
    failed = sum(bool(check.failed) for check in checks)
    skipped = sum(bool(check.skipped) for check in checks)
    return {"name": _value(name), "tests": str(len(checks)), "failures": str(failed), "skipped": str(skipped)}


def _add_case(suite: ElementTree.Element, check: Check) -> None:
    case = ElementTree.SubElement(suite, "testcase", {"classname": _value(check.group), "name": _value(check.name)})
    if check.failed:
        ElementTree.SubElement(case, "failure", {"message": _value(check.failed)})
    elif check.skipped:
        ElementTree.SubElement(case, "skipped", {"message": _value(check.skipped)})


def _value(text: str) -> str:
    """Text as an attribute. XML has no place for control characters, nor for surrogates."""
    return printable(text)
