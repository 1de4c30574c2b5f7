"""`meshinsight fit`: the coefficients a profile gives, with intervals and error. Works anywhere."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from profiler.errors import UsageError

if TYPE_CHECKING:
    from predictor.models.types import FittedModel

FORMATS: Final = ("table", "json")
_BEGINNING: Final = 100


def register(app: typer.Typer) -> None:
    """Add `fit` to the command line."""
    app.command(name="fit")(fit)


def fit(
    profile: Annotated[Path, typer.Argument(metavar="PROFILE", help="Directory of a run, or its profile.json.")],
    output: Annotated[
        str, typer.Option("--output", "-o", help="table or json.", autocompletion=lambda: list(FORMATS))
    ] = "table",
) -> None:
    """Fit a profile: what a request costs at base, per byte, header and connection. `predict` does so by itself."""
    if output not in FORMATS:
        raise UsageError(f"-o {output}: unknown output format; choose table or json")
    model = load_model(profile)
    if output == "json":
        json.dump(model.to_json(), sys.stdout, allow_nan=False)
        sys.stdout.write("\n")
        return
    from meshinsight.reporters.prediction_model import print_model

    print_model(model)


def load_model(path: Path) -> "FittedModel":
    """The model of a profile, or one that `fit -o json` stored. Raises `UsageError` when nothing can be fitted."""
    stored = _stored(path)
    if stored is not None:
        return stored
    from predictor.models.fitting import fit_profile
    from profiler.profile.document import load_profile

    model = fit_profile(load_profile(path))
    if not model.configurations:
        raise UsageError(
            f"{path}: no cell with one connection as fast as answers come, which models need; measure with: "
            "meshinsight profile --connections 1 --rate max"
        )
    return model


def _stored(path: Path) -> "FittedModel | None":
    """The stored model in a file, None if it is none; its format is told within its first characters."""
    try:
        with path.open(encoding="utf-8") as file:
            beginning = file.read(_BEGINNING)
            if '"meshinsight-model"' not in beginning:
                return None
            document = json.loads(beginning + file.read())
    except (OSError, UnicodeDecodeError):
        return None  # the profile's reader says what is wrong
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: damaged model ({error}); make it again with `meshinsight fit -o json`") from error
    from predictor.models.types import FittedModel

    return FittedModel.from_json(document)
