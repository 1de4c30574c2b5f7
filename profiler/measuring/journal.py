"""Finished blocks of a run on disk: what `--resume` goes on from.

A run that is not finished has a folder `unfinished/` beside its profile: the settings, and a file for each block that
is done. Each file is written whole or not at all; the folder goes when the run is complete.
"""

import contextlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from profiler.errors import UsageError
from profiler.evaluation.block_result import BlockResult
from profiler.files.json_text import parse_json
from profiler.files.reading import read_text
from profiler.files.typed import typed
from profiler.files.writing import write_whole
from profiler.planning.settings import ProfileSettings
from profiler.profile.document import UNFINISHED

_RUN: Final = "run.json"

FORMAT: Final = "meshinsight-unfinished-run"
VERSION: Final = 2
"""The version of the note that this package reads and writes. In version 1 all processes were pinned apart."""

CLUSTER: Final = "cluster"
"""The fact that tells which cluster a run was begun on."""

_REMEDY: Final = "it cannot be continued; start a new run in another directory"


class _Note(msgspec.Struct):
    """What the run is to measure and with what. Notes of the first releases have neither format nor version."""

    settings: dict[str, Any]
    facts: dict[str, Any]
    format: str = FORMAT
    version: int = 1


class _Entry(msgspec.Struct):
    """A finished block."""

    name: str
    result: BlockResult


class Journal:
    """The finished blocks of the run in `directory`, in the order they were measured."""

    def __init__(self, directory: Path) -> None:
        self._folder = directory / UNFINISHED

    def begin(self, settings: ProfileSettings, facts: dict[str, Any]) -> None:
        """Note what the run is to measure and with what, unless it is noted already."""
        if not (self._folder / _RUN).exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            note = {"format": FORMAT, "version": VERSION, "settings": settings.as_json(), "facts": facts}
            write_whole(self._folder / _RUN, json.dumps(note, indent=2))

    @property
    def begun(self) -> bool:
        """Whether a run was begun here and is not complete."""
        return (self._folder / _RUN).exists()

    def settings(self) -> ProfileSettings:
        """The settings of the run that is to be resumed.

        Raises:
            UsageError: there is nothing to resume, or it cannot be read.
        """
        stored = self._note().settings
        try:
            return ProfileSettings.from_json(stored)
        except UsageError as error:
            raise UsageError(f"{self._origin}: {error}; {_REMEDY}") from error

    def facts(self) -> dict[str, Any]:
        """What the run was begun with: version of the proxies and the like."""
        return self._note().facts

    @property
    def on_cluster(self) -> bool:
        """Whether the run was begun on a cluster."""
        return CLUSTER in self.facts()

    def files(self) -> dict[str, str]:
        """All that is kept, by file name: for a run that goes on elsewhere. Raises UsageError."""
        found = [self._folder / _RUN, *self._files()]
        return {file.name: read_text(file, _REMEDY, origin=f"--resume {file}") for file in found}

    def restore(self, files: Mapping[str, str]) -> None:
        """Keep what `files` of another journal returned."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            write_whole(self._folder / Path(name).name, text)

    @property
    def _origin(self) -> str:
        return f"--resume {self._folder.parent}: {UNFINISHED}/{_RUN}"

    def _note(self) -> "_Note":
        file = self._folder / _RUN
        if not file.exists():
            raise UsageError(
                f"--resume {self._folder.parent}: holds no unfinished run; give the --out directory of one"
            )
        document = parse_json(read_text(file, _REMEDY, origin=self._origin), self._origin, _REMEDY)
        note = typed(document, _Note, self._origin, _REMEDY)
        if note.format != FORMAT or note.version != VERSION:
            raise UsageError(f"{self._origin}: was begun by another version of meshinsight; continue it with that one")
        return note

    def save(self, name: str, result: BlockResult) -> None:
        """Keep the result of a finished block."""
        number = len(self._files())
        entry = msgspec.json.encode(_Entry(name, result)).decode()
        write_whole(self._folder / f"{number:03}-{name}.json", entry)

    def results(self) -> dict[str, BlockResult]:
        """Results of finished blocks by name, in order. A file that cannot be read counts as not finished."""
        found = {}
        for file in self._files():
            with contextlib.suppress(UsageError):
                entry = typed(parse_json(read_text(file, ""), ""), _Entry, "", "")
                found[entry.name] = entry.result
        return found

    @property
    def blocks(self) -> int:
        """How many blocks were ever saved here, readable or not."""
        return len(self._files())

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("[0-9]*-*.json"))

    def close(self) -> None:
        """Nothing is left to resume: the run is complete, or nothing of it was measured."""
        shutil.rmtree(self._folder, ignore_errors=True)
