"""What an entry of the registry is: a way by which data from outside comes in."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from profiler.errors import MeshInsightError
from tests.fuzz.mutators import Mutator

_ALSO_CROSSED: Final = 0.05


@dataclass(frozen=True)
class Parser:
    """A parser of outside data.

    Attributes:
        name: by which it is called on the command line of the fuzzer.
        seeds: makes the inputs that mutants are made of.
        mutate: changes one of them.
        read: takes an input and an empty folder. What it raises beyond `raises` is a fault.
        raises: the errors that an input may lead to.
    """

    name: str
    seeds: Callable[[], Sequence[bytes]]
    mutate: Mutator
    read: Callable[[bytes, Path], object]
    raises: tuple[type[Exception], ...] = (MeshInsightError,)

    def mutant(self, seeds: Sequence[bytes], seed: int, number: int) -> bytes:
        """The mutant of that number: the same for the same seed, whatever came before it."""
        rng = random.Random(f"{seed}:{self.name}:{number}")  # noqa: S311 - repeatable, not secret
        chosen = rng.choice(seeds)
        if rng.random() < _ALSO_CROSSED:
            other = rng.choice(seeds)
            chosen = chosen[: rng.randrange(len(chosen) + 1)] + other[rng.randrange(len(other) + 1) :]
        return self.mutate(chosen, rng)
