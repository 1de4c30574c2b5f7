"""Latency components against tables whose truth is known."""

import numpy as np
import pytest

from profiler.attribution.critical_path import USER, Exchange, Exchanges
from profiler.attribution.latency import COLUMNS, ExchangeTable, LatencyRounds, by_place, decompose, pool, tabulate
from profiler.components import (
    CLIENT_APP,
    CLIENT_SIDECAR,
    IPC,
    OTHER,
    PARSING,
    PROXY_CORE,
    REDIRECT,
    REQUEST,
    SOCKET_WRITE,
)

Column = tuple[str, str, str]
APP_USER: Column = (CLIENT_APP, REQUEST, USER)
APP_WRITE: Column = (CLIENT_APP, REQUEST, SOCKET_WRITE)
PROXY_USER: Column = (CLIENT_SIDECAR, REQUEST, USER)
PROXY_IPC: Column = (CLIENT_SIDECAR, REQUEST, IPC)


def table(values: dict[Column, float], rows: int = 500, noise: float = 0.0) -> ExchangeTable:
    time_ns = np.zeros((rows, len(COLUMNS)))
    random = np.random.default_rng(len(values))
    for column, value in values.items():
        time_ns[:, COLUMNS.index(column)] = value * random.lognormal(0, noise, rows)
    return ExchangeTable(time_ns, np.zeros(time_ns.shape, dtype=np.uint8), lost=1, dropped=2)


DIRECT = table({APP_USER: 5000, APP_WRITE: 2000})
TCP = table({APP_USER: 5100, APP_WRITE: 2500, PROXY_USER: 9000, PROXY_IPC: 14_000})
HTTP = table({APP_USER: 5200, APP_WRITE: 2500, PROXY_USER: 60_000, PROXY_IPC: 14_000})


def medians(rounds: LatencyRounds) -> dict[str, float]:
    return {name: entry["median_ns"] for name, entry in decompose(rounds, seed=1).items() if entry["median_ns"]}


def test_a_tcp_proxy_is_split_into_what_was_put_in() -> None:
    found = medians(LatencyRounds([TCP] * 3, [DIRECT] * 3))
    assert found == pytest.approx({IPC: 14_000, SOCKET_WRITE: 500, PROXY_CORE: 9000, OTHER: 100})


def test_the_ladder_splits_user_time_into_core_and_parsing() -> None:
    found = medians(LatencyRounds([HTTP] * 3, [DIRECT] * 3, tcp_rung=[TCP] * 3))
    assert (found[PROXY_CORE], found[PARSING]) == pytest.approx((9000, 51_000))


def test_netfilter_is_moved_out_of_what_it_is_nested_in() -> None:
    found = medians(LatencyRounds([TCP] * 3, [DIRECT] * 3, redirect_shares={IPC: 0.1}))
    assert (found[IPC], found[REDIRECT]) == pytest.approx((12_600, 1400))


def test_components_add_up_to_the_difference_of_the_medians() -> None:
    noisy = [table({APP_USER: 5000, PROXY_USER: 9000, PROXY_IPC: 14_000}, rows=4000, noise=0.4)] * 3
    baseline = [table({APP_USER: 5000, APP_WRITE: 2000}, rows=4000, noise=0.4)] * 3
    difference = np.median(noisy[0].totals_ns) - np.median(baseline[0].totals_ns)
    assert sum(medians(LatencyRounds(noisy, baseline)).values()) == pytest.approx(difference, rel=0.01)


def test_places_add_up_to_the_components() -> None:
    rounds = LatencyRounds([HTTP] * 3, [DIRECT] * 3, [TCP] * 3, {IPC: 0.1})
    summed = {name: sum(place["components"][name] for place in by_place(rounds)) for name in rounds.names}
    assert {name: value for name, value in summed.items() if value} == pytest.approx(medians(rounds))


def test_samples_losses_and_drops_are_summed_over_the_rounds() -> None:
    entry = decompose(LatencyRounds([TCP] * 3, [DIRECT] * 3), seed=1)[IPC]
    assert (entry["samples"], entry["lost"], entry["dropped"]) == (1500, 3, 6)


def test_an_interval_spans_what_the_rounds_differ_by() -> None:
    rounds = [table({PROXY_IPC: value}) for value in (10_000, 11_000, 12_000, 13_000, 14_000)]
    low, high = decompose(LatencyRounds(rounds, [table({})] * 5), seed=1)[IPC]["ci95_ns"]
    assert 10_000 <= low < 12_000 < high <= 14_000


def test_each_segment_is_relieved_of_one_probe_hit_but_never_below_zero() -> None:
    exchange = Exchange(0, 1000, {PROXY_USER: 900, PROXY_IPC: 100}, {PROXY_USER: 3, PROXY_IPC: 4})
    found = tabulate(Exchanges([exchange], lost=0)).without_probes(50)
    assert found.time_ns[0, COLUMNS.index(PROXY_USER)] == 750
    assert found.time_ns[0, COLUMNS.index(PROXY_IPC)] == 0


def test_pooling_keeps_every_exchange() -> None:
    assert len(pool([TCP, HTTP])) == len(TCP) + len(HTTP)
