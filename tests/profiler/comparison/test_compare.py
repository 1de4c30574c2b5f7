"""Verdicts on profiles whose truth is known: injected costs, equal runs, and profiles that cannot be compared."""

from collections import Counter
from statistics import fmean

import pytest
from msgspec.structs import replace

from profiler.comparison.changes import changes, require_alike
from profiler.comparison.compare import Compared, compare
from profiler.comparison.figures import CPU, LATENCY, P50, P99, PER_REQUEST, TOTAL, Key
from profiler.errors import UsageError
from tests.profiler.comparison.profiles import TRUTH_NS, drawn, with_environment

DELTA = 0.02


def means(injected: dict[str, float], seed: int) -> dict[Key, Compared]:
    """Means over cells, of a run without and one with the injected cost."""
    found = compare(drawn(seed), drawn(seed + 1000, injected=injected), DELTA)
    return {key: entry for mean in found.means for key, entry in mean.figures.items()}


def verdicts(injected: dict[str, float], component: str) -> Counter[str]:
    """In ten pairs of runs, by the mean over cells."""
    return Counter(means(injected, seed)[Key(LATENCY, component, P50)].verdict for seed in range(10))


@pytest.mark.parametrize("component", ["ipc", "parsing", "proxy_core", "socket_write"])
def test_an_injected_cost_is_worse_in_its_component_only(component: str) -> None:
    injected = {component: 15_000.0}
    assert verdicts(injected, component)["worse"] >= 9
    for other in set(TRUTH_NS) - {component}:
        assert verdicts(injected, other)["worse"] == 0


def test_a_cost_that_is_gone_is_better_in_both_currencies() -> None:
    figures = means({"parsing": -15_000.0}, 3)
    assert figures[Key(LATENCY, "parsing", P50)].verdict == "better"
    assert figures[Key(CPU, "parsing", PER_REQUEST)].verdict == "better"


def test_the_interval_holds_the_injected_cost() -> None:
    held, pairs = 0, 100
    for seed in range(pairs):
        one, two = drawn(seed, cells=1), drawn(seed + 1000, cells=1, injected={"parsing": 6000.0})
        entry = compare(one, two, DELTA).cells[0].figures[Key(LATENCY, "parsing", P50)]
        low, high = entry.difference.interval or (0.0, 0.0)
        held += low <= 6000.0 <= high
    assert held >= 0.92 * pairs


def test_equal_runs_rarely_have_any_verdict() -> None:
    """The promise of Holm's correction: at most 5 % of 200 pairs, whatever the scatter."""
    alarms = 0
    for seed in range(200):
        scatter = (0.03, 0.1, 0.25)[seed % 3]
        one, two = (drawn(2 * seed + number, cells=3, rounds=4, scatter=scatter) for number in (0, 1))
        alarms += any(entry.decided for _, entry in compare(one, two, 0.0).figures())
    assert alarms <= 10


def test_quiet_equal_runs_are_the_same_within_delta() -> None:
    one, two = (drawn(seed, scatter=0.002, drift=0.0005) for seed in (1, 2))
    found = compare(one, two, DELTA)
    assert {entry.verdict for cell, entry in found.figures() if entry.key.statistic != P99} == {"same"}
    assert compare(one, two, 1e-6).means[0].figures[Key(LATENCY, TOTAL, P50)].verdict == "inconclusive"


def test_a_profile_is_the_same_as_itself_as_far_as_its_intervals_allow() -> None:
    exact, wide = drawn(1, scatter=0.002, drift=0.0005), drawn(1, scatter=0.2)
    key = Key(LATENCY, "parsing", P50)
    assert compare(exact, exact, DELTA).cells[0].figures[key].verdict == "same"
    assert compare(wide, wide, DELTA).cells[0].figures[key].verdict == "inconclusive"


def test_a_certain_difference_below_delta_is_no_verdict() -> None:
    one, two = drawn(1, scatter=0.002, drift=0.0005), drawn(2, scatter=0.002, drift=0.0005, injected={"ipc": 3000.0})
    key = Key(LATENCY, "ipc", P50)
    assert compare(one, two, 0.02).means[0].figures[key].verdict == "worse"
    assert compare(one, two, 0.05).means[0].figures[key].verdict == "same"


def test_the_geometric_mean_is_the_ratio_of_the_overheads() -> None:
    double = dict(TRUTH_NS)
    found = compare(drawn(1, scatter=0.01), drawn(2, scatter=0.01, injected=double), DELTA)
    for mean in found.means:
        assert mean.interval[0] < 2.0 < mean.interval[1]
        assert mean.interval[1] - mean.interval[0] < 0.4


def test_the_drift_does_not_average_out_over_cells() -> None:
    """Twenty cells of runs on a machine that drifts by 10 % know the mean hardly better than one cell."""
    halves = []
    for cells in (1, 20):
        one, two = (drawn(seed, cells=cells, drift=0.1) for seed in (1, 2))
        halves.append(compare(one, two, DELTA).means[0].figures[Key(LATENCY, TOTAL, P50)].difference.half or 0.0)
    assert halves[1] > 0.8 * halves[0]


def test_components_of_the_mean_add_up_to_its_total() -> None:
    figures = compare(drawn(1), drawn(2), DELTA).means[0].figures
    parts = [entry.difference.value for key, entry in figures.items() if key.component != TOTAL]
    assert sum(parts) == pytest.approx(figures[Key(LATENCY, TOTAL, P50)].difference.value)
    total = figures[Key(LATENCY, TOTAL, P50)]
    assert fmean((total.old, total.new)) == pytest.approx(1.0)


def test_a_component_that_one_profile_lacks_is_nothing_there() -> None:
    old, new = drawn(1), drawn(2)
    cells = [
        replace(
            cell,
            latency=replace(
                cell.latency, components={k: v for k, v in cell.latency.components.items() if k != "parsing"}
            ),
        )
        for cell in old.cells
        if cell.latency
    ]
    entry = compare(replace(old, cells=cells), new, DELTA).cells[0].figures[Key(LATENCY, "parsing", P50)]
    assert (entry.old, entry.verdict) == (0.0, "worse")


def test_the_drift_counts_though_the_first_cell_lacks_the_component() -> None:
    new = drawn(2, cells=2, drift=0.1)
    old = drawn(1, cells=2, drift=0.1)
    first = old.cells[0]
    assert first.latency is not None
    components = {name: entry for name, entry in first.latency.components.items() if name != "parsing"}
    lacking = replace(first, latency=replace(first.latency, components=components))
    key = Key(LATENCY, "parsing", P50)
    mean = compare(replace(old, cells=[lacking, old.cells[1]]), new, DELTA).means[0].figures[key]
    second = compare(replace(old, cells=[old.cells[1]]), new, DELTA).means[0].figures[key]
    assert (mean.difference.half or 0.0) > 0.6 * (second.difference.half or 0.0)


def test_cells_that_were_not_measured_have_no_figures() -> None:
    old, new = (
        replace(profile, cells=[replace(cell, latency=None, cpu=None, errors=["x"]) for cell in profile.cells])
        for profile in (drawn(1), drawn(2))
    )
    found = compare(old, new, DELTA)
    assert (list(found.figures()), found.means, len(found.cells)) == ([], [], 4)


def test_percentiles_without_interval_have_no_verdict() -> None:
    entry = compare(drawn(1), drawn(2), DELTA).cells[0].figures[Key(LATENCY, "parsing", P99)]
    assert (entry.verdict, entry.p, entry.difference.interval) == ("unknown", None, None)


def test_percentiles_of_the_overhead_have_a_verdict_where_their_rounds_are_known() -> None:
    key = Key(LATENCY, TOTAL, P99)
    one, two = drawn(1), drawn(2, injected=TRUTH_NS)
    assert compare(one, two, DELTA).cells[0].figures[key].verdict == "worse"
    assert one.cells[0].latency is not None
    bare = replace(one.cells[0], latency=replace(one.cells[0].latency, overhead_p99_rounds_ns=[]))
    assert compare(replace(one, cells=[bare]), two, DELTA).cells[0].figures[key].verdict == "unknown"


def test_cells_without_overhead_are_not_in_the_mean() -> None:
    old, new = drawn(1), drawn(2)
    bare = [
        replace(
            cell,
            latency=replace(cell.latency, overhead_p50_ns=10.0, overhead_rounds_ns=[-90.0, 110.0, 10.0, 10.0]),
        )
        if cell.latency and number == 0
        else cell
        for number, cell in enumerate(old.cells)
    ]
    latency = compare(replace(old, cells=bare), new, DELTA).means[0]
    assert latency.cells == [cell.id for cell in old.cells[1:]]


def test_cells_of_one_side_are_listed() -> None:
    found = compare(drawn(1, cells=3), drawn(2, cells=2), DELTA)
    assert (found.only_old, found.only_new) == (["http1-both-hot-q128-s1026-c1-max"], [])
    assert len(found.cells) == 2


def test_disjoint_cells_are_refused_with_both_sides() -> None:
    new = drawn(2)
    other = replace(new, cells=[replace(cell, id=f"tcp-{cell.id}") for cell in new.cells])
    with pytest.raises(UsageError, match=r"old one has http1-both-hot-q128-s1024.*new one has tcp-http1") as caught:
        compare(drawn(1), other, DELTA)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"), [("cpu_model", "AMD EPYC"), ("cpus", 64), ("kernel", "6.1.0"), ("kernel", None)]
)
def test_other_machines_are_refused_by_name(field: str, value: object) -> None:
    old, new = drawn(1), with_environment(drawn(2), **{field: value})
    with pytest.raises(UsageError, match=f"{field}: .* → {'none' if value is None else value}.*--force"):
        require_alike(changes(old, new, []), "OLD", "NEW")


@pytest.mark.parametrize(("field", "value"), [("workers", 7), ("build", "DEBUG")])
def test_other_workers_and_debug_builds_are_refused(field: str, value: object) -> None:
    old, new = drawn(1), drawn(2)
    name, proxy = next(iter(new.proxies.items()))
    other = replace(new, proxies={**new.proxies, name: replace(proxy, **{field: value})})
    with pytest.raises(UsageError, match=f"{name} {field}: .* → {value}"):
        require_alike(changes(old, other, []), "OLD", "NEW")


def test_another_version_is_named_and_not_refused() -> None:
    old, new = drawn(1), drawn(2)
    name, proxy = next(iter(new.proxies.items()))
    other = replace(new, proxies={**new.proxies, name: replace(proxy, version="9.9.9")})
    found = changes(old, other, [])
    require_alike(found, "OLD", "NEW")
    assert [str(change) for change in found] == [f"{name} version: {proxy.version} → 9.9.9"]


def test_hidden_dimensions_that_vary_are_named() -> None:
    old, new = drawn(1), drawn(2)
    cells = [replace(cell, extra_headers=["x-a: b"]) for cell in new.cells]
    found = changes(old, new, list(zip(old.cells, cells, strict=True)))
    assert [str(change) for change in found] == ["extra_headers of 4 cells: none → x-a: b"]


def test_what_changed_without_sidecars_is_named() -> None:
    old, new = drawn(1), drawn(2)
    slow = [
        replace(cell, latency=replace(cell.latency, baseline_p50_ns=1.5 * cell.latency.baseline_p50_ns))
        for cell in new.cells
        if cell.latency
    ]
    assert any("latency without sidecars: 1.500" in note for note in compare(old, replace(new, cells=slow), 0.1).notes)


def test_a_profile_without_anchor_is_named() -> None:
    notes = compare(replace(drawn(1), anchor=None), drawn(2), 0.1).notes
    assert any("the old profile has no anchor" in note for note in notes)


def test_changed_settings_and_nested_configurations_are_named_in_one_line() -> None:
    old, new = drawn(1), drawn(2)
    name, proxy = next(iter(new.proxies.items()))
    other = replace(
        new,
        settings={**new.settings, "seed": "two\nlines"},
        proxies={**new.proxies, name: replace(proxy, configs={"http1-both": "f" * 64, "tcp-both": "e" * 64})},
    )
    old = replace(old, proxies={**old.proxies, name: replace(proxy, configs={"http1-both": "0" * 64})})
    texts = [str(change) for change in changes(old, other, [])]
    assert any(text.startswith(f"{name} configs: ") and text.endswith("http1-both ffffffffffff") for text in texts)
    assert any(text.endswith("→ two lines") for text in texts)
