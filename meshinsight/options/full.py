"""The option that shows all of a profile."""

from typing import Annotated

import typer

from meshinsight.options.panels import OUTPUT

Full = Annotated[bool, typer.Option("--full", help="All tables and warnings, not one screen.", rich_help_panel=OUTPUT)]
