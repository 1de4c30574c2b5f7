"""The three sources on made-up histograms of known truth."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.symbols.catalogue import parse_catalogues
from profiler.symbols.histogram import UserHistogram
from profiler.symbols.split import (
    UNRESOLVED,
    Noise,
    Rung,
    UserSplit,
    compare,
    split_by_ladder,
    split_by_rungs,
    split_by_symbols,
)
from profiler.symbols.tables import Function
from profiler.vocabulary.components import PARSING, PROXY_CORE

LOOP, COPY, CODEC, CIPHER, RBAC = (Function("/proxy", start) for start in range(5))
SAMPLE_NS = 1.0


def spent(cpu_ns: Mapping[Function, float], unresolved_ns: float = 0.0) -> UserHistogram:
    return UserHistogram(cpu_ns, unresolved_ns, SAMPLE_NS)


TCP = Rung(PROXY_CORE, spent({LOOP: 100, COPY: 50}))
HTTP = Rung(PARSING, spent({LOOP: 110, COPY: 150, CODEC: 300}, 20))
MTLS = Rung("tls", spent({LOOP: 110, COPY: 160, CODEC: 300, CIPHER: 400}, 20))
FILTER = Rung("filter:rbac", spent({LOOP: 112, COPY: 165, CODEC: 310, CIPHER: 400, RBAC: 40}, 10))


def test_a_function_is_of_the_rung_that_first_enters_it() -> None:
    found = split_by_rungs([TCP, HTTP, MTLS, FILTER])
    assert found.cpu_ns == {PROXY_CORE: 277, PARSING: 310, "tls": 400, "filter:rbac": 40}
    assert (found.source, found.unresolved_share) == ("eh_frame", 10 / 1037)


def test_growth_of_shared_functions_is_told_apart() -> None:
    assert split_by_rungs([TCP, HTTP, MTLS, FILTER]).growth_ns == {PARSING: 110, "tls": 10, "filter:rbac": 17}


def test_a_rungs_own_functions_and_its_growth_are_its_step_of_the_ladder() -> None:
    rungs = [TCP, HTTP]
    ladder = split_by_ladder([(rung.component, rung.histogram.total_ns) for rung in rungs])
    found = split_by_rungs(rungs)
    unresolved_ns = HTTP.histogram.unresolved_ns - TCP.histogram.unresolved_ns
    assert ladder.cpu_ns[PARSING] == found.cpu_ns[PARSING] + found.growth_ns[PARSING] + unresolved_ns


def test_functions_that_only_earlier_rungs_enter_do_not_count() -> None:
    assert split_by_rungs([TCP, Rung(PARSING, spent({CODEC: 5}))]).cpu_ns == {PROXY_CORE: 0, PARSING: 5}


def test_a_rare_visit_does_not_claim_a_function() -> None:
    visited = Rung(PROXY_CORE, spent({LOOP: 100, CODEC: 2}))
    assert split_by_rungs([visited, HTTP]).cpu_ns[PARSING] == 450  # CODEC and COPY


def test_single_samples_count_unless_they_are_called_noise() -> None:
    rungs = [Rung(PROXY_CORE, spent({LOOP: 100, RBAC: 1})), Rung(PARSING, spent({LOOP: 100, RBAC: 10}))]
    assert split_by_rungs(rungs).cpu_ns[PARSING] == 0
    assert split_by_rungs(rungs, Noise(samples=2)).cpu_ns[PARSING] == 10


def test_one_rung_is_all_of_its_own_component() -> None:
    assert split_by_rungs([TCP]).cpu_ns == {PROXY_CORE: 150}


@pytest.mark.parametrize("rungs", [[], [TCP, TCP]])
def test_a_ladder_of_no_or_equal_rungs_is_refused(rungs: list[Rung]) -> None:
    with pytest.raises(ValueError, match="one rung for each component"):
        split_by_rungs(rungs)
    with pytest.raises(ValueError, match="one rung for each component"):
        split_by_ladder([(rung.component, 1.0) for rung in rungs])


def test_the_ladder_keeps_what_becomes_less() -> None:
    assert split_by_ladder([(PROXY_CORE, 10.0), (PARSING, 35.0), ("tls", 30.0)]).cpu_ns == {
        PROXY_CORE: 10,
        PARSING: 25,
        "tls": -5,
    }


histograms = st.dictionaries(st.sampled_from([LOOP, COPY, CODEC, CIPHER, RBAC]), st.integers(0, 1000))


@given(st.lists(st.tuples(histograms, st.integers(0, 50)), min_size=1, max_size=4))
def test_no_time_is_lost_by_any_ladder(drawn: list[tuple[dict[Function, int], int]]) -> None:
    rungs = [Rung(f"filter:{index}", spent(cpu_ns, lost)) for index, (cpu_ns, lost) in enumerate(drawn)]
    found = split_by_rungs(rungs)
    assert found.total_ns == rungs[-1].histogram.total_ns
    assert split_by_ladder([(rung.component, rung.histogram.total_ns) for rung in rungs]).total_ns == found.total_ns


(CATALOGUE,) = parse_catalogues(
    """
    - versions: ">=1"
      neighbours: true
      rules:
        - {component: parsing, symbols: [http_]}
        - {component: per_stream, symbols: [malloc]}
        - {component: proxy_core, symbols: [loop]}
        - {component: tls, dsos: [libssl]}
    """,
    "test",
)
NAMED = spent(
    {
        Function("/proxy", 1, "http_parse"): 40,
        Function("/proxy", 2, "malloc"): 8,
        Function("/proxy", 3, "loop"): 20,
        Function("/lib/libssl", 4): 16,
        Function("/proxy", 5, None, ("http_a", "http_b")): 4,
        Function("/proxy", 6, None, ("http_b", "loop")): 2,
        Function("/proxy", 7, "unheard_of", None): 6,
    },
    unresolved_ns=4,
)


def test_names_files_and_neighbours_tell_components() -> None:
    found = split_by_symbols(NAMED, CATALOGUE)
    assert found.cpu_ns == {PARSING: 52, PROXY_CORE: 20, "tls": 16}
    assert (found.unresolved_ns, found.inferred_ns, found.unresolved_share) == (12, 4, 0.12)


def test_work_per_stream_is_the_cores_where_each_request_has_its_connection() -> None:
    assert split_by_symbols(NAMED, CATALOGUE, per_stream=PROXY_CORE).cpu_ns[PROXY_CORE] == 28


def test_all_sources_are_compared_in_points_of_user_time() -> None:
    splits = [
        UserSplit("symbols", {PROXY_CORE: 40, PARSING: 50}, unresolved_ns=10),
        UserSplit("eh_frame", {PROXY_CORE: 90, PARSING: 110}),
        UserSplit("ladder", {PROXY_CORE: 4, PARSING: 6}),
    ]
    found = {(entry.first, entry.second): entry for entry in compare(splits)}
    assert list(found) == [("symbols", "eh_frame"), ("symbols", "ladder"), ("eh_frame", "ladder")]
    assert found["symbols", "eh_frame"].points == pytest.approx({PROXY_CORE: -5, PARSING: -5, UNRESOLVED: 10})
    assert found["eh_frame", "ladder"].largest == pytest.approx(5)


def test_shares_of_nothing_are_none() -> None:
    empty = UserSplit("ladder", {})
    assert (empty.shares, empty.unresolved_share) == ({}, 0)
