"""Waiting at sidecars, against the queue's own formula and a simulation of it."""

import numpy as np
import pytest

from predictor.hop_costs.load import (
    SATURATED,
    Owners,
    carried_rps,
    overload_warnings,
    sidecar_load,
    summed,
    taken,
)

ONE_EDGE = Owners(np.array([-1]), np.array([0]), np.ones(1))
WORK = np.array([[0.0], [1e6]])
WORKERS = np.ones((2, 1))


@pytest.mark.parametrize("busy", [0.1, 0.5, 0.9])
def test_one_worker_waits_as_an_m_m_1_queue(busy: float) -> None:
    found = sidecar_load(ONE_EDGE, np.array([busy * 1000.0]), WORK, WORKERS)
    assert found.utilisation == pytest.approx([busy])
    assert found.waits_ns[1] == pytest.approx([1e6 * busy / (1.0 - busy)])


def test_the_wait_is_that_of_a_simulated_queue() -> None:
    random, busy, count = np.random.default_rng(1), 0.5, 400_000
    work_ns, gaps_ns = random.exponential(1e6, count), random.exponential(1e6 / busy, count)
    # Lindley: what a request waits is what the one before it left over; as a running maximum of sums.
    left = np.concatenate([[0.0], np.cumsum(work_ns[:-1] - gaps_ns[1:])])
    waits_ns = left - np.minimum.accumulate(left)
    found = sidecar_load(ONE_EDGE, np.array([busy * 1000.0]), WORK, WORKERS)
    assert found.waits_ns[1, 0] == pytest.approx(waits_ns.mean(), rel=0.05)


def test_workers_and_replicas_share_the_load() -> None:
    more = Owners(ONE_EDGE.client, ONE_EDGE.server, np.array([2.0]))
    assert sidecar_load(more, np.array([800.0]), WORK, 2 * WORKERS).utilisation == pytest.approx([0.2])


def test_a_side_without_work_waits_for_nothing() -> None:
    assert sidecar_load(ONE_EDGE, np.array([500.0]), WORK, WORKERS).waits_ns[0] == pytest.approx([0.0])


def test_beyond_saturation_less_load_is_still_better() -> None:
    waits = [sidecar_load(ONE_EDGE, np.array([rate]), WORK, WORKERS).waits_ns[1, 0] for rate in (990.0, 1100.0, 1200.0)]
    assert waits == sorted(waits)
    assert len(set(waits)) == 3


def test_callers_from_outside_are_no_deployment() -> None:
    owners = Owners(np.array([-1, 0]), np.array([0, 1]), np.ones(2))
    assert summed(owners, [np.array([7.0, 1.0]), np.array([2.0, 4.0])]).tolist() == [3.0, 4.0]
    assert taken(owners.client, np.array([5.0, 6.0])).tolist() == [0.0, 5.0]


def test_what_can_be_carried_is_the_rate_at_which_the_busiest_is_full() -> None:
    assert carried_rps(100.0, {"a": 0.25, "b": 0.5}) == 200.0
    assert carried_rps(100.0, {}) is None
    assert carried_rps(100.0, {"a": 0.0}) is None


def test_overload_names_the_fullest_first_and_says_what_to_do() -> None:
    assert overload_warnings({"a": SATURATED}, 10.0) == ()
    (text,) = overload_warnings({f"s{number}": 1.0 + number / 10 for number in range(7)}, 1600.0)
    assert text.startswith(
        "sidecars without enough workers: s6 (160%), s5 (150%), s4 (140%), s3 (130%), s2 (120%) and 2"
    )
    assert "about 1,000 of 1,600 requests/s" in text
    assert text.endswith("add replicas or workers")
