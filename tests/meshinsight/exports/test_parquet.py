"""Parquet, read back by pyarrow: the rows of `show -o csv` with types."""

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

from meshinsight.exports.parquet import parquet
from meshinsight.reports.subjects import profile_rows
from profiler.profile.document import load_profile
from profiler.profile.types import Profile
from tests.meshinsight.reports.profiles import default_profile

EXAMPLES = Path(__file__).parents[2] / "data"


def table(profile: Profile) -> pa.Table:
    return pq.read_table(io.BytesIO(parquet(profile)))


@pytest.mark.parametrize(
    "profile", [load_profile(EXAMPLES / "example-profile.json"), default_profile()], ids=["v1", "now"]
)
def test_rows_are_those_of_the_csv(profile: Profile) -> None:
    rows = [{name: row.get(name) for name in profile_rows.COLUMNS} for row in profile_rows.rows(profile)]
    assert table(profile).to_pylist() == rows


def test_columns_have_the_same_types_whatever_was_measured() -> None:
    whole = default_profile()
    empty = replace(whole.cells[0], latency=None, cpu=None, memory=None, rate_rps=None, errors=["nothing"])
    schema = table(replace(whole, cells=[empty])).schema
    assert schema == table(whole).schema == table(replace(whole, cells=[])).schema
    assert schema.field("median_ns").type == pa.float64()
    assert schema.field("connections").type == pa.int64()
    assert schema.field("cell").type == pa.string()
