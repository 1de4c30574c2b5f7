"""Completion of `kubectl meshinsight`: the program `kubectl_complete-meshinsight`, which kubectl's completion runs.

kubectl gives it the words after the plugin's name, the last one as far as it is typed. It prints a line per completion
(the value, a tab, its help) and then a directive: whether the shell completes names of files instead.
"""

import io
import os
import shlex
import sys
from contextlib import redirect_stdout, suppress
from typing import Final

from meshinsight.cli import app
from meshinsight.console import prepare_streams

_FILES: Final = 0
_NO_FILES: Final = 4
"""Directives of kubectl's completion: what the shell does where nothing is given, and that it does nothing more."""


def main() -> None:
    """Answer kubectl's completion."""
    prepare_streams()
    found = completions(sys.argv[1:])
    sys.stdout.write("".join(f"{line}\n" for line in found) + f":{_NO_FILES if found else _FILES}\n")


def completions(words: list[str]) -> list[str]:
    """Completions of the last word after the others, each with its help after a tab."""
    line = shlex.join(["meshinsight", *words[:-1]])
    # Typer's protocol for fish has the form that kubectl wants.
    os.environ |= {
        "_MESHINSIGHT_COMPLETE": "complete_fish",
        "COLUMNS": "1000",  # a line per completion, however long its help
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "_TYPER_COMPLETE_ARGS": f"{line} {shlex.quote(words[-1]) if words and words[-1] else ''}",
    }
    with redirect_stdout(io.StringIO()) as printed, suppress(SystemExit):
        app(prog_name="meshinsight")
    return [line for line in printed.getvalue().splitlines() if line]
