"""A profile on one screen."""

import re

import pytest
from msgspec.structs import replace

from meshinsight.reports.renderers import terminal
from meshinsight.reports.subjects import profile, profile_summary
from profiler.profile.types import Profile
from tests.meshinsight.reports.profiles import default_profile, quick_profile

WIDTHS = (80, 100, 120)


def screen(found: Profile, width: int) -> list[str]:
    return [bold + rest for bold, rest in terminal.text_lines(profile_summary.report(found), width)]


def test_a_default_run_is_one_screen() -> None:
    assert len(default_profile().cells) == 16
    assert len(screen(default_profile(), 100)) <= 40


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("found", [quick_profile(), default_profile()], ids=["quick", "default"])
def test_it_fits_and_nothing_is_missing(found: Profile, width: int) -> None:
    lines = screen(found, width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    (table,) = (section for section in profile_summary.report(found).sections if section.rows)
    assert all(cell in text for row in table.rows for cell in row)
    assert all(name in text for name in table.columns)


@pytest.mark.parametrize("width", WIDTHS)
def test_all_of_a_profile_fits_too(width: int) -> None:
    lines = [bold + rest for bold, rest in terminal.text_lines(profile.report(default_profile()), width)]
    assert max(map(len, lines)) <= width
    assert not any(re.search(r"\w-\w{1,2}$", line) for line in lines)


def test_the_sentence_comes_first_with_both_currencies_as_ranges_and_http_before_tcp() -> None:
    first, second = profile_summary.report(quick_profile()).title, screen(quick_profile(), 1000)[1]
    assert re.match(
        r"Two HTTP/1\.1 sidecars add 0\.\d+–0\.\d+ ms and 0\.\d+–0\.\d+ vCPU per 1000 requests/s with hot caches "
        r"\(0\.\d+–0\.\d+ ms and 0\.\d+–0\.\d+ vCPU with cold caches\); most of the latency is parsing\.$",
        first,
    )
    assert second.startswith("Two TCP sidecars add ")


def test_an_overhead_that_may_be_nothing_is_at_most_its_upper_end() -> None:
    found = quick_profile()
    cells = [
        replace(cell, latency=replace(cell.latency, overhead_ci95_ns=[-1e4, 2e5]))
        for cell in found.cells
        if cell.latency
    ]
    assert "sidecars add at most 0.20 ms and " in profile_summary.report(replace(found, cells=cells)).title


def test_a_p99_that_rests_on_few_requests_is_marked_with_its_interval() -> None:
    rows = {row[0]: row for section in profile_summary.report(quick_profile()).sections for row in section.rows}
    assert rows["http1-both-cold"][2].endswith(" ± 3,100 !")
    assert rows["http1-both-hot"][2].endswith(" ± 31")
    assert any("fewer than 20 requests" in line for line in screen(quick_profile(), 100))


def test_cells_that_are_paced_are_nowhere_called_as_fast_as_possible() -> None:
    cold = replace(quick_profile(), cells=[cell for cell in quick_profile().cells if cell.temperature == "cold"])
    text = "\n".join(screen(cold, 100)) + "\n".join(
        bold + rest for bold, rest in terminal.text_lines(profile.report(cold), 100)
    )
    assert "500/s paced" in text
    assert "500 paced" in text
    assert not re.search(r"-max|\d max|closed loop", text)


def test_quietness_is_never_stated_where_a_warning_asks_to_repeat() -> None:
    lines = [bold + rest for bold, rest in terminal.text_lines(profile.report(default_profile()), 100)]
    assert any("repeat" in line for line in lines)
    assert not any("quiet" in line for line in lines)


def test_a_cell_without_one_currency_has_a_dash_there() -> None:
    found = quick_profile()
    cells = [replace(found.cells[0], cpu=None), *found.cells[1:]]
    (table,) = (section for section in profile_summary.report(replace(found, cells=cells)).sections if section.rows)
    assert table.rows[0][3] == "–"
