"""What `fit` shows of hand-overs."""

from meshinsight.reports.subjects.model import report
from predictor.models.fitting import fit_profile
from tests.predictor.models.placed import SHARES, placed, placed_cells
from tests.predictor.models.profiles import HTTP, known_profile, profile


def test_a_hand_over_is_a_sentence_by_temperature_and_a_row_by_protocol() -> None:
    shown = report(fit_profile(profile(placed_cells(rounds=4))))
    (line,) = dict(shown.notes)["Hand-overs"]
    assert line.startswith(
        "hot: a hand-over to another CPU costs 6.0 µs more latency and 12.0 µs more CPU than a local one, which costs "
    )
    (table,) = (section for section in shown.sections if section.title == "What a hand-over costs")
    assert [row[:3] for row in table.rows[:3]] == [
        ("hot", "all", "latency"), ("hot", "HTTP/1.1", "latency"), ("hot", "TCP", "latency"),
    ]  # fmt: skip


def test_what_a_local_one_costs_is_left_out_where_it_is_not_known() -> None:
    cells = [placed(name, HTTP) for name in SHARES if name != "together"]
    (line,) = dict(report(fit_profile(profile(cells))).notes)["Hand-overs"]
    assert line.endswith("more CPU than a local one")


def test_a_profile_of_one_placement_says_what_to_measure() -> None:
    (line,) = dict(report(fit_profile(known_profile())).notes)["Hand-overs"]
    assert line.endswith("meshinsight profile --placement free,apart,together")
