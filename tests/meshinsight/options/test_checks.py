"""Options that refuse a wrong value: one wording, whichever command has them."""

import ast
import re
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

import meshinsight.commands
from meshinsight import cli
from meshinsight.options.checks import duration_option, rate_option
from profiler.errors import UsageError

PROFILE = Path(__file__).parents[2] / "data" / "example-profile.json"
PREDICTING = ("predict", "advise", "predict-batch")
WITH_GRAPH = ("predict", "advise", "report", "validate")


def refused(command: str, *options: object) -> str:
    arguments = [command, str(PROFILE), "graph.yaml", *map(str, options)]
    if command == "report":
        arguments = [command, str(PROFILE), "--graph", "graph.yaml", "--out", "report.html", *map(str, options)]
    if command == "predict-batch":
        arguments += ["--out", "all.parquet"]
    error = CliRunner().invoke(cli.app, arguments).exception
    assert isinstance(error, UsageError)
    return str(error)


@pytest.mark.parametrize("command", [*PREDICTING, "report"])
def test_a_wrong_transport(command: str) -> None:
    assert refused(command, "--transport", "x") == "--transport: expected one of ip, uds; found 'x'"


@pytest.mark.parametrize("command", PREDICTING)
def test_a_wrong_seed(command: str) -> None:
    assert refused(command, "--seed", -1) == "--seed: expected a number from 0 to 4.61169e+18; found -1"


def test_a_number_that_no_float_holds() -> None:
    assert refused("predict", "--samples", "9" * 400).startswith(
        "--samples: expected a number from 0 to 1e+06; found 9"
    )


@pytest.mark.parametrize("command", ["predict", "report"])
@pytest.mark.parametrize("price", [-1, "nan", "inf"])
def test_a_wrong_price(command: str, price: object) -> None:
    message = refused(command, "--price-per-gib-hour", price)
    assert message.startswith("--price-per-gib-hour: expected a number from 0 to 1e+12; found ")


@pytest.mark.parametrize("command", ["advise", "report", "validate"])
def test_a_place_for_a_file_that_is_not_there(command: str, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    assert refused(command, "--out", missing / "x") == f"--out: directory {missing} does not exist; create it"
    assert refused(command, "--out", tmp_path) == f"--out: {tmp_path} is a directory; name a file in it"


DURATIONS = {"profile": (), "validate": (str(PROFILE), "graph.yaml"), "attach": ("--pid", "1")}


@pytest.mark.parametrize("command", DURATIONS)
@pytest.mark.parametrize("text", ["", "3x", "1e9h", "-1s", "nan", "0"])
def test_a_wrong_duration_names_the_limits_in_all_commands(command: str, text: str) -> None:
    error = CliRunner().invoke(cli.app, [command, *DURATIONS[command], "--duration", text]).exception
    assert isinstance(error, UsageError)
    assert re.match(r"--duration: expected a time from \d+ms to 1(0m|h), such as 30s; found ", str(error))


def durations(text: str) -> tuple[float, str]:
    """The seconds that an option gets, and what is printed."""
    app = typer.Typer()

    @app.command()
    def command(duration: Annotated[float, duration_option("--duration", least_s=0.2, most_s=600)] = 0.5) -> None:
        typer.echo(duration)

    result = CliRunner().invoke(app, ["--duration", text] if text else [])
    return float(result.stdout), result.stderr


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("2s", 2), ("10m", 600), ("1m30s", 90), ("1.5 s", 1.5), ("", 0.5)]
)
def test_a_duration_has_a_unit(text: str, seconds: float) -> None:
    assert durations(text) == (seconds, "")


@pytest.mark.parametrize(("text", "better"), [("2", "2s"), ("0.4", "400ms"), ("60", "1m"), ("2.", "2s")])
def test_a_number_of_seconds_works_with_a_note(text: str, better: str) -> None:
    seconds, note = durations(text)
    assert seconds == float(text)
    assert f"write {better};" in note


@pytest.mark.parametrize(("text", "rps"), [("30/min", 0.5), ("200/s", 200)])
def test_a_rate_has_any_unit_of_time(text: str, rps: float) -> None:
    app = typer.Typer()

    @app.command()
    def command(rate: Annotated[float | None, rate_option("--rate", least_rps=0, most_rps=1e6)] = None) -> None:
        typer.echo(rate)

    assert float(CliRunner().invoke(app, ["--rate", text]).stdout) == rps


def test_a_wrong_rate() -> None:
    assert refused("validate", "--rate", "0").startswith("--rate: expected a rate from 0.1 to 1e+06 per second")
    assert refused("validate", "--rate", "fast").startswith("--rate: expected a rate in requests per second")


def test_the_other_choices() -> None:
    found = refused("validate", "--temperature", "warm")
    assert found == "--temperature: expected one of hot, cold, natural; found 'warm'"


def test_an_option_of_several_commands_is_the_same_in_all() -> None:
    commands: dict[str, Any] = get_command(cli.app).commands  # type: ignore[attr-defined]
    for option in ("proxy", "transport", "cpu_model", "price_per_vcpu_hour", "price_per_gib_hour", "seed"):
        found = {
            (parameter.metavar, parameter.help)
            for name in (*PREDICTING, "report")
            for parameter in commands[name].params
            if parameter.name == option
        }
        assert len(found) == 1
    for option in ("kubeconfig", "context", "image", "cluster"):
        names = ("profile", "attach", "cleanup")
        found = {(p.metavar, p.help) for name in names for p in commands[name].params if p.name == option}
        assert len(found) == 1


def test_no_function_of_a_command_is_long() -> None:
    for file in Path(meshinsight.commands.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef) and node.end_lineno is not None:
                assert node.end_lineno - node.lineno < 60, f"{file.name}: {node.name}"
