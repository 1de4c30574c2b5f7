"""What passes, fails and stays open, on profiles whose truth is known."""

from collections import Counter

import pytest
from msgspec.structs import replace

from profiler.comparison.gate import check, overall
from profiler.comparison.limits import parse_limit
from profiler.errors import UsageError
from profiler.profile.types import Profile
from tests.profiler.comparison.profiles import drawn


def state(text: str, new: Profile, baseline: Profile | None = None) -> str:
    return overall(check([parse_limit(text, "--limit")], new, baseline))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("latency.total < 150us", "pass"),
        ("latency.total < 100.5us", "inconclusive"),
        ("latency.total < 80us", "fail"),
        ("cpu.parsing < 0.04 vcpu/1krps", "pass"),
        ("cpu.parsing < 0.02 vcpu/1krps", "fail"),
        ("latency.parsing.p99 < 61us", "pass"),
        ("latency.parsing.p99 < 50us", "fail"),
    ],
)
def test_absolute_limits(text: str, expected: str) -> None:
    assert state(text, drawn(1, scatter=0.005, drift=0.002)) == expected


@pytest.mark.parametrize(
    ("injected", "text", "expected"),
    [
        (0.0, "latency.parsing < +5%", "pass"),
        (6000.0, "latency.parsing < +5%", "fail"),
        (1500.0, "latency.parsing < +5%", "inconclusive"),
        (6000.0, "latency.parsing < +10us", "pass"),
        (6000.0, "latency.parsing < +3us", "fail"),
        (6000.0, "latency.ipc < +5%", "pass"),
        (6000.0, "mean.latency.parsing < +15%", "fail"),
        (6000.0, "mean.latency.parsing < +25%", "pass"),
        (6000.0, "mean.latency.total < +7%", "pass"),
        (0.0, "latency.parsing < -10%", "fail"),
        (-6000.0, "latency.parsing < -10%", "pass"),
    ],
)
def test_limits_against_a_baseline(injected: float, text: str, expected: str) -> None:
    old = drawn(1, scatter=0.005, drift=0.002)
    new = drawn(2, scatter=0.005, drift=0.002, injected={"parsing": injected})
    assert state(text, new, old) == expected


def test_wide_intervals_are_inconclusive_and_not_passed() -> None:
    assert state("latency.parsing < +5%", drawn(2, scatter=0.3), drawn(1, scatter=0.3)) == "inconclusive"


def test_equal_runs_rarely_fail_a_limit_of_no_change() -> None:
    """The truth is the limit itself, which is the worst case, in twelve figures at once."""
    limits = [parse_limit(f"latency.{name} < +0%", "--limit") for name in ("ipc", "parsing", "proxy_core")]
    states = Counter(overall(check(limits, drawn(2 * seed + 1), drawn(2 * seed))) for seed in range(100))
    assert states["fail"] <= 5


def test_the_shown_change_and_its_interval_are_fractions_of_the_baseline() -> None:
    old, new = drawn(1, scatter=0.005, drift=0.002), drawn(2, scatter=0.005, drift=0.002, injected={"parsing": 6000.0})
    (outcome,) = check([parse_limit("latency.parsing < +5%", "--limit")], new, old)
    entry = outcome.checked[0]
    assert entry.value == pytest.approx(0.2, abs=0.03)
    assert entry.value is not None
    assert entry.interval is not None
    assert entry.interval[0] < entry.value < entry.interval[1]


def test_closure_is_the_worse_of_both_currencies() -> None:
    profile = drawn(1, cells=1)
    cell = profile.cells[0]
    assert cell.latency is not None
    assert cell.cpu is not None
    worse = replace(
        cell,
        latency=replace(cell.latency, closure_residual=0.01),
        cpu=replace(cell.cpu, closure_residual=-0.2),
    )
    assert state("closure < 10%", replace(profile, cells=[worse])) == "fail"
    assert state("closure < 25%", replace(profile, cells=[worse])) == "pass"


def test_a_component_that_no_cell_has_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"expected one of total, ipc, .*found 'tls'"):
        state("latency.tls < 1ms", drawn(1))
    with pytest.raises(UsageError, match=r"expected one of total, .*found 'filter:x'"):
        state("latency.filter:x < +5%", drawn(1), drawn(2))


def test_a_change_needs_a_baseline() -> None:
    with pytest.raises(UsageError, match="name what to compare with by --baseline"):
        state("latency.total < +5%", drawn(1))


def test_a_share_of_nothing_is_inconclusive() -> None:
    old, new = drawn(1, injected={"other": -1000.0}), drawn(2)
    (outcome,) = check([parse_limit("latency.other < +5%", "--limit")], new, old)
    assert outcome.state == "inconclusive"
    assert "not above zero" in outcome.checked[0].note
