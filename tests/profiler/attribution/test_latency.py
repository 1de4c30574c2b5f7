"""Latency components against tables whose truth is known."""

import numpy as np
import pytest

from profiler.attribution.cpu import Redirect
from profiler.attribution.critical_path import CORES, CROSSED, HAND_OVERS, USER, Exchange, Exchanges
from profiler.attribution.latency import (
    COLUMNS,
    HAND_OVER_COLUMNS,
    ExchangeTable,
    LatencyRounds,
    LatencyRung,
    by_place,
    decompose,
    mean_hand_overs,
    pool,
    since_due,
    tabulate,
)
from profiler.vocabulary.components import (
    CLIENT_APP,
    CLIENT_SIDECAR,
    CLIENT_TUNNEL,
    FILTER_SERVICE,
    IPC,
    OTHER,
    PARSING,
    PROXY_CORE,
    REDIRECT,
    REQUEST,
    RESPONSE,
    SERVER_TUNNEL,
    SHARED_PROXY,
    SOCKET_WRITE,
    TLS,
    TUNNEL,
    WAYPOINT_PROXY,
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
    segments = np.zeros(time_ns.shape, dtype=np.uint16)
    hand_overs = np.zeros((rows, len(HAND_OVER_COLUMNS)), dtype=np.float32)
    return ExchangeTable(time_ns, segments, hand_overs, lost=1, dropped=2)


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


def test_exchanges_in_hundreds_of_pieces_keep_their_number() -> None:
    exchange = Exchange(0, 90_000, {APP_USER: 90_000}, {APP_USER: 300})
    found = tabulate(Exchanges([exchange], lost=0)).without_probes(100)
    assert found.totals_ns[0] == 90_000 - 300 * 100


def medians(rounds: LatencyRounds) -> dict[str, float]:
    return {name: part.median_ns for name, part in decompose(rounds).items() if part.median_ns}


def test_a_tcp_proxy_is_split_into_what_was_put_in() -> None:
    found = medians(LatencyRounds([TCP] * 3, [DIRECT] * 3))
    assert found == pytest.approx({IPC: 14_000, SOCKET_WRITE: 500, PROXY_CORE: 9000, OTHER: 100})


def test_the_ladder_splits_user_time_into_core_and_parsing() -> None:
    found = medians(LatencyRounds([HTTP] * 3, [DIRECT] * 3, LADDER))
    assert (found[PROXY_CORE], found[PARSING]) == pytest.approx((9000, 51_000))


def test_netfilter_is_moved_out_of_what_it_is_nested_in() -> None:
    found = medians(LatencyRounds([TCP] * 3, [DIRECT] * 3, redirect=Redirect({IPC: 0.1})))
    assert (found[IPC], found[REDIRECT]) == pytest.approx((12_600, 1400))


def test_components_add_up_to_the_difference_of_the_medians() -> None:
    noisy = [table({APP_USER: 5000, PROXY_USER: 9000, PROXY_IPC: 14_000}, rows=4000, noise=0.4)] * 3
    baseline = [table({APP_USER: 5000, APP_WRITE: 2000}, rows=4000, noise=0.4)] * 3
    difference = np.median(noisy[0].totals_ns) - np.median(baseline[0].totals_ns)
    assert sum(medians(LatencyRounds(noisy, baseline)).values()) == pytest.approx(difference, rel=0.01)


def test_a_round_in_which_the_client_woke_up_late_is_in_no_component() -> None:
    late = table({APP_USER: 1_805_100, APP_WRITE: 2500, PROXY_USER: 9000, PROXY_IPC: 14_000})
    found = medians(LatencyRounds([late, TCP, TCP, TCP, TCP], [DIRECT] * 5))
    assert found == pytest.approx({IPC: 14_000, SOCKET_WRITE: 500, PROXY_CORE: 9000, OTHER: 100})


def test_an_exchange_that_the_machine_held_up_is_not_in_the_mean() -> None:
    held = table({APP_USER: 5100, PROXY_USER: 9000, PROXY_IPC: 14_000})
    held.time_ns[3] *= 1000
    means = [decompose(LatencyRounds([one] * 3, [DIRECT] * 3))[IPC].mean_ns for one in (TCP, held)]
    assert means == pytest.approx([14_000, 14_000])


def test_places_add_up_to_the_components() -> None:
    rounds = LatencyRounds([HTTP] * 3, [DIRECT] * 3, LADDER, Redirect({IPC: 0.1}))
    summed = {name: sum(parts[name] for parts in by_place(rounds).values()) for name in rounds.names}
    assert {name: value for name, value in summed.items() if value} == pytest.approx(medians(rounds))


def test_samples_losses_and_drops_are_summed_over_the_rounds() -> None:
    part = decompose(LatencyRounds([TCP] * 3, [DIRECT] * 3))[IPC]
    assert (part.samples, part.lost, part.dropped) == (1500, 3, 6)


def test_each_round_has_its_own_estimate() -> None:
    rounds = [table({PROXY_IPC: value}) for value in (10_000, 11_000, 14_000)]
    assert decompose(LatencyRounds(rounds, [table({})] * 3))[IPC].rounds_ns == [10_000, 11_000, 14_000]


def test_the_error_of_a_sampled_share_is_in_time_of_the_component() -> None:
    found = decompose(
        LatencyRounds([table({PROXY_IPC: 10_000})] * 3, [table({})] * 3, (), Redirect({IPC: 0.1}, {IPC: 0.02}))
    )
    assert (found[IPC].error_ns, found[REDIRECT].error_ns) == pytest.approx((200, 200))


@pytest.mark.parametrize(
    ("start_ns", "end_ns", "late_ns"),
    [(7000, 9100, 2000), (5000, 9100, 0), (23_000, 26_100, 3000), (9500, 9900, 0), (1000, 2000, 0)],
    ids=["woken late", "in time", "sent when the next was due already", "of a request that failed", "before any"],
)
def test_in_an_open_loop_a_late_start_of_the_client_is_part_of_the_exchange(
    start_ns: int, end_ns: int, late_ns: int
) -> None:
    exchange = Exchange(start_ns, end_ns, {APP_USER: end_ns - start_ns}, {APP_USER: 1})
    due_ns, done_ns = np.array([5000, 20_000, 22_000]), np.array([9000, 26_000, 28_000])
    (found,) = since_due(Exchanges([exchange], lost=0), due_ns, done_ns).followed
    assert found.total_ns == end_ns - start_ns + late_ns
    relieved = tabulate(Exchanges([found], lost=0)).without_probes(100)
    assert relieved.time_ns[0, COLUMNS.index((CLIENT_APP, REQUEST, OTHER))] == late_ns


def test_each_segment_is_relieved_of_one_probe_hit_but_never_below_zero() -> None:
    exchange = Exchange(0, 1000, {PROXY_USER: 900, PROXY_IPC: 100}, {PROXY_USER: 3, PROXY_IPC: 4})
    found = tabulate(Exchanges([exchange], lost=0)).without_probes(50)
    assert found.time_ns[0, COLUMNS.index(PROXY_USER)] == 750
    assert found.time_ns[0, COLUMNS.index(PROXY_IPC)] == 0


def test_pooling_keeps_every_exchange() -> None:
    assert len(pool([TCP, HTTP])) == len(TCP) + len(HTTP)


def handed_over(crossed: float, cores: float = 0.0, total_ns: int = 100) -> Exchange:
    """An exchange of two hand-overs, so many of which crossed."""
    counts = {
        (CLIENT_SIDECAR, REQUEST, HAND_OVERS): 1.0,
        (CLIENT_SIDECAR, REQUEST, CROSSED): crossed,
        (CLIENT_SIDECAR, REQUEST, CORES): cores,
        (CLIENT_APP, RESPONSE, HAND_OVERS): 1.0,
    }
    return Exchange(0, total_ns, {APP_USER: total_ns}, {APP_USER: 1}, counts)


def test_hand_overs_are_means_over_the_exchanges_of_all_rounds() -> None:
    rounds = [
        tabulate(Exchanges([handed_over(1.0, 1.0), handed_over(0.0)], 0)),
        tabulate(Exchanges([handed_over(1.0)], 0)),
    ]
    found = mean_hand_overs([entry.without_probes(1.0) for entry in rounds])
    assert (found.count, found.caches) == (2.0, 0.0)
    assert found.crossed == pytest.approx(2 / 3)
    assert found.cores == pytest.approx(1 / 3)
    assert found.rounds_crossed == [0.5, 1.0]
    assert found.by_place[CLIENT_SIDECAR, REQUEST] == pytest.approx((1.0, 2 / 3))
    assert found.by_place[CLIENT_APP, RESPONSE] == (1.0, 0.0)


def test_exchanges_that_were_held_up_say_nothing_of_hand_overs() -> None:
    quick, held = [handed_over(0.0)] * 9, handed_over(1.0, total_ns=5000)
    assert mean_hand_overs([tabulate(Exchanges([*quick, held], 0))]).crossed == 0.0


def test_cores_are_not_known_where_one_exchange_does_not_know() -> None:
    found = mean_hand_overs([tabulate(Exchanges([handed_over(1.0, float("nan")), handed_over(1.0, 1.0)], 0))])
    assert (found.cores, found.caches, found.crossed) == (None, 0.0, 1.0)


def rounds_of(filter_rung: LatencyRung, redirect: bool = False) -> LatencyRounds:
    """A cell whose ladder goes over TLS to a filter."""
    shares = Redirect({IPC: 0.1} if redirect else {})
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
    sums = np.sum([part.rounds_ns for part in decompose(rounds).values()], axis=0)
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
    found = {name: part.source for name, part in decompose(WAITING).items()}
    assert found[PROXY_CORE] == "ladder: user time as TCP proxy"
    assert found[TLS] == "ladder: user time, with − without (tls above parsing)"
    assert found[WAIT] == "ladder: all time, with − without (filter:ext_authz above tls)"
    assert found[IPC] == "timeline"


def test_user_time_of_a_shared_proxy_is_that_of_a_sidecar() -> None:
    shared = table({APP_USER: 5000, APP_WRITE: 2000, (SHARED_PROXY, REQUEST, USER): 7000})
    assert medians(LatencyRounds([shared] * 3, [DIRECT] * 3)) == pytest.approx({PROXY_CORE: 7000})


def test_the_ends_of_tunnels_are_one_component_whatever_they_do() -> None:
    ends = {
        (CLIENT_TUNNEL, REQUEST, USER): 900,
        (CLIENT_TUNNEL, REQUEST, SOCKET_WRITE): 5,
        (SERVER_TUNNEL, RESPONSE, IPC): 70,
    }
    own = {(WAYPOINT_PROXY, REQUEST, USER): 7000, (WAYPOINT_PROXY, REQUEST, IPC): 40}
    through = table({APP_USER: 5000, APP_WRITE: 2000, **own, **ends})
    rounds = LatencyRounds([through] * 3, [DIRECT] * 3, redirect=Redirect({IPC: 0.5}))
    assert medians(rounds) == pytest.approx({PROXY_CORE: 7000, IPC: 20, REDIRECT: 20, TUNNEL: 975})
    assert TUNNEL not in LatencyRounds([table({APP_USER: 5000})] * 3, [DIRECT] * 3).names


def test_the_tail_of_user_time_goes_to_its_largest_part() -> None:
    p99 = {name: part.p99_ns or 0.0 for name, part in decompose(USER_TIME_ONLY).items()}
    assert sum(p99[name] for name in (PROXY_CORE, PARSING, TLS, "filter:lua")) == pytest.approx(90_000)
    assert p99[TLS] == pytest.approx(15_000)


def placed(local: int, crossed: int) -> ExchangeTable:
    """Exchanges of one round, some of whose two hand-overs both stayed on one CPU, and some both crossed."""
    few = Exchange(0, 10, {APP_USER: 10}, {APP_USER: 1}, {(CLIENT_APP, RESPONSE, HAND_OVERS): 2.0})
    counts = {(CLIENT_APP, RESPONSE, HAND_OVERS): 2.0, (CLIENT_APP, RESPONSE, CROSSED): 2.0}
    many = Exchange(0, 50, {APP_USER: 50}, {APP_USER: 1}, counts)
    return tabulate(Exchanges([few] * local + [many] * crossed, lost=3))


@pytest.mark.parametrize(("more", "median_ns"), [(0.0, 10.0), (0.8, 50.0), (-0.4, 10.0), (9.0, 50.0)])
def test_exchanges_are_drawn_by_the_crossings_that_there_are_without_probes(more: float, median_ns: float) -> None:
    table = placed(60, 40)  # 0.8 crossings per exchange
    found = table.with_more_crossings(more)
    assert (len(found), found.lost) == (100, 3)
    assert np.median(found.totals_ns) == median_ns
    assert mean_hand_overs([found]).crossed == pytest.approx(min(0.8 + more, 2.0), abs=0.03)
    assert mean_hand_overs([found]).count == 2.0


def test_where_all_exchanges_cross_alike_there_is_nothing_to_draw() -> None:
    table = placed(0, 50)
    assert table.with_more_crossings(-1.0) is table
