"""The checks of a report as JUnit XML, which CI systems show: a suite per group."""

from collections.abc import Sequence
from typing import TextIO
from xml.sax.saxutils import quoteattr

from meshinsight.reports.report import Check, Report
from profiler.text import printable


def render(report: Report, stream: TextIO) -> None:
    """Write the suites. A check that failed or was skipped has the reason as its message."""
    checks = list(report.checks())
    groups: dict[str, list[Check]] = {}
    for check in checks:
        groups.setdefault(check.group, []).append(check)
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f"<testsuites {_counts(report.title, checks)}>"]
    for group, members in groups.items():
        lines += [f"  <testsuite {_counts(group, members)}>", *map(_case, members), "  </testsuite>"]
    stream.writelines(f"{line}\n" for line in (*lines, "</testsuites>"))


def _counts(name: str, checks: Sequence[Check]) -> str:
    failed = sum(bool(check.failed) for check in checks)
    skipped = sum(bool(check.skipped) for check in checks)
    return f'name={_value(name)} tests="{len(checks)}" failures="{failed}" skipped="{skipped}"'


def _case(check: Check) -> str:
    start = f"    <testcase classname={_value(check.group)} name={_value(check.name)}"
    if check.failed:
        return f"{start}><failure message={_value(check.failed)}/></testcase>"
    return f"{start}><skipped message={_value(check.skipped)}/></testcase>" if check.skipped else f"{start}/>"


def _value(text: str) -> str:
    """Text as a quoted attribute. XML has no place for control characters, nor for surrogates."""
    return quoteattr(printable(text))
