"""Help as it is read at 80 columns, options of every command, and names that options had before."""

import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner, Result

from meshinsight import cli, console
from meshinsight.application import _RENAMED
from meshinsight.options.dimensions import _SETTINGS, Dimensions
from meshinsight.options.panels import OTHER, PANELS
from profiler.doctor import Diagnosis
from profiler.errors import UsageError
from profiler.planning.settings import ProfileSettings


def _commands(command: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, one in getattr(command, "commands", {}).items():
        yield from _commands(one, *path, name)


COMMANDS = dict(_commands(get_command(cli.app)))
PATHS = pytest.mark.parametrize("path", COMMANDS, ids=" ".join)


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    console.show_only(quiet=False, verbose=False, no_color=False)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, list(arguments), env={"COLUMNS": "80", "TERMINAL_WIDTH": "80"})


@PATHS
def test_help_fits_80_columns_and_cuts_nothing(path: tuple[str, ...]) -> None:
    shown = run(*path, "--help")
    assert shown.exit_code == 0
    usage, *lines = shown.output.splitlines()
    assert len(usage) <= 80
    assert [line for line in lines if len(line) > 80 or line.endswith("...")] == []


@PATHS
def test_every_option_has_a_help_text_and_a_known_section(path: tuple[str, ...]) -> None:
    for parameter in COMMANDS[path].params:
        assert parameter.help, parameter.name
        assert (getattr(parameter, "rich_help_panel", None) or OTHER) in PANELS, parameter.name


def test_every_command_is_listed_under_a_purpose_and_attach_first() -> None:
    listed = [name for names in cli.Program.purposes.values() for name in names]
    assert sorted(listed) == sorted(path[0] for path in COMMANDS if len(path) == 1)
    text = run("--help").output
    assert text.index("Start here:") < text.index("  attach ") < text.index("  profile ")
    assert "\nCommands:" not in text


def test_options_stand_in_sections() -> None:
    text = run("profile", "--help").output
    titles = re.findall(r"^(\w[\w ()]*):$", text, re.MULTILINE)
    assert titles == [
        "What to measure", "How long", "How to run", "Where (cluster)", "Output", "Options of every command",
        "Examples",
    ]  # fmt: skip
    assert text.index("What to measure:") < text.index("--protocol") < text.index("How long:") < text.index("--rounds")


def test_help_has_the_exit_statuses() -> None:
    text = run("--help").output
    for status in (0, cli.EXIT_FAILED, cli.EXIT_WRONG, cli.EXIT_DEFECT):
        assert re.search(rf"^  {status} +\w", text, re.MULTILINE)
    assert "130 is Ctrl-C" in text


def test_defaults_in_the_help_of_profile_are_those_of_a_run() -> None:
    settings = ProfileSettings()
    for field in fields(Dimensions):
        option = field.type.__metadata__[0]  # type: ignore[union-attr]  # all are Annotated
        if not isinstance(option.show_default, str):
            continue
        setting, read = _SETTINGS[field.name]
        if field.name in ("rounds", "seed"):
            assert int(option.show_default) == getattr(settings, setting)
        elif field.name == "duration":
            assert option.parser(option.show_default) == settings.duration_s
        elif field.name == "headers":
            assert [count for count, _ in read(option.show_default)] == [count for count, _ in settings.headers]
        else:
            assert read(option.show_default) == getattr(settings, setting), field.name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("profile", "--repeats", "1"), "--rounds: 1 is outside 2 to 1000"),
        (("profile", "--repeats=1"), "--rounds: 1 is outside 2 to 1000"),
        (("attach", "--pid", "1", "--max-overhead", "90%"), "--cpu-budget: expected a share from"),
    ],
)
def test_a_former_name_works_and_says_the_new_one(arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments)
    assert isinstance(result.exception, UsageError)
    assert str(result.exception).startswith(message)
    old, new = next(iter(_RENAMED[arguments[0]].items()))
    assert f"{old} is now {new}" in result.stderr


def test_former_names_are_not_in_the_help() -> None:
    for command, renamed in _RENAMED.items():
        text = run(command, "--help").output
        assert [old for old in renamed if old in text] == []
        assert [new for new in renamed.values() if new not in text] == []


@pytest.mark.parametrize("arguments", [("--quiet", "doctor"), ("doctor", "-q")])
def test_options_of_every_command_count_before_and_after_it(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setattr(
        "profiler.doctor.diagnose", lambda: pytest.fail("runs") if not console.is_quiet() else Diagnosis(())
    )
    assert run(*arguments).exit_code == 0
    assert not console.is_verbose()


def test_an_earlier_command_line_leaves_nothing_behind() -> None:
    run("--quiet", "graph", "check", "no-such-file")
    run("graph", "check", "no-such-file")
    assert not console.is_quiet()


def test_quiet_leaves_out_notes_and_keeps_errors(capsys: pytest.CaptureFixture[str]) -> None:
    console.show_only(quiet=True, verbose=False, no_color=False)
    console.print_note("saved: profile-out")
    console.print_error("no such file")
    assert capsys.readouterr().err == "meshinsight: error: no such file\n"


class _Terminal:
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("no_color", "variable"), [(True, None), (False, "1"), (False, None)])
def test_no_color(monkeypatch: pytest.MonkeyPatch, no_color: bool, variable: str | None) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if variable:
        monkeypatch.setenv("NO_COLOR", variable)
    console.show_only(quiet=False, verbose=False, no_color=no_color)
    stream: Any = _Terminal()
    console.make_console(stream).print("ok", style="green")
    assert ("\x1b[32m" in stream.text) == (not no_color and variable is None)
