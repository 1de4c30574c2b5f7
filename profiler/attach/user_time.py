"""User time of a proxy that runs somewhere, split by the names of its functions."""

from importlib import resources
from pathlib import Path
from typing import Final

from profiler.errors import ProfileError, UsageError
from profiler.probes.perf_sampling import SampledTimes
from profiler.proxies.registry import proxies
from profiler.symbols.catalogue import Catalogue, load_catalogue, parse_catalogues
from profiler.symbols.histogram import by_function, user_histogram
from profiler.symbols.programs import Program
from profiler.symbols.split import split_by_symbols
from profiler.symbols.tables import GO, FunctionTables
from profiler.text import error_line
from profiler.vocabulary.cpu_states import USER

USER_UNRESOLVED: Final = "user_unresolved"
"""User time in functions whose names are not known, beside what could be told."""

_MUCH_UNRESOLVED: Final = 0.1
"""More than this without a name is worth a warning."""


def split_user_time(program: Program, sampled: SampledTimes) -> tuple[dict[str, float], str | None]:
    """Parts of user time by component, which add up to 1, and a warning where it could not be split."""
    tables = FunctionTables(program.root)
    catalogue, doubt = _catalogue(program, tables)
    if catalogue is None or not sampled.user_samples:
        return {USER: 1.0}, doubt
    functions = by_function(sampled.user, tables)
    split = split_by_symbols(user_histogram(functions, sampled.user_samples, 1.0), catalogue)
    if not split.useful:
        return {USER: 1.0}, (
            f"user time is not split: {split.unresolved_share:.0%} of it is in functions without names "
            f"({program.path} is stripped); run a build with symbols, or put its debug file below /usr/lib/debug"
        )
    if split.unresolved_share > _MUCH_UNRESOLVED:
        part = f"{split.unresolved_share:.0%} of user time is in functions without names ({USER_UNRESOLVED})"
        doubt = f"{doubt}; {part}" if doubt else part
    unresolved = {USER_UNRESOLVED: split.unresolved_ns} if split.unresolved_ns else {}
    return {**split.cpu_ns, **unresolved}, doubt


def _catalogue(program: Program, tables: FunctionTables) -> tuple[Catalogue | None, str | None]:
    """The catalogue of the program's functions, and what is to be said about it.

    That of the language where the proxy is not known, and for every Go program: what is called nginx-ingress is none.
    """
    name, path = program.proxy, program.path
    try:
        language = tables.of_file(str(path)).language
    except (OSError, ValueError) as error:
        if name is None:
            return None, f"user time is not split: {path}: {error_line(error)}"
        language = None
    if language and (name is None or language == GO):
        return _newest(language, path)
    if name is None:
        known = ", ".join(proxies())
        return None, f"user time is not split: {path} is no proxy that MeshInsight knows ({known}), nor of Go or Rust"
    try:
        if program.version:
            return load_catalogue(name, program.version), None
    except UsageError:
        pass
    newest, doubt = _newest(name, path)
    if newest is None:
        return None, doubt
    return newest, f"the version of {path} is not known; its functions are taken for those of {name} {newest.versions}"


def _newest(name: str, path: Path) -> tuple[Catalogue | None, str | None]:
    try:
        file = resources.files("profiler.proxies").joinpath(f"{name}.symbols.yaml")
        return parse_catalogues(file.read_text(encoding="utf-8"), file.name)[0], None
    except (OSError, ProfileError) as error:
        return None, f"user time of {path} is not split: {error}"
