"""Stacks that were sampled: the kernel's functions, or the one function that ran in user mode. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final, NamedTuple

from profiler.symbols.maps import NOWHERE, UserAddress
from profiler.text import one_line, printable
from profiler.vocabulary.cpu_states import USER

if TYPE_CHECKING:  # it needs Linux; stacks are read anywhere
    from profiler.symbols.tables import Function

KERNEL: Final = "[kernel]"
"""The file of the kernel's functions."""
USER_MODE: Final = "[user]"
"""File and function of samples in user mode whose function was not looked up."""
RARE: Final = "[rare stacks]"
"""File and function of the stacks that `heaviest` joins."""
_LONGEST_NAME: Final = 1000
"""Characters of a function's name: those of C++ templates have no bound."""
MOST_STACKS: Final = 4000
"""So many stacks are kept of one cell or one sidecar; the others are joined."""


class Stack(NamedTuple):
    """One stack of a process, functions outermost first, all of one file.

    `kind` is the class of its samples (`profiler.vocabulary.cpu_states.CLASSES`), `weight` is in the event's unit.
    """

    process: str
    kind: str
    file: str
    frames: tuple[str, ...]
    weight: float


@dataclass(frozen=True)
class SampledStacks:
    """The stacks of one cell, or of one sidecar that `attach` observed.

    `event` is what was sampled: weights of `cpu-clock` are nanoseconds, those of `cycles` cycles. `requests` is the
    number of requests answered meanwhile, None where that is not known.
    """

    name: str
    event: str
    stacks: tuple[Stack, ...]
    requests: float | None = None

    def outermost(self, stack: Stack) -> tuple[str, ...]:
        """What comes before the functions of one of its stacks: the name, and the process where that is another."""
        return (self.name,) if stack.process == self.name else (self.name, stack.process)


def user_stacks(
    user: Mapping[tuple[str, UserAddress], float], functions: "Mapping[UserAddress, Function]"
) -> list[Stack]:
    """A stack of one function for each role and function of `SampledTimes.user`, places without a function by file."""
    found: dict[tuple[str, str, str], float] = {}
    for (role, place), weight in user.items():
        key = role, printable(place.dso) or USER_MODE, _name(place, functions.get(place))
        found[key] = found.get(key, 0.0) + weight
    return [Stack(role, USER, file, (name,), weight) for (role, file, name), weight in found.items()]


def _name(place: UserAddress, function: "Function | None") -> str:
    if function is not None and (name := one_line(function.name or "", _LONGEST_NAME)):
        return name
    file = "unknown" if place.dso == NOWHERE else printable(PurePosixPath(place.dso).name).strip("[]")
    return f"[{file}]" if function is None else f"{file}+{function.start:#x}"


def heaviest(stacks: Iterable[Stack], most: int = MOST_STACKS) -> tuple[Stack, ...]:
    """Equal stacks as one, the heaviest first; beyond `most` of them joined by process and kind, as `RARE`."""
    found = _added(stacks)
    rare = _added(stack._replace(file=RARE, frames=(RARE,)) for stack in found[most:])
    return (*found[:most], *rare)


def _added(stacks: Iterable[Stack]) -> list[Stack]:
    weights: dict[Stack, float] = {}
    for stack in stacks:
        key = stack._replace(weight=0.0)
        weights[key] = weights.get(key, 0.0) + stack.weight
    found = [key._replace(weight=weight) for key, weight in weights.items()]
    return sorted(found, key=lambda stack: (-stack.weight, stack))
