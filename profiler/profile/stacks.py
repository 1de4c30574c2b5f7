"""The sampled stacks of a run or of `attach` as a file: JSON, packed with zstd. Its format is in profile-format.md."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from profiler.errors import ProfileError
from profiler.files.zstd import MAGIC, unpacked, zstd
from profiler.profile.types import Closed, Count, Positive, Profile
from profiler.symbols.stacks import SampledStacks, Stack
from profiler.text import error_line, one_line, printable

FORMAT: Final = "meshinsight-stacks"
VERSION: Final = 1
FILES_KEY: Final = "stacks"
"""What the profile's `files` call the file of the first block; those of later ones have a number after it."""

_LARGEST_BYTES: Final = 64 * 2**20
_LEVEL: Final = 10
_AGAIN: Final = "copy it again or measure again"

_Name = Annotated[str, Meta(min_length=1, max_length=20_000)]


class _Stack(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Process, kind and file, and the functions outermost first, as numbers of `names`; then the weight."""

    process: Count
    kind: Count
    file: Count
    frames: Annotated[list[Count], Meta(min_length=1, max_length=1000)]
    weight: Positive


class _Cell(Closed, frozen=True):
    name: _Name
    event: Literal["cpu-clock", "cycles"]
    requests: Positive | None
    stacks: list[_Stack]


class _Document(Closed, frozen=True, kw_only=True):
    format: Literal["meshinsight-stacks"] = FORMAT
    version: Literal[1] = VERSION
    names: list[_Name]
    cells: list[_Cell]


def packed(found: Iterable[SampledStacks]) -> bytes:
    """The content of a file with these stacks."""
    numbers: dict[str, int] = {}

    def number(name: str) -> int:
        return numbers.setdefault(name, len(numbers))

    cells = [
        _Cell(
            cell.name,
            "cycles" if cell.event == "cycles" else "cpu-clock",
            cell.requests,
            [
                _Stack(
                    number(one.process), number(one.kind), number(one.file), list(map(number, one.frames)), one.weight
                )
                for one in cell.stacks
            ],
        )
        for cell in found
    ]
    data: bytes = zstd().compress(msgspec.json.encode(_Document(names=list(numbers), cells=cells)), _LEVEL)
    return data


def is_packed(path: Path) -> bool:
    """Whether a file may be one of stacks."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def read_stacks(path: Path) -> list[SampledStacks]:
    """The stacks of a file. Raises ProfileError, one line, where it is missing, damaged or none."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise ProfileError(f"{path}: cannot be read: {error.strerror or error}; {_AGAIN}") from error
    return stacks_of(data, str(path))


def stacks_of(data: bytes, origin: str) -> list[SampledStacks]:
    """The stacks of a file's content. Raises ProfileError, which names `origin`."""
    try:
        document = msgspec.json.decode(unpacked(data, _LARGEST_BYTES), type=_Document)
        names = list(map(printable, document.names))
        return [_stacks(cell, names) for cell in document.cells]
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ProfileError(
            f"{origin}: no file of stacks that this meshinsight reads: {error_line(error)}; {_AGAIN}"
        ) from error


def _stacks(cell: _Cell, names: Sequence[str]) -> SampledStacks:
    def name(number: int) -> str:
        if number >= len(names):
            raise ValueError(f"name {number} is not among the {len(names)} names")
        return names[number]

    stacks = tuple(
        Stack(name(one.process), name(one.kind), name(one.file), tuple(map(name, one.frames)), one.weight)
        for one in cell.stacks
    )
    return SampledStacks(one_line(cell.name), cell.event, stacks, cell.requests)


def profile_stacks(profile: Profile, path: Path) -> list[SampledStacks]:
    """The stacks of a run, whose profile was read from `path`: its directory or profile.json.

    Raises:
        ProfileError: the profile has none, or its file is not there.
    """
    files = block_files(profile, path, FILES_KEY)
    if not files:
        raise ProfileError(
            f"{path}: has no stacks: it was measured without perf, or by a version that kept none; measure again with "
            "`meshinsight profile`"
        )
    found: dict[str, SampledStacks] = {}
    for file in files:
        for cell in read_stacks(file):
            found.setdefault(cell.name, cell)
    return list(found.values())


def block_files(profile: Profile, path: Path, key: str) -> list[Path]:
    """The files of all blocks of a run that `files` of its profile name by `key`.

    Raises:
        ProfileError: one is not next to the profile.
    """
    folder = path if path.is_dir() else path.parent
    names = [name for known, name in profile.files.items() if known == key or _is_later_block(known, key)]
    for name in names:
        if Path(name).name != name or not (folder / name).is_file():
            raise ProfileError(
                f"{path}: {one_line(name)} is not next to it; give the directory of the run with all its files"
            )
    return [folder / name for name in names]


def _is_later_block(known: str, key: str) -> bool:
    return known.startswith(f"{key}_") and known.removeprefix(f"{key}_").isdecimal()
