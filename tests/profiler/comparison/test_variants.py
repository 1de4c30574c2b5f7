"""Variants of one run: what a machine does to a whole round has no part in their difference."""

import pytest
from msgspec.structs import replace

from profiler.comparison.compare import BETTER, INCONCLUSIVE, SAME, WORSE, Comparison, compare
from profiler.comparison.figures import CPU, LATENCY, P50, TOTAL, Key
from profiler.comparison.gate import FAIL, PASS, check, overall
from profiler.comparison.limits import parse_limit
from profiler.comparison.significance import paired
from profiler.comparison.variants import compare_variants, require_variants, variant_names
from profiler.errors import UsageError
from tests.profiler.comparison.profiles import TRUTH_NS, drawn
from tests.profiler.comparison.variants import duet


def compared(*seed: int, **changed: object) -> Comparison:
    return compare_variants(duet(*seed, **changed), "a", "b", 0.02)  # type: ignore[arg-type]


def verdicts(found: Comparison, currency: str) -> dict[str, str]:
    mean = next(mean for mean in found.means if mean.currency == currency)
    return {key.component: entry.verdict for key, entry in mean.figures.items()}


def test_equal_variants_have_a_verdict_in_few_runs() -> None:
    alarms = sum(any(entry.decided for _, entry in compared(seed).figures()) for seed in range(200))
    assert alarms <= 17  # 5 % of 200 are 10; more than 17 come once in a hundred such tests


def test_an_injected_cost_is_found_in_its_component() -> None:
    for seed in range(10):
        found = verdicts(compared(seed, injected={"filter:lua": 5_000.0}), LATENCY)
        assert (found[TOTAL], found["filter:lua"]) == (WORSE, WORSE)
        assert WORSE not in {found[name] for name in ("ipc", "parsing", "proxy_core")}


def test_a_cost_taken_away_is_better() -> None:
    assert verdicts(compared(1, injected={"parsing": -10_000.0}), CPU)["parsing"] == BETTER


def test_the_drift_of_the_machine_does_not_widen_an_interval() -> None:
    total = Key(LATENCY, TOTAL, P50)
    halves = [compared(3, drift=drift).means[0].figures[total].difference.half for drift in (0.0, 0.2)]
    assert halves[1] == pytest.approx(halves[0], rel=0.5)


def test_two_runs_on_such_a_machine_find_nothing_where_the_duet_does() -> None:
    old, new = drawn(1, drift=0.2), drawn(2, drift=0.2, injected={"parsing": 6_000.0})
    assert {entry.verdict for mean in compare(old, new, 0.02).means for entry in mean.figures.values()} <= {
        INCONCLUSIVE,
        SAME,
    }
    assert verdicts(compared(1, injected={"parsing": 6_000.0}), LATENCY)["parsing"] == WORSE


def test_the_difference_is_the_mean_of_those_of_rounds() -> None:
    found = paired([1.0, 2.0, 3.0])
    assert found is not None
    assert found.value == pytest.approx(2.0)
    assert found.half == pytest.approx(4.303 * 1.0 / 3**0.5, rel=1e-3)
    assert found.p == pytest.approx(0.0742, rel=1e-2)


def test_the_ratio_is_new_over_old() -> None:
    found = compared(1, cells=1, drift=0.0, scatter=1e-6, injected={"ipc": sum(TRUTH_NS.values())})
    assert found.means[0].ratio == pytest.approx(2.0, rel=1e-3)


def test_one_round_has_no_interval() -> None:
    found = paired([1.0])
    assert found is not None
    assert found.half is None
    assert paired([]) is None


def test_cells_of_ladders_are_not_compared() -> None:
    profile = duet(1)
    cells = [replace(cell, reference=number < 2) for number, cell in enumerate(profile.cells)]
    assert len(compare_variants(replace(profile, cells=cells), "a", "b", 0.02).cells) == 1


def test_cells_without_a_variant_are_the_variant_none() -> None:
    cells = [
        cell if cell.variant == "b" else replace(cell, id=cell.id.replace("@a", ""), variant="")
        for cell in duet(1, injected={"filter:lua": 5_000.0}).cells
    ]
    profile = replace(duet(1), cells=cells)
    assert variant_names(profile) == ["none", "b"]
    assert verdicts(compare_variants(profile, "none", "b", 0.02), LATENCY)["filter:lua"] == WORSE


def test_one_disturbed_round_does_not_hide_a_difference() -> None:
    found = paired([5.0, 5.2, 4.8, 5.1, 400.0, 5.0, 4.9, 5.1])
    assert found is not None
    assert found.value == pytest.approx(5.05, abs=0.02)
    assert found.p is not None
    assert found.p < 1e-4


def test_variants_keep_their_order() -> None:
    assert variant_names(duet(1)) == ["a", "b"]


def test_a_profile_without_variants_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^old: has no variants to compare"):
        require_variants(drawn(1), "old")


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("latency.parsing < +5%", FAIL),
        ("latency.parsing < +40%", PASS),
        ("latency.parsing < +1us", FAIL),
        ("latency.parsing < +15us", PASS),
        ("mean.latency.total < +1%", FAIL),
        ("mean.latency.total < +20%", PASS),
        ("latency.ipc < +10%", PASS),
        ("latency.parsing < 1ms", PASS),
    ],
)
def test_a_limit_of_changes_holds_later_variants_against_the_first(text: str, state: str) -> None:
    profile = duet(1, injected={"parsing": 8_000.0})
    assert overall(check([parse_limit(text, "--limit")], profile, None)) == state
