"""The commands in code blocks: as words, checked by the program's own parser, without running them."""

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Any, Final

import typer

from meshinsight.cli import app
from tests.documentation.pages import ROOT

SHELL: Final = ("sh", "bash", "console")
"""Languages of code blocks that are commands."""
OTHERS: Final = frozenset({"apt-get", "cd", "echo", "git", "kubectl", "pipx", "podman", "source", "systemctl"})
"""Programs whose options are not checked."""
ASSIGNMENT: Final = re.compile(r"^\w+=")
SUBSTITUTION: Final = re.compile(r"\$\([^)]*\)")


def simple_commands(text: str) -> Iterator[list[str]]:
    """The commands of a block, each as its words: without comments, assignments and `sudo`, cut at operators."""
    for line in SUBSTITUTION.sub("1", text).replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if set(word) <= set("|&;"):
                if words:
                    yield words
                words = []
            elif words or (word != "sudo" and not ASSIGNMENT.match(word)):
                words.append(word)


def complaint(words: Sequence[str]) -> str | None:
    """What is wrong with a command, or None."""
    program, *arguments = words
    if program in ("meshinsight", ".venv/bin/meshinsight"):
        return parsed(arguments)
    if words[:2] == ["kubectl", "meshinsight"]:
        return parsed(words[2:])
    if program == "make":
        return no_target(arguments)
    if program in ("python", ".venv/bin/python"):
        return no_script(arguments)
    return None if program in OTHERS else f"{program} is a program that this test does not know"


def parsed(arguments: Sequence[str]) -> str | None:
    """What the program's parser says of arguments: options and commands exist, none is missing, choices are known."""
    words = [word for word in arguments if not re.match(r"^[<>]", word)]
    command: Any = typer.main.get_command(app)
    context: Any = None
    path = ["meshinsight"]
    try:
        while hasattr(command, "commands"):
            context = command.make_context(path[-1], list(words), parent=context, resilient_parsing=True)
            path.append(words[0])
            _, command, words = command.resolve_command(context, words)
            if command is None:
                return f"{' '.join(path)}: no such command"
        command.make_context(path[-1], list(words), parent=context)
    except Exception as error:  # noqa: BLE001 (the parser's errors have no public base in all releases of typer)
        return f"{' '.join(path)}: {getattr(error, 'message', '') or error}"
    return None


def no_target(arguments: Sequence[str]) -> str | None:
    """Targets that the Makefile lacks."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    missing = [word for word in arguments if not ASSIGNMENT.match(word) and word not in targets]
    return f"make has no target {', '.join(missing)}" if missing else None


def no_script(arguments: Sequence[str]) -> str | None:
    """A script or module that the repository lacks."""
    if arguments[0] == "-m":
        file = arguments[1].replace(".", "/")
        exists = any((ROOT / f"{file}{ending}").exists() for ending in (".py", "/__main__.py"))
    else:
        exists = (ROOT / arguments[0]).exists()
    return None if exists else f"{' '.join(arguments[:2])} does not exist"
