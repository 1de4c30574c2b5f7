"""Models of profiles as the commands need them: fitted, stored next to the profile, or read from a file."""

import contextlib
import hashlib
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from profiler.errors import MeshInsightError, UsageError

if TYPE_CHECKING:
    from predictor.models.types import FittedModel
    from profiler.profile.types import Profile

_BEGINNING: Final = 100


def load_model(path: Path, further: Sequence[Path] = ()) -> "FittedModel":
    """The model of a profile, or one that `fit -o json` gave; with `further` profiles that of the cells of all.

    Raises `UsageError` when nothing can be fitted or the profiles are not of one machine, `ProfileError` when there is
    no sound profile.
    """
    model = _joined_model((path, *further)) if further else _given(path) or profile_model(path)
    if not model.configurations:
        raise UsageError(
            f"{path}: no cell with one connection as fast as answers come and no variant, which models need; "
            "measure with: "
            "meshinsight profile --connections 1 --rate max"
        )
    return model


@contextmanager
def planned_for(graph: Path | None) -> Iterator[None]:
    """Where a profile lacks something, say how to measure all that the graph needs; None: the graph is no file."""
    from predictor.hop_costs.hops import LackingError

    try:
        yield
    except LackingError as lacking:
        if graph is None:
            raise
        command = shlex.join(("meshinsight", "profile", "--for", str(graph)))
        raise UsageError(f"{lacking} or all that the graph needs with: {command}") from lacking


def _joined_model(paths: Sequence[Path]) -> "FittedModel":
    """The model of several profiles, fitted now; it is not stored."""
    from predictor.models.fitting import fit_profile
    from profiler.evaluation.joining import joined_profiles
    from profiler.profile.document import load_profile

    for path in paths:
        if _given(path) is not None:
            raise UsageError(f"{path}: is a model, which cannot be joined with others; give the profile it is of")
    profiles: dict[str, Profile] = {}
    for path in paths:
        if str(path) in profiles:
            raise UsageError(f"{path}: is given twice; give each profile once")
        profiles[str(path)] = load_profile(path)
    return fit_profile(joined_profiles(profiles))


def profile_model(path: Path, profile: "Profile | None" = None) -> "FittedModel":
    """The model of a profile: stored next to it, or fitted now; without configurations where nothing can be fitted.

    What was fitted is stored when `path` is the directory of a finished run. `profile` is that of `path` where it is
    already read. Raises `ProfileError` when there is no sound profile.
    """
    from predictor.models.stored import FILE_NAME as MODEL_FILE_NAME
    from predictor.models.stored import read_model, save_model
    from profiler.profile.document import FILE_NAME, load_profile

    file = path / FILE_NAME if path.is_dir() else path
    try:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        digest = ""  # the profile's reader says what is wrong
    model_file = file.with_name(MODEL_FILE_NAME)
    stored = read_model(model_file, digest) if file.name == FILE_NAME else None
    if stored is not None:
        return stored
    profile = profile or load_profile(path)
    from predictor.models.fitting import fit_profile

    model = fit_profile(profile)
    if model.configurations and path.is_dir() and profile.status == "complete":
        with contextlib.suppress(MeshInsightError):  # it only saves time
            save_model(model, model_file, digest)
    return model


def _given(path: Path) -> "FittedModel | None":
    """The model in a file, None if it is none; its first characters name its format."""
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
