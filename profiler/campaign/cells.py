"""The cells of a run: every combination asked for, and what each needs besides. Pure."""

from dataclasses import dataclass
from itertools import product
from typing import Final

from profiler.campaign.settings import ProfileSettings
from profiler.testbed.deployment import DIRECT, NONE, Hop
from profiler.workload.base import Load


@dataclass(frozen=True)
class Scene:
    """What cells with the same baseline share: the load and the cache temperature."""

    temperature: str
    load: Load


ANCHOR_HOP: Final = Hop("http1", "both")
ANCHOR_SCENE: Final = Scene("hot", Load(connections=1, rate_rps=None, request_bytes=128, response_bytes=1024))
"""The anchor cell: one fixed configuration, measured again and again through every run."""


def anchor_scene(temperature: str) -> Scene:
    """The anchor's scene at the temperature of the cells beside it: a shared machine's cold end drifts on its own."""
    return Scene(temperature, ANCHOR_SCENE.load)


@dataclass(frozen=True)
class Cell:
    """One point of the profile. `reference` marks a rung of the ladder that the user did not ask for."""

    hop: Hop
    scene: Scene
    reference: bool = False

    @property
    def id(self) -> str:
        load = self.scene.load
        rate = "max" if load.rate_rps is None else f"{load.rate_rps:g}rps"
        sizes = f"q{load.request_bytes}-s{load.response_bytes}"
        return f"{self.hop.protocol}-{self.hop.topology}-{self.scene.temperature}-{sizes}-c{load.connections}-{rate}"


@dataclass(frozen=True)
class Plan:
    """Everything a run measures: its cells, in scenes."""

    cells: tuple[Cell, ...]

    @property
    def scenes(self) -> tuple[Scene, ...]:
        return tuple(dict.fromkeys(cell.scene for cell in self.cells))

    @property
    def hops(self) -> tuple[Hop, ...]:
        """What must be deployed, the baseline and the anchor included."""
        return tuple(dict.fromkeys([DIRECT, ANCHOR_HOP, *(cell.hop for cell in self.cells)]))

    def cells_of(self, scene: Scene) -> list[Cell]:
        return [cell for cell in self.cells if cell.scene == scene]

    def tcp_rung(self, cell: Cell) -> Cell | None:
        """The same cell as a TCP proxy, where user time is to be split by the ladder."""
        if cell.hop.protocol == "tcp" or cell.hop.topology == NONE:
            return None
        rung = Hop("tcp", cell.hop.topology)
        return next(other for other in self.cells_of(cell.scene) if other.hop == rung)


def make_plan(settings: ProfileSettings) -> Plan:
    """All combinations asked for, and the TCP rungs that the ladder needs besides."""
    loads = [
        Load(connections, rate_rps, request_bytes, response_bytes)
        for request_bytes, response_bytes, connections, rate_rps in product(
            settings.request_bytes, settings.response_bytes, settings.connections, settings.rates_rps
        )
    ]
    asked = [
        Cell(hop, Scene(temperature, load))
        for load, temperature, hop in product(loads, settings.temperatures, _hops(settings))
    ]
    known = {(cell.hop, cell.scene) for cell in asked}
    rungs = [
        Cell(Hop("tcp", cell.hop.topology), cell.scene, reference=True)
        for cell in asked
        if cell.hop.topology != NONE and (Hop("tcp", cell.hop.topology), cell.scene) not in known
    ]
    return Plan((*asked, *dict.fromkeys(rungs)))


def _hops(settings: ProfileSettings) -> list[Hop]:
    hops = [Hop(protocol, topology) for topology, protocol in product(settings.topologies, settings.protocols)]
    # Without sidecars there is nothing that could speak a protocol: one cell, an A/A test of the method itself.
    return list(dict.fromkeys(DIRECT if hop.topology == NONE else hop for hop in hops))
