"""A dataclass of options, as a parameter of a command."""

from dataclasses import dataclass
from typing import Annotated

import typer
from typer.testing import CliRunner

from meshinsight.options.groups import grouped


@dataclass(frozen=True)
class Place:
    node: Annotated[str, typer.Option(metavar="NAME", help="Where.")] = "any"
    ports: Annotated[list[int] | None, typer.Option("--port", help="Which.")] = None


def run(*arguments: str) -> str:
    app = typer.Typer(rich_markup_mode=None)

    def command(name: Annotated[str, typer.Argument()], *, place: Place, loud: bool = False) -> None:
        """What it does."""
        typer.echo(f"{name} {place} {loud}")

    app.command()(grouped(command))
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0
    return result.output


def test_its_fields_are_options_in_their_order() -> None:
    text = run("--help")
    assert "What it does." in text
    assert text.index("--node") < text.index("--port") < text.index("--loud")


def test_the_command_gets_the_dataclass() -> None:
    assert run("x").strip() == f"x {Place()} False"
    given = run("x", "--node", "a", "--port", "1", "--port", "2", "--loud")
    assert given.strip() == f"x {Place('a', [1, 2])} True"
