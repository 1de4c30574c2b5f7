"""`meshinsight export` on the command line."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from typer.testing import CliRunner

from meshinsight.cli import app
from profiler.measuring.samples import _histogram
from profiler.profile.document import load_profile, save_profile
from profiler.profile.stacks import packed
from profiler.profile.types import Profile
from profiler.symbols.stacks import KERNEL, SampledStacks, Stack

EXAMPLE = Path(__file__).parents[2] / "data" / "example-profile.json"
STACK = Stack("client_sidecar", "ipc", KERNEL, ("do_syscall_64", "tcp_sendmsg"), 5_000.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The directory of a run, with stacks and histograms of two cells."""
    whole = load_profile(EXAMPLE)
    profile = replace(whole, files={"stacks": "stacks.zst", "histograms": "histograms.hlog"})
    folder = tmp_path / "run"
    save_profile(profile, folder)
    cells = [cell.id for cell in profile.cells[:2]]
    (folder / "stacks.zst").write_bytes(packed(SampledStacks(name, "cpu-clock", (STACK,), 9.0) for name in cells))
    payload = _histogram(np.array([10_000, 20_000])).encode().decode()
    lines = [f"Tag={name}/probes-off,1.0,0.0,1.0,{payload}\n" for name in cells for _ in range(4)]
    (folder / "histograms.hlog").write_text("#[Histogram log format version 1.2]\n" + "".join(lines))
    return folder


@pytest.fixture
def profile(folder: Path) -> Profile:
    return load_profile(folder)


def exported(*arguments: str | Path) -> None:
    result = CliRunner().invoke(app, ["export", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output


def refused(*arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "meshinsight", "export", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("meshinsight: error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_the_name_of_the_file_chooses_the_format(folder: Path, tmp_path: Path, profile: Profile) -> None:
    names = ("p.openmetrics", "p.parquet", "p.folded", "p.speedscope.json", "p.pb.gz")
    for name in names:
        exported(folder, "--out", tmp_path / name)
    text = (tmp_path / "p.openmetrics").read_text()
    families = list(text_string_to_metric_families(text))  # type: ignore[no-untyped-call]  # it has no annotations
    assert families[0].samples[0].labels["run_id"] == profile.run_id
    assert (tmp_path / "p.parquet").read_bytes()[:4] == b"PAR1"
    assert (tmp_path / "p.folded").read_text().splitlines()[0].endswith(";tcp_sendmsg_[k] 5000")
    assert json.loads((tmp_path / "p.speedscope.json").read_text())["name"] == profile.run_id
    assert (tmp_path / "p.pb.gz").read_bytes()[:2] == b"\x1f\x8b"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names, "run"])


def test_a_format_can_be_named(folder: Path, tmp_path: Path) -> None:
    exported(folder / "profile.json", "--to", "folded", "--out", tmp_path / "x.txt")
    assert len((tmp_path / "x.txt").read_text().splitlines()) == 2


def test_an_export_replaces_the_one_before(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "x.folded").write_text("earlier")
    exported(folder, "--out", tmp_path / "x.folded")
    assert "earlier" not in (tmp_path / "x.folded").read_text()


def test_fortio_gets_a_file_for_each_cell(folder: Path, tmp_path: Path, profile: Profile) -> None:
    exported(folder, "--to", "fortio", "--out", tmp_path / "data")
    assert {path.name for path in (tmp_path / "data").iterdir()} == {f"{cell.id}.json" for cell in profile.cells[:2]}


@pytest.mark.parametrize("form", ["openmetrics", "folded", "fortio"])
def test_cells_can_be_chosen_by_name_and_by_label(form: str, folder: Path, tmp_path: Path, profile: Profile) -> None:
    from meshinsight.reports.subjects.summaries import cell_labels

    first, second = profile.cells[:2]
    for number, pattern in enumerate((first.id, cell_labels(profile.cells)[first.id])):
        out = tmp_path / str(number)
        exported(folder, "--to", form, "--out", out, "--cell", pattern)
        text = (out / f"{first.id}.json").read_text() if out.is_dir() else out.read_text()
        assert first.id in text
        assert second.id not in text
        assert not out.is_dir() or len(list(out.iterdir())) == 1


def test_stacks_of_attach_are_exported_too(tmp_path: Path) -> None:
    stacks = tmp_path / "envoy.stacks"
    stacks.write_bytes(packed([SampledStacks("pid 7 (envoy)", "cycles", (STACK._replace(process="pid 7 (envoy)"),))]))
    exported(stacks, "--out", tmp_path / "envoy.folded")
    assert (tmp_path / "envoy.folded").read_text() == ("pid 7 (envoy);do_syscall_64_[k];tcp_sendmsg_[k] 5000\n")


def test_what_is_wrong_is_one_line(folder: Path, tmp_path: Path, profile: Profile) -> None:
    out = tmp_path / "x.folded"
    assert "expected a name that ends in one of .openmetrics, .folded" in refused(folder, "--out", tmp_path / "x")
    assert "--to: expected one of openmetrics, folded" in refused(folder, "--to", "svg", "--out", out)
    assert "directory" in refused(folder, "--out", tmp_path / "none" / "x.folded")
    assert "is a directory; name a file in it" in refused(folder, "--to", "folded", "--out", tmp_path)
    assert "no cell matches; " in refused(folder, "--out", out, "--cell", "none*")
    assert "is a file; fortio's files need a directory" in refused(
        folder, "--to", "fortio", "--out", folder / "profile.json"
    )
    assert "no such file" in refused(tmp_path / "none", "--out", out)
    stacks = folder / "stacks.zst"
    assert "not UTF-8 text" in refused(stacks, "--out", tmp_path / "x.parquet")
    stacks.write_bytes(b"x")
    assert "no file of stacks that this meshinsight reads" in refused(folder, "--out", out)
    save_profile(replace(profile, files={}), folder)
    assert "has no stacks: it was measured without perf" in refused(folder, "--out", out)
    assert "has no histograms of latencies" in refused(folder, "--to", "fortio", "--out", tmp_path / "data")
    assert not out.exists()
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("name", ["p.openmetrics", "p.pb.gz", "p.folded", "p.speedscope.json", "p.parquet"])
def test_nothing_heavy_is_imported(name: str, folder: Path, tmp_path: Path) -> None:
    heavy = ["bcc", "kubernetes", "sklearn", "scipy", "matplotlib", "jinja2"]
    heavy += [] if name == "p.parquet" else ["pandas", "pyarrow", "hdrh"]  # pyarrow loads pandas where it is installed
    arguments = ["x", "export", str(folder), "--out", str(tmp_path / name)]
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({heavy})); sys.argv = {arguments}\n"
        "from meshinsight.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
