"""The command `meshinsight`: joins the subcommands and is the one place where errors become messages and exit statuses.

`EXIT_STATUSES` says what each exit status means.
"""

import errno
import os
import signal
import sys
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, ClassVar, Final

import typer

from meshinsight import __version__
from meshinsight.application import Application, Commands, NoColor, Quiet, Verbose, section
from meshinsight.commands import (
    advise,
    attach,
    cleanup,
    compare,
    doctor,
    examples,
    export,
    fit,
    gate,
    graph,
    history,
    predict,
    predict_batch,
    profile,
    report,
    show,
    validate,
)
from meshinsight.console import is_verbose, prepare_streams, print_error, print_line, show_only
from profiler.errors import MeshInsightError, UsageError
from profiler.host.extras import missing_text
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
"""The name under which kubectl finds the plugin."""
COMPLETION: Final = "kubectl_complete-meshinsight"
"""The name under which kubectl finds the completion of the plugin."""
_WrongCommandLine: Final[type[Exception]] = typer.BadParameter.mro()[2]
"""What Typer raises for a wrong command line: click's ClickException, which Typer does not export."""

EXIT_STATUSES: Final = {
    "0": "Success.",
    "1": "The run failed. advise, gate: limits not met. doctor FEATURE: fails.",
    "2": "The command line or an input file is wrong.",
    "3": "gate: the intervals are too wide to decide.",
    "70": "A defect in MeshInsight.",
    "128+N": "Stopped by signal N; 130 is Ctrl-C.",
}
PURPOSES: Final = {
    "Start here": (attach, profile, examples, doctor),
    "Read a profile": (show, report, export, fit),
    "Compare profiles": (compare, gate, history),
    "Predict": (predict, predict_batch, advise, graph),
    "Check and clean up": (validate, cleanup),
}
"""The commands by purpose, in the order of the help."""


def _name(command: ModuleType) -> str:
    return command.__name__.rpartition(".")[2].replace("_", "-")


class Program(Commands):
    """The subcommands. A signal that stops one becomes the exit status that shells know it by."""

    purposes: ClassVar = {title: tuple(map(_name, commands)) for title, commands in PURPOSES.items()}

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stopped:
            print_notes(stopped)
            # Typer would say 130 (SIGINT) for every signal; runs tell which it was.
            raise typer.Exit(128 + getattr(stopped, "signum", signal.SIGINT)) from stopped


app = Application(
    cls=Program,
    name="meshinsight",
    help="What a service mesh sidecar costs in latency and CPU time, and where that cost comes from.",
    epilog="\n\n".join(
        (
            section("Exit status", (f"{status:<7}{meaning}" for status, meaning in EXIT_STATUSES.items())),
            section(
                "Values",
                (
                    "-o is the format of what is printed, --out the file or directory to write.",
                    "Times have a unit: 500ms, 2s, 10m, 1h.",
                    "Rates are requests per second: 200, 200/s, 30/min.",
                    "Sizes are bytes or have a unit: 1500, 64KiB, 2Gi. CPUs: 2, 0.5, 200m.",
                ),
            ),
        )
    ),
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: it answers three times as fast, and copies well
    context_settings={"help_option_names": ["-h", "--help"]},
)
for commands in PURPOSES.values():
    for command in commands:
        command.register(app)


def print_version(wanted: bool) -> None:
    """Answer `--version` before anything else is read."""
    if wanted:
        print_line(f"meshinsight {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    no_color: NoColor = False,
) -> None:
    """Options of the command as a whole."""
    show_only(quiet=quiet, verbose=verbose, no_color=no_color)


def main() -> None:
    """Run the command line and exit with its status. A traceback only with --verbose or MESHINSIGHT_DEBUG."""
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
    program = "kubectl meshinsight" if Path(sys.argv[0]).name == PLUGIN else "meshinsight"
    try:
        if program != "meshinsight":
            require_own_completion(sys.argv[1:])
        status = app(prog_name=program, standalone_mode=False)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    except _WrongCommandLine as error:
        return wrong_command_line(error, program)
    except BrokenPipeError:
        raise
    except MeshInsightError as error:
        return failed(error, str(error), error.exit_code)
    except Exception as error:  # noqa: BLE001 (the last resort: whatever it is, the user gets one line)
        if is_shortage(error):
            text = f"not enough memory or threads: {str(error) or type(error).__name__}"
            return failed(error, f"{text}; raise the limit (ulimit -v, ulimit -u) or free some", EXIT_FAILED)
        if isinstance(error, ImportError) and (missing := missing_text("this command", error.name)) is not None:
            return failed(error, missing, EXIT_FAILED)
        if isinstance(error, OSError):
            return failed(error, in_words(error), EXIT_WRONG if error.errno in WRONG_NAMES else EXIT_FAILED)
        text = f"defect in MeshInsight, please report it: {type(error).__name__}: {error}"
        return failed(error, f"{text} (where: run again with --verbose)", EXIT_DEFECT)
    return status if isinstance(status, int) else 0


def require_own_completion(arguments: list[str]) -> None:
    """Raise `UsageError` where the plugin is asked to install completion: that would replace kubectl's own."""
    for option in ("--install-completion", "--show-completion"):
        if any(given.partition("=")[0] == option for given in arguments):
            raise UsageError(
                f"{option}: is for the command meshinsight; kubectl completes this plugin with {COMPLETION}, which is "
                "installed next to it, once kubectl's own completion is on (kubectl completion --help)"
            )


def wrong_command_line(error: Any, program: str) -> int:
    """Print what is wrong with the command line in one line."""
    text = " ".join(error.format_message().split()).rstrip(".")
    command = error.ctx.command_path if getattr(error, "ctx", None) else program
    return failed(error, f"{text[:1].lower()}{text[1:]}; see: {command} --help", EXIT_WRONG)


def in_words(error: OSError) -> str:
    """An error of the system without its number: the file first, where there is one."""
    if error.strerror is None:
        return str(error)
    return f"{one_line(str(error.filename))}: {error.strerror}" if error.filename is not None else error.strerror


def failed(error: Exception, text: str, status: int) -> int:
    """Print what failed, with a traceback where one was asked for."""
    if is_verbose() or os.environ.get(DEBUG_VARIABLE):
        import traceback

        traceback.print_exception(error)
    print_error(text)
    print_notes(error)
    return status


def print_notes(error: BaseException) -> None:
    """Print what failed after the error, such as the removal of a run's files: a line each."""
    for note in getattr(error, "__notes__", []):
        print_error(note)
