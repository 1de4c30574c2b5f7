"""User time of a proxy that runs somewhere, split by the names of its functions."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from profiler.attach.targets import Target, executable
from profiler.errors import MissingError, ProfileError, UsageError
from profiler.probes.perf_sampling import SampledTimes
from profiler.proxies.registry import proxies
from profiler.symbols.catalogue import Catalogue, load_catalogue, parse_catalogues
from profiler.symbols.histogram import user_histogram
from profiler.symbols.split import split_by_symbols
from profiler.symbols.tables import FunctionTables
from profiler.vocabulary.cpu_states import USER

USER_UNRESOLVED: Final = "user_unresolved"
"""User time in functions whose names are not known, beside what could be told."""

_USEFUL_UNRESOLVED: Final = 0.5
"""Names that leave more than this unresolved say too little to be shown: a stripped binary."""


@dataclass(frozen=True)
class Program:
    """The program of a target: which proxy it is, what its functions mean, and the file systems it sees.

    `proxy` is None for one that is not known; `doubt` says what follows for the split of user time.
    """

    path: Path
    proxy: str | None
    catalogue: Catalogue | None
    root: Path
    doubt: str | None

    def split(self, sampled: SampledTimes) -> tuple[dict[str, float], str | None]:
        """Parts of user time by component, which add up to 1, and a warning where it could not be split."""
        if self.catalogue is None or not sampled.user_samples:
            return {USER: 1.0}, self.doubt
        histogram = user_histogram(sampled.user, sampled.user_samples, 1.0, FunctionTables(root=self.root))
        split = split_by_symbols(histogram, self.catalogue)
        if split.unresolved_share > _USEFUL_UNRESOLVED:
            return {USER: 1.0}, (
                f"user time is not split: {split.unresolved_share:.0%} of it is in functions without names "
                f"({self.path} is stripped); run a build with symbols, or put its debug file below /usr/lib/debug"
            )
        unresolved = {USER_UNRESOLVED: split.unresolved_ns} if split.unresolved_ns else {}
        return {**split.cpu_ns, **unresolved}, self.doubt


@contextmanager
def program_of(target: Target) -> Iterator[Program]:
    """The program of a target's first process. Its file systems stay readable to the end, also if the process ends."""
    pid = target.pids[0]
    path = executable(pid)
    name = next((name for name in proxies() if path.name.startswith(name)), None)
    try:
        root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY)
    except OSError as error:
        remedy = "run as root" if os.geteuid() != 0 else "the kernel denies it even to root; name another process"
        raise UsageError(f"{target.label}: its files cannot be looked at: {error.strerror}; {remedy}") from error
    try:
        catalogue, doubt = _catalogue(name, path, pid)
        yield Program(path, name, catalogue, Path(f"/proc/self/fd/{root}"), doubt)
    finally:
        os.close(root)


def _catalogue(name: str | None, path: Path, pid: int) -> tuple[Catalogue | None, str | None]:
    """The catalogue of the program's functions, and what is to be said about it."""
    if name is None:
        known = ", ".join(proxies())
        return None, f"user time is not split: {path} is no proxy that MeshInsight knows ({known})"
    try:
        # Only the proxy that is installed here is asked for its version: programs of others are not run.
        if proxies()[name].executable().samefile(f"/proc/{pid}/exe"):
            return load_catalogue(name, proxies()[name].identify().version), None
    except (MissingError, UsageError, OSError):
        pass
    try:
        file = resources.files("profiler.proxies").joinpath(f"{name}.symbols.yaml")
        newest = parse_catalogues(file.read_text(encoding="utf-8"), file.name)[0]
    except (OSError, ProfileError) as error:
        return None, f"user time is not split: {error}"
    return newest, f"the version of {path} is not known; its functions are taken for those of {name} {newest.versions}"
