"""The command `meshinsight`: joins the subcommands and is the one place where errors become messages and exit statuses.

Exit status: 0 done, 1 the run failed, 2 the request was wrong, 70 a defect in MeshInsight, 128 + n stopped by signal n
(130 for Ctrl-C).
"""

import errno
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from meshinsight import __version__
from meshinsight.commands import (
    advise,
    attach,
    cleanup,
    doctor,
    fit,
    graph,
    predict,
    predict_batch,
    profile,
    report,
    show,
    validate,
)
from meshinsight.console import prepare_streams, print_error, print_line
from profiler.errors import MeshInsightError, UsageError
from profiler.host.memory import is_shortage
from profiler.host.search_path import forget_relative_entries
from profiler.text import one_line

DEBUG_VARIABLE: Final = "MESHINSIGHT_DEBUG"
EXIT_DEFECT: Final = 70
EXIT_FAILED: Final = MeshInsightError.exit_code
EXIT_WRONG: Final = UsageError.exit_code
WRONG_NAMES: Final = (errno.ENAMETOOLONG, errno.ELOOP)
"""Errors of the system that no file by the name that was given could avoid."""
PLUGIN: Final = "kubectl-meshinsight"
"""The name under which kubectl finds it."""


class Commands(TyperGroup):
    """The subcommands. A signal that stops one becomes the exit status that shells know it by."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stopped:
            print_notes(stopped)
            # Typer would say 130 (SIGINT) for every signal; runs tell which it was.
            raise typer.Exit(128 + getattr(stopped, "signum", signal.SIGINT)) from stopped


app = typer.Typer(
    cls=Commands,
    name="meshinsight",
    help="What a service mesh sidecar costs in latency and CPU time, and where that cost comes from.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: it answers three times as fast, and copies well
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (profile, show, graph, fit, predict, predict_batch, advise, report, validate, attach, doctor, cleanup):
    command.register(app)


def print_version(wanted: bool) -> None:
    """Answer `--version` before anything else is looked at."""
    if wanted:
        print_line(f"meshinsight {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of the command as a whole."""


def main() -> None:
    """Run the command line and exit with its status. No traceback unless MESHINSIGHT_DEBUG is set."""
    prepare_streams()
    forget_relative_entries()
    try:
        status = run()
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader left, as `head` does. What is still buffered must not be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status)


def run() -> int:
    """Run the command line; errors become one line on standard error. Returns the exit status."""
    try:
        app(prog_name="kubectl meshinsight" if Path(sys.argv[0]).name == PLUGIN else "meshinsight")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    except BrokenPipeError:
        raise
    except MeshInsightError as error:
        return failed(error, str(error), error.exit_code)
    except Exception as error:  # noqa: BLE001 (the last resort: whatever it is, the user gets one line)
        if is_shortage(error):
            text = f"not enough memory or threads: {str(error) or type(error).__name__}"
            return failed(error, f"{text}; raise the limit (ulimit -v, ulimit -u) or free some", EXIT_FAILED)
        if isinstance(error, OSError):
            return failed(error, in_words(error), EXIT_WRONG if error.errno in WRONG_NAMES else EXIT_FAILED)
        text = f"defect in MeshInsight, please report it: {type(error).__name__}: {error}"
        return failed(error, f"{text} (where: run again with {DEBUG_VARIABLE}=1)", EXIT_DEFECT)
    return 0


def in_words(error: OSError) -> str:
    """An error of the system without its number: the file first, where there is one."""
    if error.strerror is None:
        return str(error)
    return f"{one_line(str(error.filename))}: {error.strerror}" if error.filename is not None else error.strerror


def failed(error: Exception, text: str, status: int) -> int:
    """Tell the user what failed, with a traceback where one was asked for."""
    if os.environ.get(DEBUG_VARIABLE):
        import traceback

        traceback.print_exception(error)
    print_error(text)
    print_notes(error)
    return status


def print_notes(error: BaseException) -> None:
    """Tell the user what failed after the error, such as the removal of a run's files: a line each."""
    for note in getattr(error, "__notes__", []):
        print_error(note)
