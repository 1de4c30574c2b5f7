"""`meshinsight fit`: the coefficients a profile gives, with intervals and error. Works anywhere."""

import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from meshinsight.commands.output import check_output, output_option
from meshinsight.reports.formats import FORMATS, text_formats
from profiler.errors import MeshInsightError, UsageError

if TYPE_CHECKING:
    from predictor.models.types import FittedModel

_BEGINNING: Final = 100


def register(app: typer.Typer) -> None:
    """Add `fit` to the command line."""
    app.command(name="fit")(fit)


def fit(
    profile: Annotated[Path, typer.Argument(metavar="PROFILE", help="Directory of a run, or its profile.json.")],
    output: Annotated[str, output_option(text_formats())] = "table",
) -> None:
    """Fit a profile: what a request costs at base, per byte, header and connection. `predict` does so by itself."""
    check_output(output, text_formats())
    model = load_model(profile)
    from meshinsight.reports.subjects.model import report

    FORMATS[output](report(model), sys.stdout)


def load_model(path: Path) -> "FittedModel":
    """The model of a profile: stored beside it, or fitted now; or one that `fit -o json` gave.

    What was fitted is stored when `path` is the directory of a finished run. Raises `UsageError` when nothing can be
    fitted, `ProfileError` when there is no sound profile.
    """
    given = _given(path)
    if given is not None:
        return given
    import hashlib

    from predictor.models.stored import FILE_NAME as MODEL_FILE_NAME
    from predictor.models.stored import read_model, save_model
    from profiler.profile.document import FILE_NAME, load_profile

    file = path / FILE_NAME if path.is_dir() else path
    try:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        digest = ""  # the profile's reader says what is wrong
    beside = file.with_name(MODEL_FILE_NAME)
    stored = read_model(beside, digest) if file.name == FILE_NAME else None
    if stored is not None:
        return stored
    document = load_profile(path)
    model = _fitted(document, str(path))
    if path.is_dir() and document["status"] == "complete":
        with contextlib.suppress(MeshInsightError):  # it only saves time
            save_model(model, beside, digest)
    return model


def keep_model(document: Mapping[str, Any], directory: Path) -> dict[str, Any]:
    """Fit the profile of a finished run in `directory`; its error goes into the profile, the model beside it.

    Returns the profile with the error; as it was where nothing can be fitted. Raises `MeshInsightError` when it cannot
    be written; the profile there is then as it was.
    """
    import hashlib
    from dataclasses import asdict

    from predictor.models.fitting import fit_profile
    from predictor.models.stored import FILE_NAME, save_model
    from profiler.profile.document import save_profile

    model = fit_profile(document)
    if not model.configurations:
        return dict(document)
    with_error = {**document, "model_error": [asdict(entry) for entry in model.held_out]}
    saved = save_profile(with_error, directory)
    save_model(model, directory / FILE_NAME, hashlib.sha256(saved.read_bytes()).hexdigest())
    return with_error


def _fitted(document: Mapping[str, Any], origin: str) -> "FittedModel":
    from predictor.models.fitting import fit_profile

    model = fit_profile(document)
    if not model.configurations:
        raise UsageError(
            f"{origin}: no cell with one connection as fast as answers come, which models need; measure with: "
            "meshinsight profile --connections 1 --rate max"
        )
    return model


def _given(path: Path) -> "FittedModel | None":
    """The model in a file, None if it is none; its format is told within its first characters."""
    try:
        with path.open("rb") as file:
            beginning = file.read(_BEGINNING)
    except OSError:
        return None  # the profile's reader says what is wrong
    if b'"meshinsight-model"' not in beginning:
        return None
    from predictor.models.document import REMEDY, model_of
    from profiler.files.json_text import parse_json
    from profiler.files.reading import read_text

    origin = f"damaged model {path}"
    return model_of(parse_json(read_text(path, REMEDY), origin, REMEDY), origin)
