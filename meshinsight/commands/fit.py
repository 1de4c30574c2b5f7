"""`meshinsight fit`: the coefficients a profile gives, with intervals and error. Works anywhere."""

import sys
from typing import Annotated, Final

import typer

from meshinsight.application import examples
from meshinsight.models import load_model
from meshinsight.options.checks import output_format
from meshinsight.options.prediction import Further, Profile
from meshinsight.reports.formats import FORMATS, text_formats

_EXAMPLES: Final = examples(
    "meshinsight fit profile-out",
    "meshinsight fit profile-out -o json > model.json",
)


def register(app: typer.Typer) -> None:
    """Add `fit` to the command line."""
    app.command(name="fit", epilog=_EXAMPLES)(fit)


def fit(
    profile: Profile,
    further: Further = None,
    output: Annotated[str, output_format(*text_formats())] = "table",
) -> None:
    """Show the cost per request, byte, header and connection.

    These are the coefficients of the model that predict fits to a profile, with intervals and errors. With -o json the
    output can be given to predict instead of the profile.
    """
    model = load_model(profile, further or ())
    from meshinsight.reports.subjects.model import report

    FORMATS[output](report(model), sys.stdout)
