"""Mutators by format. Each takes an input and a random generator, and returns the input changed; the same for both."""

import random
from collections.abc import Callable

Mutator = Callable[[bytes, random.Random], bytes]
