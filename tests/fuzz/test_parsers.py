"""Mutants of every parser of outside data: no unexpected error, no hang, no memory beyond bounds, clean messages."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.fuzz.parser import Parser
from tests.fuzz.parsers import PARSERS
from tests.fuzz.pool import Pool, Report

pytestmark = [pytest.mark.fuzz, pytest.mark.timeout(7200)]

COUNT: Final = int(os.environ.get("MESHINSIGHT_FUZZ_MUTANTS", "300"))
SEED: Final = int(os.environ.get("MESHINSIGHT_FUZZ_SEED", "1"))
_SHOWN: Final = 10


@pytest.fixture(scope="module")
def report(request: pytest.FixtureRequest) -> Report:
    request.config.get_terminal_writer().line(f"\nfuzz: {COUNT} mutants per parser, seed {SEED}")
    return Pool().run([parser.name for parser in PARSERS], SEED, COUNT)


@pytest.mark.parametrize("name", [parser.name for parser in PARSERS])
def test_every_mutant_is_read_or_refused_as_it_should_be(name: str, report: Report) -> None:
    assert report.tried[name] == COUNT
    found = report.of(name)
    assert not found, f"{len(found)} kinds of findings\n" + "\n".join(map(str, found[:_SHOWN]))


def test_parsers_have_names_of_their_own() -> None:
    assert len({parser.name for parser in PARSERS}) == len(PARSERS)


def _read(parser: Parser, seeds: Sequence[bytes], folder: Path) -> bool:
    """Whether any of the seeds is read."""
    for number, seed in enumerate(seeds):
        (folder / str(number)).mkdir()
        try:
            parser.read(seed, folder / str(number))
        except parser.raises:
            continue
        return True
    return False


@pytest.mark.parametrize(
    "parser", [parser for parser in PARSERS if parser.name != "quantities"], ids=lambda one: one.name
)
def test_mutants_come_from_inputs_that_are_read(parser: Parser, tmp_path: Path) -> None:
    assert _read(parser, parser.seeds(), tmp_path)


@pytest.mark.parametrize("parser", PARSERS, ids=lambda one: one.name)
def test_a_mutant_is_the_same_each_time(parser: Parser) -> None:
    seeds = parser.seeds()
    assert parser.mutant(seeds, 3, 5) == parser.mutant(seeds, 3, 5)
    assert len({parser.mutant(seeds, 3, number) for number in range(20)}) > 5
