"""CPU components against windows whose truth is known."""

from collections.abc import Mapping

import numpy as np
import pytest

from profiler.attribution.cpu import (
    CpuRound,
    CpuRounds,
    CpuRung,
    Redirect,
    busy_per_request,
    busy_rounds,
    describe,
    disagreement,
    overhead,
    redirect_part,
    traced,
)
from profiler.vocabulary.components import EVENT_WAIT, IPC, OTHER, PARSING, PROXY_CORE, REDIRECT, SOCKET_WRITE, TLS
from profiler.vocabulary.cpu_states import FILTER_SERVER, USER

FILTER, SERVER = "filter:ext_authz", "filter:ext_authz.server"


def window(per_request_ns: Mapping[str, float], requests: float = 1000) -> CpuRound:
    total = {name: spent * requests for name, spent in per_request_ns.items()}
    return CpuRound(requests, sum(total.values()), total, total, total)


def rounds(per_request_ns: Mapping[str, float]) -> list[CpuRound]:
    return [window(per_request_ns, requests) for requests in (500, 1000, 2000)]


DIRECT = {IPC: 4000.0, SOCKET_WRITE: 3000.0, OTHER: 9000.0}
TCP = {IPC: 9000.0, SOCKET_WRITE: 8000.0, EVENT_WAIT: 2000.0, OTHER: 9500.0, USER: 10_000.0}
HTTP = {**TCP, USER: 60_000.0}
MTLS = {**TCP, USER: 72_000.0, SOCKET_WRITE: 8300.0}
ASKING = {
    IPC: 15_000.0,
    SOCKET_WRITE: 12_000.0,
    EVENT_WAIT: 3000.0,
    OTHER: 9600.0,
    USER: 95_000.0,
    FILTER_SERVER: 7000.0,
}
LADDER = (CpuRung(PROXY_CORE, rounds(TCP)), CpuRung(PARSING, rounds(HTTP)), CpuRung(TLS, rounds(MTLS)))


def cell(*rungs: CpuRung, of: Mapping[str, float] = ASKING) -> CpuRounds:
    return CpuRounds(rounds(of), rounds(DIRECT), rungs)


OUTSIDE = cell(*LADDER, CpuRung(FILTER, rounds(ASKING), outside=True, server_component=SERVER))
USER_TIME_ONLY = cell(*LADDER, CpuRung("filter:lua", rounds(ASKING)))
COLLECTOR = cell(*LADDER, CpuRung("filter:tracing-10", rounds(ASKING), outside=True))


def test_a_round_that_others_spoiled_changes_nothing() -> None:
    spoiled = window({**TCP, IPC: 900_000.0}, 100)
    quiet = CpuRounds([window(TCP) for _ in range(6)], [window(DIRECT) for _ in range(6)])
    disturbed = CpuRounds([*quiet.with_sidecar[:5], spoiled], [spoiled, *quiet.baseline[:5]])
    assert overhead(disturbed, traced) == overhead(quiet, traced)
    assert busy_per_request(disturbed.baseline) == busy_per_request(quiet.baseline)


def test_without_rungs_all_user_time_is_the_core() -> None:
    assert overhead(cell(of=TCP), traced) == pytest.approx(
        {IPC: 5000, SOCKET_WRITE: 5000, EVENT_WAIT: 2000, OTHER: 500, PROXY_CORE: 10_000}
    )


def test_each_rung_takes_the_user_time_that_it_adds() -> None:
    found = overhead(cell(*LADDER, of=MTLS), traced)
    assert (found[PROXY_CORE], found[PARSING], found[TLS]) == pytest.approx((10_000, 50_000, 12_000))
    assert found[SOCKET_WRITE] == pytest.approx(5300)


def test_an_outside_rung_takes_all_that_it_adds_and_its_server_apart() -> None:
    found = overhead(OUTSIDE, traced)
    assert found[FILTER] == pytest.approx(23_000 + 6000 + 3700 + 1000 + 100)
    assert found[SERVER] == pytest.approx(7000)
    assert found[IPC] == pytest.approx(5000)
    assert FILTER_SERVER not in found


def test_a_server_that_no_request_waits_for_is_part_of_its_filter() -> None:
    found = overhead(COLLECTOR, traced)
    assert found["filter:tracing-10"] == pytest.approx(23_000 + 6000 + 3700 + 1000 + 100 + 7000)


def test_a_server_that_no_rung_claims_is_other() -> None:
    assert overhead(USER_TIME_ONLY, traced)[OTHER] == pytest.approx(600 + 7000)


@pytest.mark.parametrize("measured", [OUTSIDE, USER_TIME_ONLY, COLLECTOR])
@pytest.mark.parametrize("shares", [{}, {IPC: 0.2, SOCKET_WRITE: 0.1}])
def test_components_add_up_to_the_overhead(measured: CpuRounds, shares: dict[str, float]) -> None:
    truth = sum(ASKING.values()) - sum(DIRECT.values())
    assert sum(overhead(measured, traced, shares).values()) == pytest.approx(truth)
    parts = describe(measured, traced, "tracepoints", Redirect(shares)).values()
    each = np.sum([part.rounds_ns for part in parts], axis=0)
    assert each == pytest.approx([truth] * 3)


def test_netfilter_is_moved_out_of_what_it_is_nested_in() -> None:
    found = overhead(cell(of=TCP), traced, {IPC: 0.1})
    assert (found[IPC], found[REDIRECT]) == pytest.approx((4100, 900))


def test_the_share_of_netfilter_is_what_the_samples_move() -> None:
    entry = CpuRound(1, 0, {}, {IPC: 60.0, REDIRECT: 40.0}, {IPC: 80.0, SOCKET_WRITE: 20.0})
    assert redirect_part([entry]).shares == pytest.approx({IPC: 0.25, SOCKET_WRITE: 1.0})


def test_the_error_of_a_sampled_share_is_that_of_so_many_samples() -> None:
    random = np.random.default_rng(4)
    shares, errors = [], []
    for netfilter in random.binomial(400, 0.2, 500).tolist():
        entry = CpuRound(1, 0, {}, {IPC: 400.0 - netfilter, REDIRECT: netfilter}, {IPC: 400.0}, sample_ns=1.0)
        found = redirect_part([entry])
        shares.append(found.shares[IPC])
        errors.append(found.errors[IPC])
    assert np.mean(errors) == pytest.approx(np.std(shares), rel=0.1)


def test_the_error_of_a_share_is_that_of_what_it_moves_and_of_where_it_goes() -> None:
    redirect = Redirect({IPC: 0.1, SOCKET_WRITE: 0.2}, {IPC: 0.03, SOCKET_WRITE: 0.05})
    found = describe(cell(of=TCP), traced, "tracepoints", redirect)
    assert (found[IPC].error_ns, found[SOCKET_WRITE].error_ns) == pytest.approx((270, 400))
    assert found[REDIRECT].error_ns == pytest.approx(np.hypot(270, 400))
    assert found[EVENT_WAIT].error_ns == 0


def test_a_component_that_came_out_below_nothing_has_no_negative_error() -> None:
    errors = Redirect({IPC: 0.1}, {IPC: 0.03}).errors_ns({IPC: -5e3})
    assert errors == {IPC: 0.0, REDIRECT: 0.0}


def test_what_the_machine_was_busy_with_in_each_round_is_with_less_without() -> None:
    measured = CpuRounds([window(TCP), window({**TCP, IPC: 9500.0})], [window(DIRECT)] * 2)
    added_ns = sum(TCP.values()) - sum(DIRECT.values())
    assert busy_rounds(measured) == pytest.approx([added_ns, added_ns + 500])


def test_shares_add_up_to_one_and_1000_requests_of_1_us_are_a_thousandth_cpu() -> None:
    found = describe(OUTSIDE, traced, "tracepoints")
    assert sum(part.share or 0.0 for part in found.values()) == pytest.approx(1)
    assert found[SERVER].vcpu_per_1000_rps == pytest.approx(0.007)
    assert found[SERVER].source == "tracepoints, ladder"
    assert found[IPC].source == "tracepoints"


def test_methods_that_agree_do_not_disagree() -> None:
    assert set(disagreement(OUTSIDE).values()) == {0.0}
