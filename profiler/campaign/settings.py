"""What a profile run is asked to measure, checked once. Pure."""

from dataclasses import asdict, dataclass
from typing import Any, Final

from profiler.errors import UsageError
from profiler.testbed.deployment import TOPOLOGIES

PROTOCOLS: Final = ("tcp", "http1")
TEMPERATURES: Final = ("hot", "cold")
IDLE_MODES: Final = ("awake", "natural")
LARGEST_MESSAGE_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class ProfileSettings:
    """The dimensions of a run and how long to stay at each point.

    A rate of None is a closed loop as fast as it goes. `duration_s` is the measured time of one round of one cell.
    """

    protocols: tuple[str, ...] = PROTOCOLS
    topologies: tuple[str, ...] = ("client", "server", "both")
    temperatures: tuple[str, ...] = TEMPERATURES
    request_bytes: tuple[int, ...] = (128,)
    response_bytes: tuple[int, ...] = (1024,)
    rates_rps: tuple[float | None, ...] = (None,)
    connections: tuple[int, ...] = (1,)
    duration_s: float = 0.8
    repeats: int = 10
    idle: str = "awake"
    seed: int = 1

    def __post_init__(self) -> None:
        _check_names("protocol", self.protocols, PROTOCOLS)
        _check_names("topology", self.topologies, TOPOLOGIES)
        _check_names("temperature", self.temperatures, TEMPERATURES)
        _check_names("idle", (self.idle,), IDLE_MODES)
        _check_range("request-bytes", self.request_bytes, 0, LARGEST_MESSAGE_BYTES)
        _check_range("response-bytes", self.response_bytes, 0, LARGEST_MESSAGE_BYTES)
        _check_range("connections", self.connections, 1, 1000)
        _check_range("rate", [rate for rate in self.rates_rps if rate is not None], 1, 1_000_000)
        _check_range("duration", (self.duration_s,), 0.2, 600)
        _check_range("repeats", (self.repeats,), 2, 1000)

    def as_json(self) -> dict[str, Any]:
        """The settings as the profile keeps them; a closed loop's rate is "max"."""
        rates = ["max" if rate is None else rate for rate in self.rates_rps]
        return {**asdict(self), "rates_rps": rates}


def _check_names(option: str, given: tuple[str, ...], known: tuple[str, ...]) -> None:
    for name in given:
        if name not in known:
            raise UsageError(f"--{option}: unknown {option} {name!r}; known: {', '.join(known)}")
    _check_any(option, given)


def _check_range(option: str, given: "list[float] | tuple[float, ...]", least: float, most: float) -> None:
    for value in given:
        if not least <= value <= most:
            raise UsageError(f"--{option}: {value:.12g} is outside {least:.12g} to {most:.12g}")
    if option != "rate":
        _check_any(option, given)


def _check_any(option: str, given: "list[float] | tuple[Any, ...]") -> None:
    if not given:
        raise UsageError(f"--{option}: at least one value is needed")
