"""The fuzzer itself, on parsers with planted faults."""

from typing import Final

import pytest

from tests.fuzz.faulty import COMMANDS, PARSERS
from tests.fuzz.pool import Finding, Limits, Pool, Report

pytestmark = pytest.mark.fuzz

REGISTRY: Final = "tests.fuzz.faulty"
LIMITS: Final = Limits(hang_s=1.0, stuck_s=6.0, memory_mib=256)
COUNT: Final = 12


@pytest.fixture(scope="module")
def report() -> Report:
    return Pool(REGISTRY, LIMITS).run([parser.name for parser in PARSERS], 1, COUNT)


def tried(seed: int) -> Report:
    return Pool(REGISTRY, LIMITS, 1).run(["unexpected"], seed, COUNT)


@pytest.mark.parametrize(
    ("parser", "kind", "text"),
    [
        ("unexpected", "exception", "KeyError: 'facts'"),
        ("endless", "hang", "CPU time"),
        ("swallowing", "hang", "CPU time"),
        ("waiting", "hang", "no end within 6 s"),
        ("large", "memory", "MiB"),
        ("huge", "memory", "too much memory"),
        ("deadly", "crash", "status 3"),
    ],
)
def test_a_planted_fault_is_found_and_the_run_goes_on(report: Report, parser: str, kind: str, text: str) -> None:
    findings = [found for found in report.findings if found.parser == parser]
    assert report.tried[parser] == COUNT
    assert 0 < len(findings) < COUNT
    assert all((found.kind, text in found.text) == (kind, True) for found in findings), findings


@pytest.mark.parametrize("parser", COMMANDS)
def test_a_wrong_answer_of_a_command_is_found(report: Report, parser: str) -> None:
    assert {found.kind for found in report.of(parser)} == {"rule"}


def test_a_parser_without_fault_has_no_findings(report: Report) -> None:
    assert (report.tried["good"], report.of("good")) == (COUNT, [])


def test_the_same_seed_finds_the_same() -> None:
    first = tried(1).findings
    assert first == tried(1).findings
    assert first != tried(2).findings


def test_a_finding_says_how_to_see_it_again() -> None:
    finding = Finding("graph", 7, 12, "exception", "KeyError: 'x'", "reader.py:1 read")
    assert "graph, seed 7, mutant 12: exception: KeyError: 'x'" in str(finding)
    assert "make fuzz PARSER=graph SEED=7 MUTANT=12" in str(finding)
