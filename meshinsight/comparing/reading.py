"""What `compare` is given: which kind of document each file is, and two of one kind compared."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from profiler.errors import UsageError
from profiler.files.reading import read_text
from profiler.text import some_of

if TYPE_CHECKING:
    from meshinsight.comparing.document import Document
    from profiler.comparison.changes import Change
    from profiler.comparison.compare import Comparison

PROFILE: Final = "profile"
MODEL: Final = "model"
PREDICTION: Final = "prediction"
VALIDATION: Final = "validation"
KINDS: Final = (PROFILE, MODEL, PREDICTION, VALIDATION)
_FORMAT: Final = re.compile(r'"format"\s*:\s*"meshinsight-([a-z-]{1,40})"')
_REMEDY: Final = "give profiles, or what `fit -o json`, `predict -o json` or `validate --out` wrote"


def kind_of(path: Path) -> str:
    """The kind of a document; a directory is a profile's. Raises `UsageError` for what cannot be compared."""
    if path.is_dir():
        return PROFILE
    found = _FORMAT.search(read_text(path, _REMEDY))
    if found is None or found[1] not in KINDS:
        what = f"a document of format meshinsight-{found[1]}" if found else "no document of MeshInsight"
        raise UsageError(f"{path}: is {what}; {_REMEDY}")
    return found[1]


def common_kind(paths: Sequence[Path]) -> str:
    """The one kind of all documents. Raises `UsageError` that names two that differ."""
    first, *others = paths
    kind = kind_of(first)
    for path in others:
        if (other := kind_of(path)) != kind:
            raise UsageError(f"{first} is a {kind} and {path} is a {other}; compare documents of one kind")
    return kind


def compare_documents(
    kind: str, paths: Sequence[Path], delta: float, pattern: str | None
) -> list[tuple[str, "Comparison"]]:
    """The first document compared with each of the others.

    `pattern` chooses what they have figures of by name. Raises `UsageError` for a file that is not sound, or where
    nothing is common.
    """
    from profiler.comparison.compare import compare_figures

    first, *others = [_values(path) for path in paths]
    found = []
    for path, values in zip(paths[1:], others, strict=True):
        old, new = _matching(_documents(kind, (paths[0], first), (path, values)), pattern)
        try:
            compared = compare_figures(old.figures, new.figures, delta, old.main if kind == MODEL else ())
        except UsageError as error:
            raise UsageError(f"{paths[0]} and {path}: {error}") from error
        found.append((str(path), replace(compared, changes=list(_changes(old, new)), notes=_NOTES[kind])))
    return found


_NOTES: Final[Mapping[str, Sequence[str]]] = {
    MODEL: (),
    PREDICTION: (
        "the interval of a difference holds the errors of both predictions as if they were independent; predictions of "
        "one model share theirs: compare those with predict --scenarios",
    ),
    VALIDATION: (
        "figures are the measured overheads; intervals hold how much the machine drifted within each, by its anchor",
    ),
}


def _values(path: Path) -> Any:
    from profiler.files.json_text import parse_json

    return parse_json(read_text(path, _REMEDY), str(path), _REMEDY)


def _documents(kind: str, old: tuple[Path, Any], new: tuple[Path, Any]) -> "tuple[Document, Document]":
    if kind == MODEL:
        from meshinsight.comparing import models
        from predictor.models.document import model_of

        one, two = (model_of(values, f"damaged model {path}") for path, values in (old, new))
        return models.documents_of(one, two)
    if kind == PREDICTION:
        from meshinsight.comparing.predictions import document_of
    else:
        from meshinsight.comparing.validations import document_of
    first, second = (document_of(values, str(path)) for path, values in (old, new))
    return first, second


def _matching(documents: "tuple[Document, Document]", pattern: str | None) -> "tuple[Document, Document]":
    if pattern is None:
        return documents
    chosen = [
        {name: entry for name, entry in document.figures.items() if fnmatchcase(name, pattern)}
        for document in documents
    ]
    if not any(chosen):
        known = some_of(documents[0].figures, 8)
        raise UsageError(f"--cell {pattern}: no name matches; there are {known or 'none'}")
    old, new = (replace(document, figures=figures) for document, figures in zip(documents, chosen, strict=True))
    return old, new


def _changes(old: "Document", new: "Document") -> "Iterator[Change]":
    """What makes them not comparable first."""
    from profiler.comparison.changes import environment_changes, mapping_changes

    settled = mapping_changes("", {"graph": old.subject, **old.settled}, {"graph": new.subject, **new.settled})
    found = [
        *(replace(change, refused=True) for change in settled),
        *environment_changes(old.environment, new.environment),
        *mapping_changes("", old.facts, new.facts),
    ]
    yield from sorted(found, key=lambda change: not change.refused)
