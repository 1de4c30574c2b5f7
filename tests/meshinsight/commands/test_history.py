"""`meshinsight history`: what is printed in each format, plots, and what is left out."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from msgspec.structs import replace
from typer.testing import CliRunner, Result

from meshinsight.commands import history
from profiler.errors import MeshInsightError, UsageError
from profiler.profile.document import save_profile
from tests.meshinsight.reports.pages import Page
from tests.profiler.comparison.profiles import drawn, with_environment

DAYS = 14


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Profiles of two weeks, whose names are against their order; parsing costs more from day 8 on."""
    found = tmp_path_factory.mktemp("profiles")
    for day in range(DAYS):
        profile = drawn(day, cells=2, injected={"parsing": 15_000.0} if day >= 8 else None)
        version = "9.9" if day >= 8 else "1.0"
        created = f"2026-01-{day + 1:02d}T02:00:00Z"
        save_profile(
            replace(profile, run_id=f"r{day}", created=created, meshinsight_version=version), found / f"run-{99 - day}"
        )
    return found


def invoke(*arguments: object) -> Result:
    app = typer.Typer()
    app.callback()(lambda: None)
    history.register(app)
    done = CliRunner().invoke(app, ["history", *map(str, arguments)])
    if isinstance(done.exception, MeshInsightError):
        raise done.exception
    return done


def run(*arguments: object) -> str:
    done = invoke(*arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_table_has_the_change_where_it_began_and_what_else_did(folder: Path) -> None:
    text = run(folder)
    lines = text.splitlines()
    first = next(line for line in lines if "latency parsing p50, %" in line)
    assert first.startswith("2026-01-09 02:00  run-91   mean over cells")
    assert "2026-01-09 02:00, run-91: meshinsight: 1.0 → 9.9" in text
    assert not [line for line in lines if "latency ipc" in line]
    assert len(lines) <= 45
    assert max(map(len, lines)) <= 140


def test_json_has_every_course_with_levels_and_changes(folder: Path) -> None:
    found = json.loads(run(folder, "-o", "json"))
    (machine,) = found["machines"]
    assert [profile["name"] for profile in machine["profiles"]] == [f"run-{99 - day}" for day in range(DAYS)]
    parsing = next(
        each for each in machine["courses"] if (each["cell"], each["component"]) == ("mean over cells", "parsing")
    )
    (change,) = parsing["changes"]
    assert (change["profile"], change["number"]) == ("run-91", 8)
    assert [level["first"] for level in parsing["levels"]] == [0, 8]
    assert change["ci95"][0] < change["difference"] < change["ci95"][1]


def test_csv_has_a_row_per_profile_and_figure(folder: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(run(folder, "-o", "csv"))))
    parsing = [
        row
        for row in rows
        if (row["cell"], row["component"], row["currency"]) == ("mean over cells", "parsing", "latency")
    ]
    assert [row["profile"] for row in parsing] == [f"run-{99 - day}" for day in range(DAYS)]
    assert [row["profile"] for row in parsing if row["change"] == "True"] == ["run-91"]


def test_one_cell_can_be_chosen(folder: Path) -> None:
    found = json.loads(run(folder, "--cell", "*s1025*", "-o", "json"))
    cells = {each["cell"] for each in found["machines"][0]["courses"]}
    assert cells == {"mean over cells", "http1-both-hot-q128-s1025-c1-max"}
    with pytest.raises(UsageError, match="no cell matches"):
        run(folder, "--cell", "grpc*")


def test_plots_are_svg_png_and_html_with_descriptions(folder: Path, tmp_path: Path) -> None:
    for name in ("a.svg", "a.png", "a.html"):
        run(folder, "--out", tmp_path / name)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    svg = (tmp_path / "a.svg").read_text()
    assert "from 2026-01-09 02:00" in svg
    assert "<script" not in svg
    page = Page((tmp_path / "a.html").read_text())
    assert not page.open
    assert page.tags.count("figure") == 1
    assert "script" not in page.tags
    assert "mean over cells: latency parsing p50, %, 2026-01-09 02:00" in page.text  # the table with the same numbers
    with pytest.raises(UsageError, match=r"--out: expected a name that ends in \.svg or \.png or \.html"):
        run(folder, "--out", tmp_path / "a.pdf")


def test_the_same_profiles_give_the_same_plot(folder: Path, tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        run(folder, "--out", tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_what_is_left_out_is_named_and_the_rest_is_shown(tmp_path: Path) -> None:
    save_profile(replace(drawn(1), run_id="a"), tmp_path / "a")
    save_profile(with_environment(replace(drawn(2), run_id="b"), cpu_model="Other"), tmp_path / "b")
    (tmp_path / "bro\x1b[1mken.json").write_text("{")
    text = run(tmp_path)
    assert "\x1b" not in text
    assert "2 profiles of" in text
    assert "on 2 kinds of machine" in text
    assert "6 profiles are needed; there are 1" in text
    assert "ken.json: " in text
    assert "left out bro" in invoke(tmp_path, "-o", "csv").stderr
    assert "left out" not in invoke(tmp_path).stderr


def test_a_folder_without_profiles_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no profile that can be read"):
        run(tmp_path)


def test_histories_load_nothing_heavy(folder: Path) -> None:
    heavy = ["bcc", "kubernetes", "sklearn", "scipy", "pandas", "matplotlib", "jinja2"]
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({heavy})); sys.argv = ['x', 'history', {str(folder)!r}]\n"
        "from meshinsight.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "parsing" in done.stdout
