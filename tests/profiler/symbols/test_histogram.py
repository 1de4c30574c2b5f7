"""Histograms of made-up samples in a real file."""

import sys
from pathlib import Path

import pytest

from profiler.symbols.histogram import added, user_histogram
from profiler.symbols.maps import NOWHERE, VDSO, UserAddress
from profiler.symbols.tables import FunctionTables
from profiler.vocabulary.components import CLIENT_SIDECAR, SERVER_APP, SERVER_SIDECAR

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's library is Linux's")

TABLES = FunctionTables()
LOST = UserAddress(NOWHERE, 0x1234)


def inside(index: int, at: int = 0) -> UserAddress:
    """A place in a function of the kernel's library, whose offsets are its addresses."""
    table = TABLES.table(VDSO)
    assert table is not None
    return UserAddress(VDSO, int(table.starts[index]) + at)


def test_samples_of_one_function_are_added_up() -> None:
    weights = {(CLIENT_SIDECAR, inside(1)): 1.0, (CLIENT_SIDECAR, inside(1, 1)): 2.0, (SERVER_SIDECAR, inside(2)): 1.0}
    found = user_histogram(weights, 4, 400.0, TABLES)
    assert sorted(found.cpu_ns.values()) == [100.0, 300.0]


def test_time_in_no_function_is_unresolved_and_not_lost() -> None:
    found = user_histogram({(CLIENT_SIDECAR, inside(1)): 3.0, (CLIENT_SIDECAR, LOST): 1.0}, 4, 400.0, TABLES)
    assert (found.unresolved_ns, found.total_ns, found.sample_ns) == (100.0, 400.0, 100.0)


def test_only_sidecars_count() -> None:
    found = user_histogram({(SERVER_APP, inside(1)): 9.0, (SERVER_SIDECAR, inside(1)): 1.0}, 1, 50.0, TABLES)
    assert list(found.cpu_ns.values()) == [50.0]


def test_each_role_is_looked_up_where_its_files_are(tmp_path: Path) -> None:
    tables = {CLIENT_SIDECAR: TABLES, SERVER_SIDECAR: FunctionTables(root=tmp_path)}
    program = UserAddress(sys.executable, 0x1000)
    found = user_histogram({(SERVER_SIDECAR, program): 1.0}, 1, 50.0, tables)
    assert (found.cpu_ns, found.unresolved_ns) == ({}, 50.0)


def test_without_samples_there_is_no_time() -> None:
    assert user_histogram({}, 0, 400.0, TABLES).total_ns == 0


def test_windows_are_added_place_by_place() -> None:
    key, other = (CLIENT_SIDECAR, LOST), (SERVER_SIDECAR, LOST)
    assert added([{key: 1.0}, {key: 2.0, other: 4.0}, {}]) == {key: 3.0, other: 4.0}
