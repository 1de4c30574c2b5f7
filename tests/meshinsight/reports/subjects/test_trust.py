"""How far to trust a profile: a line per currency, and problems by cause."""

from typing import Any

from msgspec.structs import replace

from meshinsight.reports.subjects import trust
from profiler.profile.types import Perturbation, Profile, RunNoise
from tests.meshinsight.reports.profiles import quick_profile


def with_latency(found: Profile, index: int, **changes: Any) -> Profile:
    cell = found.cells[index]
    assert cell.latency is not None
    changed = replace(cell, latency=replace(cell.latency, **changes))
    return replace(found, cells=[*found.cells[:index], changed, *found.cells[index + 1 :]])


def warned(texts: list[list[str]]) -> Profile:
    found = quick_profile()
    cells = [replace(cell, warnings=own) for cell, own in zip(found.cells, [*texts, *[[]] * 8], strict=False)]
    return replace(found, cells=cells, warnings=[])


def test_a_good_profile_is_quotable() -> None:
    latency, _ = trust.lines(quick_profile())
    assert latency == "Latency: totals quotable in all 8 cells; components in all 8 cells."


def test_an_interval_that_is_too_wide_makes_a_total_unquotable_with_its_remedy() -> None:
    latency, _ = trust.lines(with_latency(quick_profile(), 0, overhead_ci95_ns=[0.0, 1e6]))
    assert "totals quotable in 7 of 8 cells (1 interval wider than ±50 %; use more --rounds)" in latency


def test_a_total_without_interval_is_not_quotable() -> None:
    latency, _ = trust.lines(with_latency(quick_profile(), 0, overhead_ci95_ns=None))
    assert "totals quotable in 7 of 8 cells (1 interval unknown)" in latency


def test_components_that_do_not_add_up_are_counted_with_their_range() -> None:
    found = with_latency(with_latency(quick_profile(), 0, closure_residual=-0.26), 1, closure_residual=0.31)
    latency, _ = trust.lines(found)
    assert latency.endswith("components in 6 of 8 cells (2 sums at 74–131 % of the total, bound ±10 %).")


def test_what_the_probes_take_of_the_throughput_is_part_of_the_line_of_cpu() -> None:
    latency, cpu = trust.lines(quick_profile())
    assert "probes took 14 % of the throughput in all 8 cells" in cpu
    assert "probes" not in latency


def test_what_the_probes_add_to_the_median_is_part_of_the_line_of_latency() -> None:
    found = quick_profile()
    slow = Perturbation(latency_ratio=1.09, throughput_ratio=0.99, proxy_cpu_ratio=None)
    latency, cpu = trust.lines(replace(found, cells=[replace(found.cells[0], perturbation=slow), *found.cells[1:]]))
    assert "probes added 9 % to the median in 1 of 8 cells" in latency
    assert "in 7 of 8 cells" in cpu


def test_nothing_of_a_noisy_machine_is_quotable() -> None:
    noise = RunNoise(steal_ratio=0.084, psi_cpu_some_ratio=0.6, noisy=True)
    for line in trust.lines(replace(quick_profile(), noise=noise)):
        assert "totals quotable in no cell (noisy machine: the host took 8.4 % of the CPU)" in line


def test_warnings_of_one_cause_are_one_line_with_ranges_names_and_cells() -> None:
    found = warned(
        [
            ["cpu: eBPF and perf differ by +13 points on ipc; see both"],
            ["cpu: eBPF and perf differ by -15 points on proxy_core; see both"],
            ["cpu: eBPF and perf differ by +27 points on ipc; see both"],
        ]
    )
    assert trust.problem_groups(found) == [
        "warning: 3 of 8 cells: cpu: eBPF and perf differ by -15 to +27 points on ipc, proxy_core; see both"
    ]


def test_a_cause_in_few_cells_names_them() -> None:
    assert trust.problem_groups(warned([["the host took 12% of it"], ["the host took 7% of it"]])) == [
        "warning: tcp-client-hot and tcp-client-cold: the host took 7–12% of it"
    ]


def test_what_the_lines_sum_up_is_not_repeated() -> None:
    texts = [
        "cpu: the components add up to 87% of the measured overhead",
        "probes left 0.86 of the throughput at saturation (bound 0.95)",
        "probes raised the median latency by 3.1%",
    ]
    assert trust.problem_groups(warned([texts])) == []


def test_errors_come_before_warnings() -> None:
    found = warned([["a warning"]])
    failed = replace(found.cells[1], errors=["3 requests failed"])
    groups = trust.problem_groups(replace(found, cells=[found.cells[0], failed, *found.cells[2:]]))
    assert [group.partition(":")[0] for group in groups] == ["error", "warning"]
