"""The latencies of cells, read from the histogram log that a run writes, against the latencies themselves."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from profiler.errors import ProfileError
from profiler.measuring.samples import _histogram
from profiler.profile.document import load_profile, save_profile
from profiler.profile.histograms import cell_latencies
from profiler.profile.types import Cell, Profile

EXAMPLE = Path(__file__).parents[2] / "data" / "example-profile.json"


def cell(count: int) -> Cell:
    """A cell of four rounds whose figures are of so many exchanges."""
    found = next(one for one in load_profile(EXAMPLE).cells if one.topology == "both")
    assert found.latency is not None
    percentiles = replace(found.latency.with_sidecars, count=count)
    return replace(found, rounds=4, latency=replace(found.latency, with_sidecars=percentiles))


def line(name: str, latencies_ns: Sequence[int], kind: str = "off") -> str:
    return f"Tag={name}/probes-{kind},1.000,0.000,1.000,{_histogram(np.array(latencies_ns)).encode().decode()}\n"


def run_of(found: Cell, folder: Path, *logs: str) -> tuple[Profile, Path]:
    names = ["histograms.hlog", "histograms_2.hlog"][: len(logs)]
    keys = ["histograms", "histograms_2"]
    profile = replace(load_profile(EXAMPLE), cells=[found], files=dict(zip(keys, names, strict=False)))
    save_profile(profile, folder)
    for name, text in zip(names, logs, strict=True):
        (folder / name).write_text(f"#[Histogram log format version 1.2]\n{text}")
    return profile, folder


ROUNDS = ([10_000] * 10, [20_000] * 9 + [90_000], [30_000] * 10, [40_000] * 10)


def test_the_middle_rounds_are_what_the_figures_are_of(tmp_path: Path) -> None:
    found = cell(count=20)
    text = "".join(line(found.id, one) + line(found.id, [7], kind="on") for one in ROUNDS)
    latencies = cell_latencies(*run_of(found, tmp_path, text))[found.id]
    assert (latencies.count, latencies.counts.tolist()) == (20, [9, 10, 1])
    assert latencies.values_ns == pytest.approx([20_000, 30_000, 90_000], rel=1e-4)
    assert [latencies.percentile_ns(one) for one in (1, 45, 46, 95, 96)] == pytest.approx(
        [20_000, 20_000, 30_000, 30_000, 90_000], rel=1e-4
    )


def test_figures_of_earlier_versions_are_of_all_rounds(tmp_path: Path) -> None:
    found = cell(count=40)
    text = "".join(line(found.id, one) for one in ROUNDS)
    assert cell_latencies(*run_of(found, tmp_path, text))[found.id].count == 40


def test_further_rounds_of_the_anchor_do_not_count(tmp_path: Path) -> None:
    found = cell(count=20)
    text = "".join(line(found.id, one) for one in (*ROUNDS, *ROUNDS))
    assert cell_latencies(*run_of(found, tmp_path, text))[found.id].count == 20


def test_of_two_blocks_the_one_of_the_figures_is_taken(tmp_path: Path) -> None:
    found = cell(count=6)
    first = "".join(line(found.id, one) for one in ROUNDS)
    second = "".join(line(found.id, [50_000] * 3) for _ in ROUNDS)
    latencies = cell_latencies(*run_of(found, tmp_path, first, second))[found.id]
    assert latencies.count == 6
    assert latencies.percentile_ns(50) == pytest.approx(50_000, rel=1e-4)


@pytest.mark.parametrize(
    "payload", ["", "x", "HISTFAAAACB42pNp", "AAAA" * 20, "ä", "HISTFAAAABx4nJNpmSzMwMDAxQABzFCaEQCwRgEB"]
)
def test_a_damaged_histogram_is_one_line_with_its_place(payload: str, tmp_path: Path) -> None:
    found = cell(count=20)
    profile, folder = run_of(found, tmp_path, f"Tag={found.id}/probes-off,1.000,0.000,1.000,{payload}\n")
    with pytest.raises(ProfileError, match=re.escape(f"{folder / 'histograms.hlog'}: line 2: ")) as caught:
        cell_latencies(profile, folder)
    assert str(caught.value).isprintable()


def test_a_profile_without_its_histograms_says_what_to_give(tmp_path: Path) -> None:
    profile = replace(load_profile(EXAMPLE), files={})
    with pytest.raises(ProfileError, match="has no histograms of latencies next to it; give the directory of a run"):
        cell_latencies(profile, tmp_path)
