"""`meshinsight fit`: the coefficients a profile gives, with intervals and error. Works anywhere."""

import sys
from typing import Annotated

import typer

from meshinsight.models import load_model
from meshinsight.options.checks import output_format
from meshinsight.options.prediction import Profile
from meshinsight.reports.formats import FORMATS, text_formats


def register(app: typer.Typer) -> None:
    """Add `fit` to the command line."""
    app.command(name="fit")(fit)


def fit(
    profile: Profile,
    output: Annotated[str, output_format(*text_formats())] = "table",
) -> None:
    """Fit a profile: what a request costs at base, per byte, header and connection. `predict` does so by itself."""
    model = load_model(profile)
    from meshinsight.reports.subjects.model import report

    FORMATS[output](report(model), sys.stdout)
