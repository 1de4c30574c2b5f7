"""Limits as expressions: what they mean, and what is refused in one line."""

import pytest

from profiler.comparison.figures import CPU, LATENCY, P50, P99, PER_REQUEST, TOTAL, Key
from profiler.comparison.limits import parse_limit, parse_limits
from profiler.errors import UsageError


@pytest.mark.parametrize(
    ("text", "key", "bound", "share", "against"),
    [
        ("latency.parsing.p50 < +5%", Key(LATENCY, "parsing", P50), 0.05, True, True),
        ("latency.parsing < -3 %", Key(LATENCY, "parsing", P50), -0.03, True, True),
        ("latency.total.p99 < 2ms", Key(LATENCY, TOTAL, P99), 2e6, False, False),
        ("latency.total <= +50us", Key(LATENCY, TOTAL, P50), 5e4, False, True),
        ("cpu.total < 0.25 vcpu/1krps", Key(CPU, TOTAL, PER_REQUEST), 250_000, False, False),
        ("cpu.total<250us", Key(CPU, TOTAL, PER_REQUEST), 250_000, False, False),
        ("cpu.filter:rate.limit < 1 vcpu/1000rps", Key(CPU, "filter:rate.limit", PER_REQUEST), 1e6, False, False),
        ("latency.filter:my.wait.p99 < 1ms", Key(LATENCY, "filter:my.wait", P99), 1e6, False, False),
        ("closure < 10%", None, 0.1, True, False),
    ],
)
def test_a_limit_means_what_it_says(text: str, key: Key | None, bound: float, share: bool, against: bool) -> None:
    limit = parse_limit(text, "--limit")
    assert (limit.key, limit.share, limit.against, limit.mean) == (key, share, against, False)
    assert limit.bound == pytest.approx(bound)


def test_a_mean_over_cells_is_marked() -> None:
    assert parse_limit("mean.cpu.total < +2%", "--limit").mean


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("latency.parsin < +5%", "component: expected one of total, ipc,.*found 'parsin'"),
        ("memory.total < 5MB", "expected one of latency, cpu, closure; found 'memory'"),
        ("latency.total > 5ms", "expected a limit such as"),
        ("latency.total < 5", "expected a time with its unit"),
        ("latency.total < 5 vcpu/1krps", "expected a time with its unit"),
        ("latency.total < 5%", "needs a sign, such as \\+5%"),
        ("latency.total < 1.2.3ms", "expected a time with its unit"),
        ("latency.total < 1.%", "expected a time with its unit"),
        ("closure < 5ms", "closure is limited as a share"),
        ("cpu.parsing.p99 < 5us", "CPU time has no percentiles; write cpu.parsing"),
        ("closure < +10%", "closure is limited as a share"),
        ("mean.closure < 10%", "closure is limited as a share"),
        ("mean.latency.total < 2ms", "a mean over cells is limited against a baseline"),
        ("mean.latency.total.p99 < +2%", "a mean over cells is limited against a baseline"),
        ("latency.total < -100%", "cannot fall by 100 %"),
        ("", "expected a limit such as"),
        ("latency.total < 2ms\nx", "expected"),
        ("l" * 300, "expected a limit"),
        ("latency. < 2ms", "component: expected one of"),
    ],
)
def test_what_is_no_limit_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse_limit(text, "--limit")
    assert str(caught.value).startswith("--limit: ")
    assert "\n" not in str(caught.value)


def test_a_file_has_a_limit_on_each_line() -> None:
    text = "# limits of main\n\nlatency.total.p99 < 2ms  # of what sidecars add\nclosure < 10%\n"
    assert [limit.text for limit in parse_limits(text, "limits.txt")] == ["latency.total.p99 < 2ms", "closure < 10%"]


def test_a_wrong_line_of_a_file_is_named() -> None:
    with pytest.raises(UsageError, match=r"limits.txt: line 2: .*expected"):
        parse_limits("closure < 10%\nlatency.nothing < 1ms\n", "limits.txt")
    with pytest.raises(UsageError, match="no limit in it"):
        parse_limits("# nothing\n", "limits.txt")
