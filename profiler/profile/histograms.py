"""The latencies of a run's cells, from the histogram logs next to its profile. Needs the extra `export`."""

import zlib
from binascii import Error as BinasciiError
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from profiler.attribution.statistics import middle
from profiler.errors import ProfileError
from profiler.files.reading import read_text
from profiler.profile.stacks import block_files
from profiler.profile.types import Cell, Profile
from profiler.text import error_line
from profiler.vocabulary.hop import NONE

FILES_KEY: Final = "histograms"
_UNTOUCHED: Final = "probes-off"
_AGAIN: Final = "copy it again or measure again"

_OTHERS: Final = (RuntimeError, ValueError, TypeError, IndexError, OverflowError)
"""What the decoder raises for damaged data besides its own errors."""

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Latencies:
    """Latencies as a histogram: `counts` exchanges took up to `values_ns` each; the values ascend."""

    values_ns: Numbers
    counts: Numbers

    @property
    def count(self) -> int:
        """How many exchanges there are."""
        return int(self.counts.sum())

    def percentile_ns(self, percent: float) -> float:
        """The value that so many percent of the exchanges do not exceed."""
        wanted = max(1.0, np.ceil(self.count * percent / 100))
        return float(self.values_ns[np.searchsorted(np.cumsum(self.counts), wanted)])


def cell_latencies(profile: Profile, path: Path) -> dict[str, Latencies]:
    """By cell, the exchanges with sidecars that the profile's `with` is of, which no probe touched.

    Raises:
        ProfileError: the histograms of the run are not there, or damaged.
    """
    files = block_files(profile, path, FILES_KEY)
    if not files:
        raise ProfileError(f"{path}: has no histograms of latencies next to it; give the directory of a run")
    rounds = [_rounds(file) for file in files]
    found = {}
    for cell in profile.cells:
        choices = [choice for known in rounds if cell.id in known for choice in _choices(cell, known[cell.id])]
        if choices:
            found[cell.id] = min(choices, key=lambda one: abs(one.count - _count(cell)))
    return found


def _count(cell: Cell) -> int:
    return cell.latency.with_sidecars.count if cell.latency else 0


def _choices(cell: Cell, rounds: list[Latencies]) -> list[Latencies]:
    """What the profile's figures may be of: the middle rounds of a block, in earlier versions all of them."""
    own = rounds[::2] if cell.topology == NONE else rounds  # an A/A test: every other round
    own = own[: cell.rounds]
    return [_joined(middle(own, lambda one: one.percentile_ns(50))), _joined(own)]


def _joined(rounds: list[Latencies]) -> Latencies:
    values, places = np.unique(np.concatenate([one.values_ns for one in rounds]), return_inverse=True)
    counts = np.zeros(len(values), np.int64)
    np.add.at(counts, places, np.concatenate([one.counts for one in rounds]))
    return Latencies(values, counts)


def _rounds(file: Path) -> dict[str, list[Latencies]]:
    """By cell, each round in which something was answered."""
    found: dict[str, list[Latencies]] = {}
    for number, line in enumerate(read_text(file, _AGAIN, ProfileError).splitlines(), 1):
        tag, _, rest = line.partition(",")
        cell, _, kind = tag.removeprefix("Tag=").rpartition("/")
        if tag.startswith("Tag=") and kind == _UNTOUCHED:
            found.setdefault(cell, []).append(_decoded(rest.rpartition(",")[2], f"{file}: line {number}"))
    return found


def _decoded(payload: str, origin: str) -> Latencies:
    from hdrh.codec import HdrCookieException, HdrLengthException
    from hdrh.histogram import HdrHistogram

    damaged = (HdrCookieException, HdrLengthException, BinasciiError, zlib.error, *_OTHERS)
    try:
        found = _buckets(HdrHistogram.decode(payload))
    except damaged as error:
        raise ProfileError(f"{origin}: no histogram: {error_line(error)}; {_AGAIN}") from error
    if not found.count:
        raise ProfileError(f"{origin}: an empty histogram; {_AGAIN}")
    return found


def _buckets(histogram: Any) -> Latencies:
    """The highest value and the count of each bucket that holds something: faster than the library's iterator."""
    counts = np.array(histogram.counts[: histogram.counts_len], np.int64)
    places = np.flatnonzero(counts)
    values = [histogram.get_value_from_index(place) for place in places.tolist()]
    return Latencies(
        np.array([histogram.get_highest_equivalent_value(one) for one in values], np.int64), counts[places]
    )
