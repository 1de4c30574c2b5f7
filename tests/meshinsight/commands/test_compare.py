"""`meshinsight compare`: what is printed in each format, what is refused, and what is not imported."""

import csv
import io
import json
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
import typer
from msgspec.structs import replace
from typer.testing import CliRunner

from meshinsight.commands import compare
from profiler.errors import MeshInsightError, ProfileError, UsageError
from profiler.profile.document import save_profile
from profiler.profile.types import Profile
from tests.meshinsight.reports.pages import Page
from tests.profiler.comparison.profiles import drawn, with_environment
from tests.profiler.comparison.variants import duet

DATA = Path(__file__).parents[2] / "data"
PARTIAL = DATA / "example-partial-profile.json"


@pytest.fixture
def old(tmp_path: Path) -> str:
    return saved(drawn(1, scatter=0.01), tmp_path / "old")


@pytest.fixture
def new(tmp_path: Path) -> str:
    return saved(drawn(2, scatter=0.01, injected={"parsing": 15_000.0}), tmp_path / "new")


def saved(profile: Profile, directory: Path) -> str:
    save_profile(profile, directory)
    return str(directory)


def run(*arguments: str) -> str:
    app = typer.Typer()
    app.callback()(lambda: None)
    compare.register(app)
    done = CliRunner().invoke(app, ["compare", *arguments])
    if isinstance(done.exception, MeshInsightError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def refused(kind: type[MeshInsightError], *arguments: str) -> str:
    with pytest.raises(kind) as caught:
        run(*arguments)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_table_has_the_component_that_changed_and_fits_a_screen(old: str, new: str) -> None:
    lines = run(old, new).splitlines()
    parsing = next(line for line in lines if line.startswith("parsing "))
    ipc = next(line for line in lines if line.startswith("ipc "))
    assert parsing.count("worse") == 2
    assert "worse" not in ipc
    assert "~ ±" in ipc
    assert "latency p50      1.1" in "\n".join(lines)
    assert len(lines) <= 50
    assert max(map(len, lines[1:])) <= 130  # the first line has the paths


def test_many_cells_are_cut_to_a_screen_with_those_that_changed(tmp_path: Path) -> None:
    one, two = (saved(drawn(seed, cells=60), tmp_path / str(seed)) for seed in (1, 2))
    assert "40 further cells: see -o csv" in run(one, two)


def test_cells_without_figures_are_shown_as_not_known(tmp_path: Path) -> None:
    bare = [replace(cell, latency=None, cpu=None, errors=["x"]) for cell in drawn(1).cells]
    one, two = (saved(replace(drawn(1), cells=bare), tmp_path / name) for name in ("one", "two"))
    for output in ("table", "json", "csv", "markdown", "junit"):
        assert run(one, two, "-o", output)
    assert "http1-both-hot-q128-s1024-c1-max        –" in run(one, two)


def test_json_has_every_figure_with_interval_and_verdict(old: str, new: str) -> None:
    document = json.loads(run(old, new, "-o", "json"))
    (compared,) = document["comparisons"]
    figures = {
        (entry["currency"], entry["component"], entry["statistic"]): entry for entry in compared["cells"][0]["figures"]
    }
    entry = figures["latency", "parsing", "p50"]
    assert (document["format"], document["delta"], document["correction"]) == (
        "meshinsight-profile-comparison", 0.02, "holm",
    )  # fmt: skip
    assert entry["difference"] == pytest.approx(entry["new"] - entry["old"])
    assert entry["ci95"][0] < 15_000 < entry["ci95"][1]
    assert [mean["currency"] for mean in compared["means"]] == ["latency", "cpu"]


def test_csv_has_a_row_for_each_figure(old: str, new: str) -> None:
    rows = list(csv.DictReader(io.StringIO(run(old, new, "-o", "csv"))))
    means = [row for row in rows if row["cell"] == "mean over cells"]
    assert {row["unit"] for row in means} == {"overhead"}
    assert {row["verdict"] for row in means if row["component"] == "parsing"} == {"worse"}
    assert len(rows) == 12 + 4 * (12 + 6)


def test_markdown_is_tables(old: str, new: str) -> None:
    text = run(old, new, "-o", "markdown")
    assert "### By component" in text
    assert "| parsing |" in text


def test_junit_fails_what_is_worse_and_skips_what_is_open(old: str, new: str) -> None:
    suites = ElementTree.fromstring(run(old, new, "-o", "junit"))  # noqa: S314 (our own output)
    (suite,) = suites
    cases = {case.get("name"): case for case in suite}
    worse = cases["mean over cells: latency.parsing p50"].find("failure")
    assert worse is not None
    assert str(worse.get("message")).startswith("worse: 27.5 % → 42.0 % of the overhead")
    assert cases["mean over cells: latency.ipc p50"].find("failure") is None
    assert int(suite.get("failures", "0")) == sum(case.find("failure") is not None for case in suite) >= 2
    assert int(suite.get("skipped", "0")) == sum(case.find("skipped") is not None for case in suite)
    assert int(suite.get("tests", "0")) == len(cases)


def test_several_new_profiles_are_each_compared_with_the_old(old: str, new: str, tmp_path: Path) -> None:
    third = saved(drawn(3, scatter=0.01), tmp_path / "third")
    text = run(old, new, third)
    assert f"{new}: By component" in text
    assert f"{third}: By component" in text
    rows = list(csv.DictReader(io.StringIO(run(old, new, third, "-o", "csv"))))
    assert {row["profile"] for row in rows} == {new, third}


def test_one_cell_can_be_chosen(old: str, new: str) -> None:
    document = json.loads(run(old, new, "-o", "json", "--cell", "*s1025*"))
    assert [cell["id"] for cell in document["comparisons"][0]["cells"]] == ["http1-both-hot-q128-s1025-c1-max"]
    assert "no cell matches" in refused(UsageError, old, new, "--cell", "grpc*")


def test_delta_is_a_share(old: str, new: str) -> None:
    assert json.loads(run(old, new, "-o", "json", "--delta", "50%"))["delta"] == 0.5
    assert "worse" not in run(old, new, "--delta", "0.5").split("Verdicts")[0].replace("(0 worse", "")
    assert "--delta: expected a share" in refused(UsageError, old, new, "--delta", "much")


def test_another_cpu_is_refused_without_force(old: str, tmp_path: Path) -> None:
    other = saved(with_environment(drawn(2), cpu_model="Another CPU"), tmp_path / "other")
    message = refused(UsageError, old, other)
    assert "cpu_model" in message
    assert "Another CPU" in message
    assert "! cpu_model" in run(old, other, "--force")


def test_partial_profiles_are_refused(old: str) -> None:
    assert "partial" in refused(ProfileError, str(PARTIAL), str(PARTIAL))


def test_profiles_of_other_versions_and_formats_are_refused(old: str, tmp_path: Path) -> None:
    earlier = json.loads((Path(old) / "profile.json").read_text())
    file = tmp_path / "earlier.json"
    file.write_text(json.dumps({**earlier, "version": 2}))
    assert "profile format version 2" in refused(ProfileError, old, str(file))
    file.write_text(json.dumps({"format": "meshinsight-model", "version": 3}))
    assert f"{old} is a profile and {file} is a model" in refused(UsageError, old, str(file))
    assert "no such file" in refused(UsageError, old, str(tmp_path / "gone"))


def test_the_variants_of_one_profile_are_compared_with_the_first(tmp_path: Path) -> None:
    path = saved(duet(1, injected={"parsing": 8_000.0}), tmp_path / "duet")
    assert run(path).startswith("a → b")
    (found,) = json.loads(run(path, "-o", "json"))["comparisons"]
    assert found["new"] == "b"
    worse = {entry["component"] for entry in found["means"][0]["components"] if entry["verdict"] == "worse"}
    assert worse == {"total", "parsing"}
    assert {row["cell"] for row in csv.DictReader(io.StringIO(run(path, "-o", "csv")))} == {
        "mean over cells",
        "http1-both@b-hot-q128-s1024-c1-max",
        "http1-both@b-hot-q128-s1025-c1-max",
    }


def test_one_profile_without_variants_is_refused(old: str) -> None:
    assert "has no variants to compare; name a second profile" in refused(UsageError, old)


def test_names_from_profiles_reach_no_terminal_as_control_characters(old: str, tmp_path: Path) -> None:
    profile = drawn(2)
    evil = replace(profile, settings={"a\x1b[1m|": "b\x1b[2Jc\nd"}, meshinsight_version="</x>\x00&\"'")
    other = saved(evil, tmp_path / "other")
    for output in ("table", "markdown", "junit", "csv"):
        assert "\x1b" not in run(old, other, "-o", output)
    named = saved(drawn(3), tmp_path / 'a&b<"c')
    assert len(ElementTree.fromstring(run(old, named, "-o", "junit"))) == 1  # noqa: S314 (our own output)


def test_comparing_loads_nothing_heavy(old: str, new: str) -> None:
    heavy = ["bcc", "kubernetes", "sklearn", "scipy", "pandas", "numpy", "matplotlib", "jinja2"]
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({heavy})); sys.argv = ['x', 'compare', {old!r}, {new!r}]\n"
        "from meshinsight.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "worse" in done.stdout


@pytest.mark.timing
def test_a_hundred_cells_take_less_than_a_second(tmp_path: Path) -> None:
    one, two = (saved(drawn(seed, cells=100), tmp_path / str(seed)) for seed in (1, 2))
    started = time.process_time()
    run(one, two, "-o", "csv")
    assert time.process_time() - started < 1.0


def test_the_page_has_a_picture_per_component_with_its_numbers(old: str, new: str) -> None:
    page = Page(run(old, new, "-o", "html"))
    assert not page.open
    assert page.tags.count("figure") == 1 + 1 + 5  # the mean; the total and five components by cell
    assert "script" not in page.tags
    assert len(page.ids) == len(set(page.ids))
    assert "Change of parsing, by cell" in page.text
    assert "CPU, % of its overhead: parsing +1" in page.text  # the description of the mean's picture


def test_pictures_of_many_cells_have_those_that_changed_most(tmp_path: Path) -> None:
    one, two = (saved(drawn(seed, cells=40), tmp_path / str(seed)) for seed in (1, 2))
    assert "Change of ipc, by cell (30 of 40, largest changes)" in run(one, two, "-o", "html")
