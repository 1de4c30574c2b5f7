"""Histograms of made-up samples in made-up functions."""

import sys

import pytest

from profiler.symbols.histogram import SampledFunction, UserFunctions, added, by_function, user_histogram
from profiler.symbols.maps import NOWHERE, VDSO, UserAddress
from profiler.symbols.tables import Function, FunctionTables
from profiler.vocabulary.components import CLIENT_SIDECAR, SERVER_APP, SERVER_SIDECAR

ONE, TWO = Function("/bin/proxy", 16, "one"), Function("/bin/proxy", 32, "two")
LOST = UserAddress(NOWHERE, 0x1234)


def test_samples_of_one_function_are_added_up_over_roles() -> None:
    found = user_histogram({(CLIENT_SIDECAR, ONE): 1.0, (SERVER_SIDECAR, ONE): 2.0, (SERVER_SIDECAR, TWO): 1.0}, 4, 400)
    assert found.cpu_ns == {ONE: 300.0, TWO: 100.0}


def test_time_in_no_function_is_unresolved_and_not_lost() -> None:
    found = user_histogram({(CLIENT_SIDECAR, ONE): 3.0, (CLIENT_SIDECAR, None): 1.0}, 4, 400.0)
    assert (found.unresolved_ns, found.total_ns, found.sample_ns) == (100.0, 400.0, 100.0)


def test_only_sidecars_count() -> None:
    found = user_histogram({(SERVER_APP, ONE): 9.0, (SERVER_SIDECAR, ONE): 1.0}, 1, 50.0)
    assert found.cpu_ns == {ONE: 50.0}


def test_without_samples_there_is_no_time() -> None:
    assert user_histogram({}, 0, 400.0).total_ns == 0


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's library is Linux's")
def test_places_of_one_function_are_added_up() -> None:
    table = FunctionTables().table(VDSO)
    assert table is not None
    start = int(table.starts[1])  # in the kernel's library, offsets are addresses
    weights = {
        (CLIENT_SIDECAR, UserAddress(VDSO, start)): 1.0,
        (CLIENT_SIDECAR, UserAddress(VDSO, start + 1)): 2.0,
        (CLIENT_SIDECAR, LOST): 4.0,
    }
    found = by_function(weights, FunctionTables())
    assert sorted(found.values()) == [3.0, 4.0]
    assert found[CLIENT_SIDECAR, None] == 4.0


def test_the_same_weights_are_read_with_names_and_without() -> None:
    nameless = Function("/bin/proxy", 16)
    entries = [SampledFunction(CLIENT_SIDECAR, ONE, nameless, 1.0), SampledFunction(CLIENT_SIDECAR, TWO, nameless, 2.0)]
    found = UserFunctions(entries, 3)
    assert found.by_function(named=True) == {(CLIENT_SIDECAR, ONE): 1.0, (CLIENT_SIDECAR, TWO): 2.0}
    assert found.by_function(named=False) == {(CLIENT_SIDECAR, nameless): 3.0}


def test_windows_are_added_place_by_place() -> None:
    key, other = (CLIENT_SIDECAR, LOST), (SERVER_SIDECAR, LOST)
    assert added([{key: 1.0}, {key: 2.0, other: 4.0}, {}]) == {key: 3.0, other: 4.0}
