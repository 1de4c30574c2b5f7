"""What a hit adds to latency, from the windows of other hops."""

import numpy as np
import pytest

from profiler.attribution.critical_path import Exchange, Exchanges
from profiler.attribution.latency import tabulate
from profiler.evaluation.latency_hits import LatencyHits
from profiler.evaluation.windows import LatencyWindow
from profiler.host.accounting import Noise
from profiler.planning.cells import ANCHOR_SCENE, anchor_scene
from profiler.vocabulary.components import CLIENT_APP, OTHER, REQUEST
from profiler.vocabulary.hop import BOTH, MTLS, Hop
from profiler.vocabulary.protocols import GRPC, HTTP1, TCP

LOOP_NS = 60.0
PIECES = 10
DIRECT, PASSING = Hop("none", "none"), Hop(TCP, BOTH)
PLAIN, SECURE, GRPC_HOP = Hop(HTTP1, BOTH), Hop(HTTP1, BOTH, tls=MTLS), Hop(GRPC, BOTH, application=GRPC)
COLD_SCENE = anchor_scene("cold")


def window(hit_ns: float) -> LatencyWindow:
    """A window whose requests take 100 µs between bursts, and PIECES hits more in them."""
    between = np.full(400, 100_000, dtype=np.int64)
    burst = between + round(PIECES * hit_ns)
    column = (CLIENT_APP, REQUEST, OTHER)
    table = tabulate(Exchanges([Exchange(0, 1, {column: 5000}, {column: PIECES})] * 400, lost=0))
    return LatencyWindow(0.0, between, between, burst, between, 1.0, 1.0, 0, table, True, Noise(0.0, 0.0))


def test_sidecars_that_parse_are_corrected_by_others_that_do() -> None:
    hits = LatencyHits(
        {
            (DIRECT, ANCHOR_SCENE): [window(100.0)] * 4,
            (PASSING, ANCHOR_SCENE): [window(200.0)] * 4,
            (PLAIN, ANCHOR_SCENE): [window(900.0)] * 4,
            (SECURE, ANCHOR_SCENE): [window(400.0)] * 2,
            (GRPC_HOP, ANCHOR_SCENE): [window(500.0)] * 2,
        },
        LOOP_NS,
    )
    assert hits.of((PLAIN, ANCHOR_SCENE), PLAIN) == pytest.approx(450.0, abs=20.0)
    assert hits.of((DIRECT, ANCHOR_SCENE), PLAIN) == pytest.approx(150.0, abs=20.0)


def test_what_is_cold_is_corrected_by_what_is_cold() -> None:
    hits = LatencyHits(
        {(DIRECT, ANCHOR_SCENE): [window(100.0)] * 9, (DIRECT, COLD_SCENE): [window(300.0)] * 4}, LOOP_NS
    )
    assert hits.of((PASSING, COLD_SCENE), PASSING) == pytest.approx(300.0, abs=20.0)
    assert hits.of((PASSING, ANCHOR_SCENE), PASSING) == pytest.approx(100.0, abs=20.0)


def test_a_hop_alone_in_its_kind_is_corrected_by_the_others_of_its_temperature() -> None:
    hits = LatencyHits(
        {
            (DIRECT, ANCHOR_SCENE): [window(100.0)] * 4,
            (DIRECT, COLD_SCENE): [window(300.0)] * 9,
            (PLAIN, ANCHOR_SCENE): [window(900.0)] * 9,
        },
        LOOP_NS,
    )
    assert hits.of((PLAIN, ANCHOR_SCENE), PLAIN) == pytest.approx(100.0, abs=20.0)


def test_few_windows_of_one_temperature_are_no_measure_of_it() -> None:
    measured = {(DIRECT, ANCHOR_SCENE): [window(100.0)] * 8, (DIRECT, COLD_SCENE): [window(900.0)] * 3}
    assert LatencyHits(measured, LOOP_NS).of((PASSING, COLD_SCENE), PASSING) == pytest.approx(100.0, abs=20.0)


def test_the_loop_tells_what_no_other_hop_does() -> None:
    alone = LatencyHits({(PLAIN, ANCHOR_SCENE): [window(900.0)] * 9}, LOOP_NS)
    assert alone.of((PLAIN, ANCHOR_SCENE), PLAIN) == LOOP_NS
    assert LatencyHits({}, LOOP_NS).overall_ns() == LOOP_NS


def test_no_hit_takes_less_than_nothing() -> None:
    assert LatencyHits({(DIRECT, ANCHOR_SCENE): [window(-50.0)] * 4}, LOOP_NS).overall_ns() == 0.0
