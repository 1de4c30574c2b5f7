"""`meshinsight examples`: a measured profile and call graphs to try the other commands on. Works anywhere."""

import shlex
from pathlib import Path
from typing import Annotated, Final

import typer

from meshinsight import application
from meshinsight.console import print_line
from meshinsight.options.panels import OUTPUT
from profiler.errors import UsageError

DEFAULT_DIRECTORY: Final = "meshinsight-examples"
_FIRST_GRAPH: Final = "bookinfo.yaml"
_EXAMPLES: Final = application.examples(
    "meshinsight examples",
    "meshinsight examples --out try",
)


def register(app: typer.Typer) -> None:
    """Add `examples` to the command line."""
    app.command(name="examples", epilog=_EXAMPLES)(examples)


def examples(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Directory to create for them.", rich_help_panel=OUTPUT)
    ] = Path(DEFAULT_DIRECTORY),
) -> None:
    """Write a sample profile and sample call graphs.

    The other commands can be tried on them without measuring first; what to try is printed.
    """
    from profiler.files.writing import unwritable, write_whole

    try:
        out.mkdir()
    except FileExistsError as error:
        raise UsageError(f"--out: {out} already exists; remove it, or name another directory") from error
    except FileNotFoundError as error:
        raise UsageError(f"--out: directory {out.parent} does not exist; create it") from error
    except OSError as error:
        raise unwritable(out, error) from error
    samples = sample_files()
    for file in samples:
        write_whole(out / file.name, file.read_bytes())
        print_line(f"{out / file.name}")
    place, graph, html = (shlex.quote(str(path)) for path in (out, out / _FIRST_GRAPH, out / "report.html"))
    print_line()
    print_line("The profile was measured on a virtual machine with 2 CPUs. Try:")
    print_line(f"  meshinsight show {place}")
    print_line(f"  meshinsight predict {place} {graph}")
    print_line(f"  meshinsight report {place} --graph {graph} --out {html}")


def sample_files() -> list[Path]:
    """The profile, then the call graphs, as they are in the package."""
    import predictor.graph
    import profiler.profile

    graphs = sorted((Path(predictor.graph.__file__).parent / "examples").glob("*.yaml"))
    return [Path(profiler.profile.__file__).parent / "examples" / "profile.json", *graphs]
