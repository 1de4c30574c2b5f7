"""User time of a proxy that runs somewhere, split by the names of its functions."""

from importlib import resources
from typing import Final

from profiler.errors import ProfileError, UsageError
from profiler.probes.perf_sampling import SampledTimes
from profiler.proxies.registry import proxies
from profiler.symbols.catalogue import Catalogue, load_catalogue, parse_catalogues
from profiler.symbols.histogram import by_function, user_histogram
from profiler.symbols.programs import Program
from profiler.symbols.split import split_by_symbols
from profiler.symbols.tables import FunctionTables
from profiler.vocabulary.cpu_states import USER

USER_UNRESOLVED: Final = "user_unresolved"
"""User time in functions whose names are not known, beside what could be told."""

_USEFUL_UNRESOLVED: Final = 0.5
"""Names that leave more than this unresolved say too little to be shown: a stripped binary."""


def split_user_time(program: Program, sampled: SampledTimes) -> tuple[dict[str, float], str | None]:
    """Parts of user time by component, which add up to 1, and a warning where it could not be split."""
    catalogue, doubt = _catalogue(program)
    if catalogue is None or not sampled.user_samples:
        return {USER: 1.0}, doubt
    functions = by_function(sampled.user, FunctionTables(program.root))
    split = split_by_symbols(user_histogram(functions, sampled.user_samples, 1.0), catalogue)
    if split.unresolved_share > _USEFUL_UNRESOLVED:
        return {USER: 1.0}, (
            f"user time is not split: {split.unresolved_share:.0%} of it is in functions without names "
            f"({program.path} is stripped); run a build with symbols, or put its debug file below /usr/lib/debug"
        )
    unresolved = {USER_UNRESOLVED: split.unresolved_ns} if split.unresolved_ns else {}
    return {**split.cpu_ns, **unresolved}, doubt


def _catalogue(program: Program) -> tuple[Catalogue | None, str | None]:
    """The catalogue of the program's functions, and what is to be said about it."""
    name, path = program.proxy, program.path
    if name is None:
        known = ", ".join(proxies())
        return None, f"user time is not split: {path} is no proxy that MeshInsight knows ({known})"
    try:
        if program.version:
            return load_catalogue(name, program.version), None
    except UsageError:
        pass
    try:
        file = resources.files("profiler.proxies").joinpath(f"{name}.symbols.yaml")
        newest = parse_catalogues(file.read_text(encoding="utf-8"), file.name)[0]
    except (OSError, ProfileError) as error:
        return None, f"user time is not split: {error}"
    return newest, f"the version of {path} is not known; its functions are taken for those of {name} {newest.versions}"
