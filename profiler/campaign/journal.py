"""Finished blocks of a run on disk: what `--resume` goes on from.

A run that is not finished has a folder `unfinished/` beside its profile: the settings, and a file for each block that
is done. Each file is written whole or not at all; the folder goes when the run is complete.
"""

import json
import shutil
from pathlib import Path
from typing import Any, Final

from profiler.campaign.settings import ProfileSettings
from profiler.errors import UsageError
from profiler.files.writing import write_whole

_FOLDER: Final = "unfinished"
_RUN: Final = "run.json"


class Journal:
    """The finished blocks of the run in `directory`, in the order they were measured."""

    def __init__(self, directory: Path) -> None:
        self._folder = directory / _FOLDER

    def begin(self, settings: ProfileSettings, facts: dict[str, Any]) -> None:
        """Note what the run is to measure and with what, unless it is noted already."""
        if not (self._folder / _RUN).exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            note = {"settings": settings.as_json(), "facts": facts}
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
        try:
            return ProfileSettings.from_json(self._note()["settings"])
        except (LookupError, TypeError, ValueError) as error:  # damaged, or of another version
            message = f"{_FOLDER}/{_RUN} cannot be used: {error!r}; start anew in another directory"
            raise UsageError(f"--resume {self._folder.parent}: {message}") from error

    def facts(self) -> dict[str, Any]:
        """What the run was begun with: version of the proxies and the like."""
        found: dict[str, Any] = self._note()["facts"]
        return found

    def _note(self) -> dict[str, Any]:
        try:
            note: dict[str, Any] = json.loads((self._folder / _RUN).read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise UsageError(
                f"--resume {self._folder.parent}: holds no unfinished run; give the --out directory of one"
            ) from error
        except (OSError, ValueError) as error:
            raise UsageError(f"--resume {self._folder.parent}: {_FOLDER}/{_RUN} cannot be read: {error}") from error
        return note

    def save(self, name: str, result: dict[str, Any]) -> None:
        """Keep the result of a finished block."""
        number = len(self._files())
        write_whole(self._folder / f"{number:03}-{name}.json", json.dumps({"name": name, "result": result}))

    def results(self) -> dict[str, dict[str, Any]]:
        """Results of finished blocks by name, in order. A file that cannot be read counts as not finished."""
        found = {}
        for file in self._files():
            try:
                entry = json.loads(file.read_text(encoding="utf-8"))
                found[entry["name"]] = entry["result"]
            except (OSError, ValueError, LookupError, TypeError):
                continue
        return found

    @property
    def blocks(self) -> int:
        """How many blocks were ever saved here, readable or not."""
        return len(self._files())

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("[0-9]*-*.json"))

    def close(self) -> None:
        """The run is complete: nothing is left to resume."""
        shutil.rmtree(self._folder, ignore_errors=True)
