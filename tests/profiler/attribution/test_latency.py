"""Latency components against tables whose truth is known."""

import numpy as np
import pytest

from profiler.attribution.critical_path import USER, Exchange, Exchanges
from profiler.attribution.latency import (
    COLUMNS,
    ExchangeTable,
    LatencyRounds,
    LatencyRung,
    by_place,
    decompose,
    pool,
    tabulate,
)
from profiler.vocabulary.components import (
    CLIENT_APP,
    CLIENT_SIDECAR,
    FILTER_SERVICE,
    IPC,
    OTHER,
    PARSING,
    PROXY_CORE,
    REDIRECT,
    REQUEST,
    SHARED_PROXY,
    SOCKET_WRITE,
    TLS,
)

Column = tuple[str, str, str]
APP_USER: Column = (CLIENT_APP, REQUEST, USER)
APP_WRITE: Column = (CLIENT_APP, REQUEST, SOCKET_WRITE)
PROXY_USER: Column = (CLIENT_SIDECAR, REQUEST, USER)
PROXY_IPC: Column = (CLIENT_SIDECAR, REQUEST, IPC)
PROXY_WRITE: Column = (CLIENT_SIDECAR, REQUEST, SOCKET_WRITE)
SERVICE_USER: Column = (FILTER_SERVICE, REQUEST, USER)
SERVICE_IPC: Column = (FILTER_SERVICE, REQUEST, IPC)


def table(values: dict[Column, float], rows: int = 500, noise: float = 0.0) -> ExchangeTable:
    time_ns = np.zeros((rows, len(COLUMNS)))
    random = np.random.default_rng(len(values))
    for column, value in values.items():
        time_ns[:, COLUMNS.index(column)] = value * random.lognormal(0, noise, rows)
    return ExchangeTable(time_ns, np.zeros(time_ns.shape, dtype=np.uint8), lost=1, dropped=2)


DIRECT = table({APP_USER: 5000, APP_WRITE: 2000})
TCP = table({APP_USER: 5100, APP_WRITE: 2500, PROXY_USER: 9000, PROXY_IPC: 14_000})
HTTP = table({APP_USER: 5200, APP_WRITE: 2500, PROXY_USER: 60_000, PROXY_IPC: 14_000})
MTLS = table({APP_USER: 5300, APP_WRITE: 2600, PROXY_USER: 75_000, PROXY_IPC: 15_000})
ASKING = table(
    {
        APP_USER: 5300,
        APP_WRITE: 2700,
        PROXY_USER: 90_000,
        PROXY_IPC: 35_000,
        PROXY_WRITE: 4000,
        SERVICE_USER: 6000,
        SERVICE_IPC: 8000,
    }
)
CORE_RUNG, PARSING_RUNG, TLS_RUNG = (
    LatencyRung(PROXY_CORE, [TCP] * 3),
    LatencyRung(PARSING, [HTTP] * 3),
    LatencyRung(TLS, [MTLS] * 3),
)
LADDER = (CORE_RUNG, PARSING_RUNG)
FILTER, WAIT = "filter:ext_authz", "filter:ext_authz.wait"


def medians(rounds: LatencyRounds) -> dict[str, float]:
    return {name: part.median_ns for name, part in decompose(rounds, seed=1).items() if part.median_ns}


def test_a_tcp_proxy_is_split_into_what_was_put_in() -> None:
    found = medians(LatencyRounds([TCP] * 3, [DIRECT] * 3))
    assert found == pytest.approx({IPC: 14_000, SOCKET_WRITE: 500, PROXY_CORE: 9000, OTHER: 100})


def test_the_ladder_splits_user_time_into_core_and_parsing() -> None:
    found = medians(LatencyRounds([HTTP] * 3, [DIRECT] * 3, LADDER))
    assert (found[PROXY_CORE], found[PARSING]) == pytest.approx((9000, 51_000))


def test_netfilter_is_moved_out_of_what_it_is_nested_in() -> None:
    found = medians(LatencyRounds([TCP] * 3, [DIRECT] * 3, redirect_shares={IPC: 0.1}))
    assert (found[IPC], found[REDIRECT]) == pytest.approx((12_600, 1400))


def test_components_add_up_to_the_difference_of_the_medians() -> None:
    noisy = [table({APP_USER: 5000, PROXY_USER: 9000, PROXY_IPC: 14_000}, rows=4000, noise=0.4)] * 3
    baseline = [table({APP_USER: 5000, APP_WRITE: 2000}, rows=4000, noise=0.4)] * 3
    difference = np.median(noisy[0].totals_ns) - np.median(baseline[0].totals_ns)
    assert sum(medians(LatencyRounds(noisy, baseline)).values()) == pytest.approx(difference, rel=0.01)


def test_an_exchange_that_the_machine_held_up_is_not_in_the_mean() -> None:
    held = table({APP_USER: 5100, PROXY_USER: 9000, PROXY_IPC: 14_000})
    held.time_ns[3] *= 1000
    means = [decompose(LatencyRounds([one] * 3, [DIRECT] * 3), seed=1)[IPC].mean_ns for one in (TCP, held)]
    assert means == pytest.approx([14_000, 14_000])


def test_places_add_up_to_the_components() -> None:
    rounds = LatencyRounds([HTTP] * 3, [DIRECT] * 3, LADDER, {IPC: 0.1})
    summed = {name: sum(parts[name] for parts in by_place(rounds).values()) for name in rounds.names}
    assert {name: value for name, value in summed.items() if value} == pytest.approx(medians(rounds))


def test_samples_losses_and_drops_are_summed_over_the_rounds() -> None:
    part = decompose(LatencyRounds([TCP] * 3, [DIRECT] * 3), seed=1)[IPC]
    assert (part.samples, part.lost, part.dropped) == (1500, 3, 6)


def test_an_interval_spans_what_the_rounds_differ_by() -> None:
    rounds = [table({PROXY_IPC: value}) for value in (10_000, 11_000, 12_000, 13_000, 14_000)]
    interval_ns = decompose(LatencyRounds(rounds, [table({})] * 5), seed=1)[IPC].ci95_ns
    assert interval_ns is not None
    low, high = interval_ns
    assert 10_000 <= low < 12_000 < high <= 14_000


def test_each_segment_is_relieved_of_one_probe_hit_but_never_below_zero() -> None:
    exchange = Exchange(0, 1000, {PROXY_USER: 900, PROXY_IPC: 100}, {PROXY_USER: 3, PROXY_IPC: 4})
    found = tabulate(Exchanges([exchange], lost=0)).without_probes(50)
    assert found.time_ns[0, COLUMNS.index(PROXY_USER)] == 750
    assert found.time_ns[0, COLUMNS.index(PROXY_IPC)] == 0


def test_pooling_keeps_every_exchange() -> None:
    assert len(pool([TCP, HTTP])) == len(TCP) + len(HTTP)


def rounds_of(filter_rung: LatencyRung, redirect: bool = False) -> LatencyRounds:
    """A cell whose ladder goes over TLS to a filter."""
    shares = {IPC: 0.1} if redirect else {}
    ladder = (CORE_RUNG, PARSING_RUNG, TLS_RUNG, filter_rung)
    return LatencyRounds([ASKING] * 3, [DIRECT] * 3, ladder, shares)


USER_TIME_ONLY = rounds_of(LatencyRung("filter:lua", [ASKING] * 3))
OUTSIDE = rounds_of(LatencyRung("filter:tracing-10", [ASKING] * 3, outside=True))
WAITING = rounds_of(LatencyRung(FILTER, [ASKING] * 3, outside=True, wait_component=WAIT))
WAITING_CAPTURED = rounds_of(LatencyRung(FILTER, [ASKING] * 3, outside=True, wait_component=WAIT), redirect=True)


def test_each_rung_takes_the_user_time_that_it_adds() -> None:
    found = medians(USER_TIME_ONLY)
    user = {name: found[name] for name in (PROXY_CORE, PARSING, TLS, "filter:lua")}
    assert user == pytest.approx({PROXY_CORE: 9000, PARSING: 51_000, TLS: 15_000, "filter:lua": 15_000})
    assert found[IPC] == pytest.approx(35_000 + 8000)  # a filter of user time only leaves the rest where it is


def test_an_outside_rung_takes_all_the_time_that_it_adds() -> None:
    found = medians(OUTSIDE)
    assert found["filter:tracing-10"] == pytest.approx(ASKING.totals_ns[0] - MTLS.totals_ns[0])
    assert found[IPC] == pytest.approx(15_000)
    assert found[SOCKET_WRITE] == pytest.approx(600)


def test_waiting_for_the_server_that_a_filter_asks_is_kept_apart() -> None:
    found = medians(WAITING)
    assert found[WAIT] == pytest.approx(20_000 + 6000 + 8000)  # hand-overs of the sidecar, and all of the server
    assert found[FILTER] == pytest.approx(15_000 + 4000 + 100)
    assert found[IPC] == pytest.approx(15_000)


@pytest.mark.parametrize("rounds", [USER_TIME_ONLY, OUTSIDE, WAITING, WAITING_CAPTURED])
def test_components_of_a_ladder_add_up_to_the_overhead(rounds: LatencyRounds) -> None:
    assert sum(medians(rounds).values()) == pytest.approx(ASKING.totals_ns[0] - DIRECT.totals_ns[0])


@pytest.mark.parametrize("rounds", [USER_TIME_ONLY, OUTSIDE, WAITING, WAITING_CAPTURED])
def test_each_round_on_its_own_adds_up_too(rounds: LatencyRounds) -> None:
    sums = np.sum([part.rounds_ns for part in decompose(rounds, seed=1).values()], axis=0)
    assert sums == pytest.approx([ASKING.totals_ns[0] - DIRECT.totals_ns[0]] * 3)


def test_places_of_a_ladder_add_up_to_its_components() -> None:
    summed = {
        name: sum(parts[name] for parts in by_place(WAITING_CAPTURED).values()) for name in WAITING_CAPTURED.names
    }
    assert {name: value for name, value in summed.items() if value} == pytest.approx(medians(WAITING_CAPTURED))


def test_a_cell_has_only_the_components_that_its_ladder_has() -> None:
    names = LatencyRounds([HTTP] * 3, [DIRECT] * 3, LADDER).names
    assert PARSING in names
    assert TLS not in names
    assert [name for name in WAITING.names if name.startswith("filter:")] == [FILTER, WAIT]


def test_the_source_says_which_rungs_a_component_is_the_difference_of() -> None:
    found = {name: part.source for name, part in decompose(WAITING, seed=1).items()}
    assert found[PROXY_CORE] == "ladder: user time as TCP proxy"
    assert found[TLS] == "ladder: user time, with − without (tls above parsing)"
    assert found[WAIT] == "ladder: all time, with − without (filter:ext_authz above tls)"
    assert found[IPC] == "timeline"


def test_user_time_of_a_shared_proxy_is_that_of_a_sidecar() -> None:
    shared = table({APP_USER: 5000, APP_WRITE: 2000, (SHARED_PROXY, REQUEST, USER): 7000})
    assert medians(LatencyRounds([shared] * 3, [DIRECT] * 3)) == pytest.approx({PROXY_CORE: 7000})


def test_the_tail_of_user_time_goes_to_its_largest_part() -> None:
    p99 = {name: part.p99_ns or 0.0 for name, part in decompose(USER_TIME_ONLY, seed=1).items()}
    assert sum(p99[name] for name in (PROXY_CORE, PARSING, TLS, "filter:lua")) == pytest.approx(90_000)
    assert p99[TLS] == pytest.approx(15_000)
