"""The program that a process runs: which proxy it is, of which version, and the files that its functions are in.

The files are read below the root of the process: a sidecar in a container of its own has another program than this
process's image has, maybe at the same path.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from profiler.errors import MissingError, UsageError
from profiler.proxies.registry import proxies
from profiler.symbols.histogram import SampledFunction, UserFunctions
from profiler.symbols.maps import UserAddress
from profiler.symbols.stacks import Stack, user_stacks
from profiler.symbols.tables import FunctionTables
from profiler.vocabulary.components import SIDECARS

_DELETED: Final = " (deleted)"


@dataclass(frozen=True)
class Program:
    """The program of a process, and the file systems that the process sees.

    `proxy` is None for one that is not known. `version` is empty where only running the program could tell it: programs
    of others are not run.
    """

    path: Path
    proxy: str | None
    version: str
    root: Path


def executable(pid: int, proc: Path = Path("/proc")) -> Path:
    """The program that a process runs, as its own file systems name it; empty if it has ended."""
    try:
        return Path(str((proc / str(pid) / "exe").readlink()).removesuffix(_DELETED))
    except OSError:
        return Path()


@contextmanager
def program_of(pid: int, label: str, proc: Path = Path("/proc")) -> Iterator[Program]:
    """The program of a process. Its file systems stay readable to the end, also if the process ends.

    Raises:
        UsageError: they cannot be looked at; the message begins with `label`.
    """
    path = executable(pid, proc)
    name = next((name for name in proxies() if path.name.startswith(name)), None)
    try:
        root = os.open(proc / str(pid) / "root", os.O_PATH | os.O_DIRECTORY)
    except OSError as error:
        remedy = "run as root" if os.geteuid() != 0 else "the kernel denies it even to root; name another process"
        raise UsageError(f"{label}: its files cannot be looked at: {error.strerror}; {remedy}") from error
    try:
        yield Program(path, name, _installed_version(name, pid, proc) if name else "", Path(f"/proc/self/fd/{root}"))
    finally:
        os.close(root)


def _installed_version(name: str, pid: int, proc: Path) -> str:
    """The version of the proxy that is installed here, if that is what the process runs."""
    with suppress(MissingError, UsageError, OSError):
        if proxies()[name].executable().samefile(proc / str(pid) / "exe"):
            return proxies()[name].identify().version
    return ""


def sampled_functions(
    user: Mapping[tuple[str, UserAddress], float], samples: int, roles: Mapping[int, str], proc: Path = Path("/proc")
) -> UserFunctions:
    """The functions that the places of samples are in, each looked up in the files of its process, which still runs.

    Args:
        user: `SampledTimes.user`.
        samples: how many samples that is, `SampledTimes.user_samples`.
        roles: process id → role. Processes of one role see the same files.
        proc: where the kernel shows its processes.

    Raises:
        UsageError: the files of a process cannot be looked at.
    """
    found: list[SampledFunction] = []
    proxy, version = None, ""
    for role, pid, weights in _by_sidecar(user, roles):
        with program_of(pid, role, proc) as program:
            named = FunctionTables(program.root).functions(weights)
            nameless = FunctionTables(program.root, hide_symbols=True).functions(weights)
        found += [SampledFunction(role, named.get(at), nameless.get(at), weight) for at, weight in weights.items()]
        if proxy is None:
            proxy, version = program.proxy, program.version
    return UserFunctions(found, samples, proxy, version)


def sampled_stacks(
    user: Mapping[tuple[str, UserAddress], float], roles: Mapping[int, str], proc: Path = Path("/proc")
) -> list[Stack]:
    """The stacks of `SampledTimes.user`, with functions looked up as `sampled_functions` does. Raises UsageError."""
    found: list[Stack] = []
    for role, pid, weights in _by_sidecar(user, roles):
        with program_of(pid, role, proc) as program:
            functions = FunctionTables(program.root).functions(weights)
        found += user_stacks({(role, place): weight for place, weight in weights.items()}, functions)
    return found


def _by_sidecar(
    user: Mapping[tuple[str, UserAddress], float], roles: Mapping[int, str]
) -> Iterator[tuple[str, int, dict[UserAddress, float]]]:
    """Each sidecar that was sampled in user mode: its role, a process of it, and the weights of its places."""
    first = {role: pid for pid, role in sorted(roles.items(), reverse=True) if role in SIDECARS}
    for role, pid in sorted(first.items()):
        if weights := {place: weight for (owner, place), weight in user.items() if owner == role}:
            yield role, pid, weights
