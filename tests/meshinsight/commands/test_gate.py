"""`meshinsight gate`: exit statuses, the list that is printed, and the baseline that is kept."""

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from profiler.profile.document import load_profile, save_profile
from profiler.profile.types import Profile
from tests.profiler.comparison.profiles import drawn, with_environment
from tests.profiler.comparison.variants import duet

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the whole command line: exit status, output and errors."""
    from meshinsight import cli

    def called(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["meshinsight", "gate", *arguments])
        status = cli.run()
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return called


def quiet(seed: int, parsing_ns: float = 0.0) -> Profile:
    return drawn(seed, scatter=0.005, drift=0.002, injected={"parsing": parsing_ns})


@pytest.fixture
def old(tmp_path: Path) -> str:
    save_profile(quiet(1), tmp_path / "old")
    return str(tmp_path / "old")


@pytest.fixture
def new(tmp_path: Path) -> str:
    save_profile(quiet(2, parsing_ns=6000.0), tmp_path / "new")
    return str(tmp_path / "new")


def test_limits_that_hold_pass(run: Run, new: str) -> None:
    status, text, _ = run(new, "--limit", "latency.total < 1ms", "--limit", "cpu.total < 1 vcpu/1krps")
    assert status == 0
    assert [line[:1] for line in text.splitlines() if line[:1] in "✓✗?" and line] == ["✓", "✓"]


def test_variants_are_held_against_the_first_without_a_baseline(run: Run, tmp_path: Path) -> None:
    save_profile(duet(1, injected={"parsing": 8_000.0}), tmp_path / "duet")
    path = str(tmp_path / "duet")
    status, text, _ = run(path, "--limit", "latency.parsing < +5%", "--limit", "mean.latency.ipc < +5%")
    assert status == 1
    assert "✗ latency.parsing < +5%: 2 of 2 cells above" in text
    assert "✓ mean.latency.ipc < +5%" in text
    assert run(path, "--limit", "mean.latency.total < +20%")[0] == 0


def test_a_limit_that_does_not_hold_fails_with_its_cells(run: Run, old: str, new: str) -> None:
    status, text, _ = run(
        new, "--baseline", old, "--limit", "latency.parsing.p50 < +5%", "--limit", "latency.ipc < +20%"
    )
    assert status == 1
    assert "✗ latency.parsing.p50 < +5%: 4 of 4 cells above" in text
    assert "✓ latency.ipc < +20%" in text
    assert "http1-both-hot-q128-s1027-c1-max: +20.4 % (" in text


@pytest.mark.parametrize(
    ("option", "expected"), [((), 3), (("--inconclusive", "pass"), 0), (("--inconclusive", "fail"), 1)]
)
def test_what_cannot_be_decided_has_its_own_status(run: Run, new: str, option: tuple[str, ...], expected: int) -> None:
    status, text, _ = run(new, "--limit", "latency.total < 107us", *option)
    assert (status, "? latency.total < 107us" in text) == (expected, True)


def test_limits_come_from_a_file_too(run: Run, new: str, tmp_path: Path) -> None:
    file = tmp_path / "limits.txt"
    file.write_text("# of main\nlatency.total < 1ms\n\ncpu.total < 1us\n")
    status, text, _ = run(new, "--limits", str(file))
    assert (status, "✗ cpu.total < 1us" in text) == (1, True)
    file.write_text("latency.parsin < 1ms\n")
    status, _, error = run(new, "--limits", str(file))
    assert status == 2
    assert f"{file}: line 1: " in error
    assert "expected one of total, ipc" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "no limit given"),
        (("--limit", "latency.total < +5%"), "--baseline"),
        (("--limit", "latency.total < 5ms", "--baseline", "nowhere"), "--baseline nowhere: no profile there"),
        (("--limit", "latency.tls < 5ms"), "found 'tls'"),
        (("--limit", "bogus"), "expected a limit such as"),
        (("--update-baseline",), "name the baseline to write with --baseline"),
        (("--limits", "nowhere.txt"), "nowhere.txt: no such file"),
        (("--limit", "closure < 1%", "--inconclusive", "maybe"), "expected one of pass, fail"),
    ],
)
def test_a_wrong_request_is_one_line(run: Run, new: str, arguments: tuple[str, ...], message: str) -> None:
    status, text, error = run(new, *arguments)
    assert (status, text, error.count("\n")) == (2, "", 1)
    assert message in error


def test_another_machine_is_refused_without_force(run: Run, new: str, tmp_path: Path) -> None:
    save_profile(with_environment(quiet(1), kernel="1.0"), tmp_path / "other")
    limit = ("--baseline", str(tmp_path / "other"), "--limit", "latency.ipc < +20%")
    assert run(new, *limit)[0] == 2
    assert run(new, *limit, "--force")[0] == 0


def test_the_first_baseline_is_stored(run: Run, new: str, tmp_path: Path) -> None:
    store = tmp_path / "baselines" / "main"
    status, _, note = run(new, "--baseline", str(store), "--update-baseline", "--limit", "latency.ipc < +5%")
    assert (status, "baseline written to" in note) == (0, True)
    assert load_profile(store) == load_profile(Path(new))


def test_absolute_limits_decide_on_the_first_baseline_too(run: Run, new: str, tmp_path: Path) -> None:
    store = tmp_path / "main"
    status, text, _ = run(new, "--baseline", str(store), "--update-baseline", "--limit", "latency.total < 1us")
    assert (status, "✗ latency.total < 1us" in text) == (1, True)
    assert not store.exists()


def test_a_baseline_is_replaced_only_if_limits_hold(run: Run, old: str, new: str, tmp_path: Path) -> None:
    store = tmp_path / "main.json"
    update = ("--baseline", str(store), "--update-baseline")
    assert run(old, *update)[0] == 0
    assert run(new, *update, "--limit", "latency.parsing < +5%")[0] == 1
    assert load_profile(store) == load_profile(Path(old))
    assert run(new, *update, "--limit", "latency.parsing < +30%")[0] == 0
    assert load_profile(store) == load_profile(Path(new))


def test_a_baseline_is_not_the_profile_itself(run: Run, new: str) -> None:
    status, _, error = run(new, "--baseline", new, "--update-baseline")
    assert (status, "is the profile itself" in error) == (2, True)


def test_partial_profiles_are_never_stored(run: Run, tmp_path: Path) -> None:
    partial = Path(__file__).parents[2] / "data" / "example-partial-profile.json"
    assert run(str(partial), "--baseline", str(tmp_path / "store"), "--update-baseline")[0] == 2
    assert not (tmp_path / "store").exists()


def test_json_and_junit_have_each_cell(run: Run, old: str, new: str) -> None:
    limit = ("--baseline", old, "--limit", "latency.parsing < +5%")
    document = json.loads(run(new, *limit, "-o", "json")[1])
    assert (document["format"], document["state"]) == ("meshinsight-gate", "fail")
    assert [cell["state"] for cell in document["limits"][0]["cells"]] == ["fail"] * 4
    suites = ElementTree.fromstring(run(new, *limit, "-o", "junit")[1])  # noqa: S314 (our own output)
    assert (suites.get("tests"), suites.get("failures"), suites.get("skipped")) == ("4", "4", "0")
