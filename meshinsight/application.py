"""The Typer application: help in sections, options that every command has, and names that options had before."""

import functools
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, ClassVar, Final

import typer
from typer.core import TyperCommand, TyperGroup

from meshinsight.console import print_note, show_more, write_document
from meshinsight.options.panels import ARGUMENTS, COMMON, OTHER, PANELS
from profiler.errors import UsageError

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors only.", rich_help_panel=COMMON)]
Verbose = Annotated[
    bool,
    typer.Option("--verbose", "-v", help="Print every step, and where an error occurred.", rich_help_panel=COMMON),
]
NoColor = Annotated[
    bool, typer.Option("--no-color", help="No colors; NO_COLOR=1 does the same.", rich_help_panel=COMMON)
]
_COMMON: Final[Mapping[str, Any]] = {"quiet": Quiet, "verbose": Verbose, "no_color": NoColor}

_RENAMED: Final[Mapping[str, Mapping[str, str]]] = {
    "profile": {"--repeats": "--rounds"},
    "attach": {"--max-overhead": "--cpu-budget"},
}
"""For each command the former names of options. A former name works for one release."""

_DEFAULT: Final = re.compile(r"\[default: \((.*?)\)(?=[\];])")
"""Defaults given as text, which Typer puts in brackets."""


class Application(typer.Typer):
    """A `typer.Typer` whose commands have help in sections and the options that every command has."""

    def command(  # type: ignore[override]  # the settings of Typer, without a class
        self, name: str | None = None, **settings: Any
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        add = super().command(name, cls=Command, **settings)
        return lambda function: add(_with_common_options(function))


class Command(TyperCommand):
    """A command whose help has its options in sections and its examples as they are typed."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, list(_with_new_names(args, _RENAMED.get(self.name or "", {}))))

    def get_short_help_str(self, limit: int = 80) -> str:
        """The first sentence of the help, for lists of commands and for completion."""
        return super().get_short_help_str(limit)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [re.sub(r"[{}]", "", piece) for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        _write_options(self, ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        _write_epilog(self.epilog, formatter)


class Commands(TyperGroup):
    """A group whose help lists its commands by purpose. `purposes` has the names of commands under titles."""

    purposes: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            write_document(f"{ctx.get_help()}\n", sys.stderr)
            raise typer.Exit(UsageError.exit_code)
        return super().parse_args(ctx, args)

    def get_short_help_str(self, limit: int = 80) -> str:
        """As for a command."""
        return super().get_short_help_str(limit)

    def list_commands(self, ctx: Any) -> list[str]:
        known = super().list_commands(ctx)
        ordered = [name for names in self.purposes.values() for name in names if name in known]
        return [*ordered, *(name for name in known if name not in ordered)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        self.format_commands(ctx, formatter)
        _write_options(self, ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        names = self.list_commands(ctx)
        widest = max(map(len, names), default=0)
        listed = [name for listed in self.purposes.values() for name in listed]
        rest = tuple(name for name in names if name not in listed)
        for title, purpose in {**self.purposes, "Commands": rest}.items():
            rows = [
                (f"{name:{widest}}", command.get_short_help_str(formatter.width))
                for name in purpose
                if (command := self.get_command(ctx, name)) is not None and not command.hidden
            ]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        _write_epilog(self.epilog, formatter)


def section(title: str, lines: Iterable[str]) -> str:
    """A section of the text after the options; its lines are shown as they are."""
    return "\n".join([f"{title}:", *(f"  {line}" for line in lines)])


def examples(*lines: str) -> str:
    """Examples for the help of a command."""
    return section("Examples", lines)


def _with_common_options(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def called(*args: Any, quiet: bool = False, verbose: bool = False, no_color: bool = False, **given: Any) -> Any:
        show_more(quiet=quiet, verbose=verbose, no_color=no_color)
        return function(*args, **given)

    signature = inspect.signature(function)
    kind = inspect.Parameter.KEYWORD_ONLY
    common = [inspect.Parameter(name, kind, default=False, annotation=entry) for name, entry in _COMMON.items()]
    called.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*signature.parameters.values(), *common]
    )
    return called


def _with_new_names(args: list[str], renamed: Mapping[str, str]) -> Iterable[str]:
    for arg in args:
        old, equals, value = arg.partition("=")
        if old in renamed:
            print_note(f"{old} is now {renamed[old]}; the next release does not accept {old}")
            yield f"{renamed[old]}{equals}{value}"
        else:
            yield arg


def _write_options(command: TyperCommand | TyperGroup, ctx: Any, formatter: Any) -> None:
    sections: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is None:
            continue
        of_command = ARGUMENTS if parameter.param_type_name == "argument" else OTHER
        title = COMMON if parameter.name == "help" else getattr(parameter, "rich_help_panel", None) or of_command
        name = record[0].split(" <")[0] if title == ARGUMENTS else record[0]
        text = record[1].replace("\\[", "[")  # which old versions of Typer write for rich
        sections.setdefault(title, []).append((name, _DEFAULT.sub(r"[default: \1", text)))
    for title in sorted(sections, key=PANELS.index):
        with formatter.section(title):
            formatter.write_dl(sections[title])


def _write_epilog(text: str | None, formatter: Any) -> None:
    if text:
        formatter.write(f"\n{text}\n")
