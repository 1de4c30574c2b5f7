"""`meshinsight report`: a stored profile as one HTML file. Needs neither root nor bcc nor Linux."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `report` to the command line."""
    app.command(name="report")(report)


def report(
    profile: Annotated[Path, typer.Argument(metavar="PROFILE", help="Directory of a run, or its profile.json.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE.html", help="Where to write the report.")],
    title: Annotated[
        str | None, typer.Option("--title", help="Heading instead of the one made from the profile.")
    ] = None,
) -> None:
    """Write a stored profile as one self-contained HTML file with charts."""
    from meshinsight.reporters import html
    from profiler.profile.document import load_profile, write_whole

    write_whole(out, html.render(load_profile(profile), title))
    typer.echo(f"report written to {out}")
