"""The entry point: what errors become, and that help costs nothing."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from meshinsight import __version__, cli
from profiler.errors import MeshInsightError, MissingError, UsageError, with_note

HEAVY_MODULES = ("bcc", "jinja2", "jsonschema", "kubernetes", "matplotlib", "numpy", "pandas", "pyarrow", "sklearn")


class Stopped(KeyboardInterrupt):
    signum = 15


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs the command line and returns its exit status; `meshinsight trial` calls the function given."""

    def status_of(*arguments: str, trial: Callable[[], None] = lambda: None) -> int:
        monkeypatch.setattr(cli.app, "registered_commands", list(cli.app.registered_commands))
        cli.app.command("trial")(lambda: trial())
        monkeypatch.setattr(sys, "argv", ["meshinsight", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert isinstance(ended.value.code, int)
        return ended.value.code

    return status_of


def raising(error: BaseException) -> Callable[[], None]:
    def trial() -> None:
        raise error

    return trial


@pytest.mark.parametrize(
    ("error", "status"),
    [(MeshInsightError("it failed"), 1), (MissingError("no root"), 1), (UsageError("bad size"), 2)],
)
def test_errors_are_one_line_with_their_exit_status(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str], error: MeshInsightError, status: int
) -> None:
    assert run("trial", trial=raising(error)) == status
    assert capsys.readouterr().err == f"meshinsight: error: {error}\n"


def test_a_name_that_no_file_can_have_is_a_wrong_request(run: Callable[..., int]) -> None:
    assert run("trial", trial=raising(OSError(36, "File name too long", "x" * 300))) == 2


def test_full_disk_is_one_line(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("trial", trial=raising(OSError(28, "No space left on device", "out/profile.json"))) == 1
    assert capsys.readouterr().err == "meshinsight: error: out/profile.json: No space left on device\n"


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't start new thread"), OSError(12, "no memory")])
def test_want_of_memory_is_one_line_and_no_defect(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    assert run("trial", trial=raising(error)) == 1
    text = capsys.readouterr().err
    assert text.startswith("meshinsight: error: not enough memory or threads: ")
    assert "ulimit -v" in text
    assert text.count("\n") == 1


@pytest.mark.parametrize("first", [MeshInsightError("Envoy ended"), Stopped()])
def test_what_cleanup_could_not_remove_does_not_hide_the_first_error(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str], first: BaseException
) -> None:
    with_note(first, MeshInsightError("run 1 left something behind"))
    assert run("trial", trial=raising(first)) in (1, 143)
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "meshinsight: error: run 1 left something behind"
    assert len(lines) == (2 if isinstance(first, MeshInsightError) else 1)


def test_defect_is_one_line_that_says_how_to_see_more(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("trial", trial=raising(ZeroDivisionError("division by zero"))) == cli.EXIT_DEFECT
    text = capsys.readouterr().err
    assert "ZeroDivisionError: division by zero (where: run again with --verbose)" in text
    assert text.count("\n") == 1


def test_debug_variable_shows_the_traceback(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(cli.DEBUG_VARIABLE, "1")
    run("trial", trial=raising(MeshInsightError("it failed")))
    assert "Traceback (most recent call last)" in capsys.readouterr().err


@pytest.mark.parametrize(("stop", "status"), [(KeyboardInterrupt(), 130), (Stopped(), 143)])
def test_signals_end_with_their_shell_status(run: Callable[..., int], stop: BaseException, status: int) -> None:
    assert run("trial", trial=raising(stop)) == status


def test_success_is_status_zero(run: Callable[..., int]) -> None:
    assert run("trial") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("doctor", "--xyz"), "no such option: --xyz; see: meshinsight doctor --help"),
        (("no-such-command",), "no such command 'no-such-command'; see: meshinsight --help"),
        (("show",), "missing argument 'PROFILE'; see: meshinsight show --help"),
        (("graph", "check"), "missing argument 'GRAPH'; see: meshinsight graph check --help"),
        (("show", "x", "y"), "got unexpected extra argument(s) (y); see: meshinsight show --help"),
    ],
)
def test_a_wrong_command_line_is_one_line_that_names_the_help(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert run(*arguments) == 2
    assert capsys.readouterr().err == f"meshinsight: error: {message}\n"


def test_without_a_command_the_help_is_printed(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 2
    assert "Start here:" in capsys.readouterr().err


def test_verbose_shows_where_an_error_occurred(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--verbose", "trial", trial=raising(MeshInsightError("it failed"))) == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err
    assert run("trial", trial=raising(MeshInsightError("it failed"))) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_version_is_printed(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"meshinsight {__version__}\n"


def test_help_lists_every_command(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    text = capsys.readouterr().out
    assert [name for name in ("profile", "show", "report", "doctor", "cleanup") if f"\n  {name} " not in text] == []


def test_help_imports_nothing_heavy() -> None:
    code = f"import sys, meshinsight.cli; print([m for m in {HEAVY_MODULES!r} if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


def test_reader_that_leaves_early_is_no_error() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-m", "meshinsight", "--help"]
    done = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (1, "")
