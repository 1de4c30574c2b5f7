"""How warm caches are when a sidecar wakes up: the modes of neighbours, and the temperatures of cells. Pure."""

from typing import Final, Literal

Mode = Literal["awake", "cold-25", "cold-50", "cold-75", "cold"]
COLD_STEPS: Final[tuple[Mode, ...]] = ("cold-25", "cold-50", "cold-75")
"""Between hot and cold: the neighbour walks that percentage of the cache's size."""
MODES: Final[tuple[Mode, ...]] = ("awake", *COLD_STEPS, "cold")

HOT, COLD, NATURAL = "hot", "cold", "natural"
TEMPERATURES: Final = (HOT, *COLD_STEPS, COLD, NATURAL)
APPLICATION_TEMPERATURES: Final = (HOT, COLD, NATURAL)
"""Those of a whole application, which has neighbours on all CPUs."""
IDLE_MODES: Final = ("awake", "natural")
