"""The cells of a run: every combination asked for, and what each needs besides. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

from profiler.planning.choice import hop_exists
from profiler.planning.settings import ProfileSettings
from profiler.proxies.filters import FilterNeeds, needs_of
from profiler.vocabulary import usual
from profiler.vocabulary.components import PARSING, PROXY_CORE, TLS, filter_component
from profiler.vocabulary.hop import BOTH, MTLS, NONE, PLAIN, WAYPOINT, Hop, is_file, label_of
from profiler.vocabulary.load import Load
from profiler.vocabulary.protocols import GRPC, HTTP1, TCP
from profiler.vocabulary.variant import USUAL, Variant


@dataclass(frozen=True)
class Scene:
    """What cells with the same baseline share, but for the applications' protocol: load and cache temperature."""

    temperature: str
    load: Load


ANCHOR_HOP: Final = Hop(HTTP1, BOTH)
ANCHOR_SCENE: Final = Scene("hot", Load(usual.CONNECTIONS, None, usual.REQUEST_BYTES, usual.RESPONSE_BYTES))
"""The anchor cell: one fixed configuration, measured again and again through every run."""


def anchor_scene(temperature: str, rate_rps: float | None = None) -> Scene:
    """The anchor's scene at a temperature, since a shared machine's cold end drifts on its own, and at a rate."""
    return Scene(temperature, replace(ANCHOR_SCENE.load, rate_rps=rate_rps))


_WITH_ENDS: Final = (Hop(TCP, BOTH), Hop(HTTP1, BOTH))
"""Hops that are measured at both ends of placement too: one that mostly hands over, and one that mostly computes."""

PACED_RPS: Final = 500.0
"""Requests per second where one at a time is asked for and a neighbour, or sleep, needs its time in between."""

COOLING_RPS: Final = (300.0, 80.0, 20.0, 5.0)
"""Rates that show how fast idle sidecars cool while CPUs are awake."""

NATURAL_COOLING_RPS: Final = (PACED_RPS, 80.0, 20.0, 5.0)
"""The same where CPUs sleep."""


@dataclass(frozen=True)
class Cell:
    """One point of the profile. `reference` marks a rung of the ladder that the user did not ask for."""

    hop: Hop
    scene: Scene
    reference: bool = False

    @property
    def id(self) -> str:
        name = f"none-{self.hop.name}" if self.hop.topology == NONE else self.hop.name
        return f"{name}-{self.scene.temperature}-{load_name(self.scene.load)}"

    @property
    def baseline(self) -> tuple[Hop, Scene]:
        """Where the same load meets no sidecar."""
        return self.hop.baseline, self.scene


def load_name(load: Load) -> str:
    """The load as a part of cell ids; what is not as usual comes last."""
    parts = [f"q{load.request_bytes}", f"s{load.response_bytes}", f"c{load.connections}"]
    parts.append("max" if load.rate_rps is None else f"{load.rate_rps:g}rps")
    parts += [f"h{load.headers}x{load.header_bytes}"] if load.headers else []
    parts += [f"m{load.messages}"] if load.messages != 1 else []
    parts += ["new"] if load.new_connections else []
    parts += [f"with.{line.partition(':')[0]}" for line in load.extra_headers]
    return "-".join(parts)


@dataclass(frozen=True)
class Rung:
    """One step of the configuration ladder: what the hop's proxies cost more than those of the rung before.

    `outside` says that all that is more belongs to the component (a filter that waits or writes), not user time only;
    `waits`, that the component asks a server, whose time is kept apart.
    """

    component: str
    hop: Hop
    outside: bool = False
    waits: bool = False


def ladder(hop: Hop) -> tuple[Rung, ...]:
    """The rungs of the configuration ladder up to the hop itself: tcp → its protocol → TLS → each filter."""
    if hop.topology == NONE:
        return ()
    # Below what is varied all variants have the same rungs; another program is varied from the lowest on.
    variant = hop.variant if hop.variant.own_program else USUAL
    plain = replace(hop, tls=PLAIN, filters=(), bootstrap="", variant=variant)
    rungs = [Rung(PROXY_CORE, replace(plain, protocol=TCP))]
    if hop.protocol != TCP or hop.bootstrap:
        rungs.append(Rung(PARSING, replace(plain, bootstrap=hop.bootstrap)))
    if hop.tls != PLAIN:
        rungs.append(Rung(TLS, replace(plain, tls=hop.tls)))
    for count, name in enumerate(hop.filters, 1):
        needs = needs_of(hop.proxy, name)
        component = filter_component(label_of(name))
        upto = replace(plain, tls=hop.tls, filters=hop.filters[:count])
        rungs.append(Rung(component, upto, needs.outside, needs.service is not None and not _asynchronous(needs)))
    return (*rungs[:-1], replace(rungs[-1], hop=hop))


def _asynchronous(needs: FilterNeeds) -> bool:
    return needs.service == "collector"


@dataclass(frozen=True)
class Plan:
    """Everything a run, or a block of one, measures: its cells, in scenes.

    `cooled` are the hops among them that show how idle sidecars cool.
    """

    cells: tuple[Cell, ...]
    cooled: tuple[Hop, ...] = ()

    @property
    def asked(self) -> list[Cell]:
        """The cells that were asked for, without the rungs that come with them."""
        return [cell for cell in self.cells if not cell.reference]

    @property
    def scenes(self) -> tuple[Scene, ...]:
        return tuple(dict.fromkeys(cell.scene for cell in self.cells))

    @property
    def cooling_points(self) -> tuple[tuple[Hop, Scene], ...]:
        """Where it is measured how sidecars cool: from hot on while CPUs are awake; where they sleep, the anchor alone.

        All at the anchor's load, since what a sidecar loses hardly depends on sizes.
        """
        points = [(hop, anchor_scene("hot", rate)) for hop in self.cooled for rate in (None, *COOLING_RPS)]
        if any(scene.temperature == "natural" for scene in self.scenes):
            points += [(ANCHOR_HOP, anchor_scene("hot"))]
            points += [(ANCHOR_HOP, anchor_scene("natural", rate)) for rate in NATURAL_COOLING_RPS]
        return tuple(dict.fromkeys(points))

    @property
    def hops(self) -> tuple[Hop, ...]:
        """What must be deployed, the baselines and the anchor included."""
        hops = [cell.hop for cell in self.cells]
        return tuple(dict.fromkeys([ANCHOR_HOP.baseline, ANCHOR_HOP, *(hop.baseline for hop in hops), *hops]))

    def cells_of(self, scene: Scene) -> list[Cell]:
        return [cell for cell in self.cells if cell.scene == scene]

    def hops_of(self, scene: Scene) -> list[Hop]:
        """The hops that the scene's load is put on, baselines first."""
        hops = [cell.hop for cell in self.cells_of(scene)]
        return list(dict.fromkeys([*(hop.baseline for hop in hops), *hops]))


def cooled_hops(cells: Sequence[Cell]) -> tuple[Hop, ...]:
    """For each protocol and TLS that has hot and cold cells, the plainest hop with most sidecars.

    Not of variants, which no model is made of.
    """
    temperatures: dict[Hop, set[str]] = {}
    for cell in cells:
        if cell.hop.topology != NONE and not cell.hop.bootstrap and not cell.hop.variant.name:
            temperatures.setdefault(cell.hop, set()).add(cell.scene.temperature)
    found: dict[tuple[str, str], list[Hop]] = {}
    for hop, known in temperatures.items():
        if {"hot", "cold"} <= known:
            found.setdefault((hop.protocol, hop.tls), []).append(hop)
    return tuple(min(hops, key=lambda hop: (len(hop.filters), -len(hop.sidecar_places))) for hops in found.values())


def with_rungs(cells: Sequence[Cell], cooled: Sequence[Hop] = ()) -> Plan:
    """The cells, and the rungs of their ladders that are not among them."""
    known = {(cell.hop, cell.scene) for cell in cells}
    rungs = [
        Cell(rung.hop, cell.scene, reference=True)
        for cell in cells
        for rung in ladder(cell.hop)
        if (rung.hop, cell.scene) not in known
    ]
    return Plan((*cells, *dict.fromkeys(rungs)), tuple(cooled))


def make_plan(settings: ProfileSettings) -> Plan:
    """All combinations asked for that exist, the ends of placement, and the rungs that their ladders need besides."""
    cells = _existing_cells(settings, make_loads(settings))
    return with_rungs(cells, cooled_hops(cells))


def make_loads(settings: ProfileSettings) -> list[Load]:
    """All loads of the settings, the base first: the first value of each dimension."""
    return [
        Load(connections, rate_rps, request_bytes, response_bytes, count, size if count else 0, messages, new)
        for new, messages, (count, size), request_bytes, response_bytes, connections, rate_rps in product(
            settings.new_connections,
            settings.messages,
            settings.headers,
            settings.request_bytes,
            settings.response_bytes,
            settings.connections,
            settings.rates_rps,
        )
    ]


def cells_at(settings: ProfileSettings, load: Load) -> list[Cell]:
    """Every cell asked for that has this load, and the ends of placement where it is the base load."""
    return _existing_cells(settings, [load])


def _existing_cells(settings: ProfileSettings, loads: Sequence[Load]) -> list[Cell]:
    cells = [cell for cell in _all_cells(settings, loads) if exists(cell)]
    return list(dict.fromkeys([*cells, *_ends(settings, cells)]))


def _ends(settings: ProfileSettings, cells: Sequence[Cell]) -> list[Cell]:
    """Of the plain hops with both sidecars, hot and at the base load, those placed as the settings' ends say.

    Where hops were chosen and neither of these is among them, it is the lowest rung of the first with both sidecars.
    Variants are compared in one placement.
    """
    if any(variant.name for variant in settings.variants):
        return []
    base = [cell for cell in cells if cell.scene == Scene("hot", make_loads(settings)[0])]
    with_ends = [cell for cell in base if cell.hop in _WITH_ENDS]
    if settings.hops and not with_ends:
        with_ends = [replace(cell, hop=ladder(cell.hop)[0].hop) for cell in base if cell.hop.topology == BOTH][:1]
    return [replace(cell, hop=replace(cell.hop, placement=end)) for cell in with_ends for end in settings.ends]


def _all_cells(settings: ProfileSettings, loads: Sequence[Load]) -> list[Cell]:
    return list(
        dict.fromkeys(
            Cell(hop, Scene(temperature, load_for(hop, load)))
            for load, temperature, hop in product(loads, settings.temperatures, _hops(settings))
            if not settings.hops or any(choice.holds(hop, load) for choice in settings.hops)
        )
    )


def load_for(hop: Hop, load: Load) -> Load:
    """The load as this hop's filters need it, and without what its applications do not have."""
    lines = [line for name in hop.filters for line in needs_of(hop.proxy, name).request_headers]
    messages = load.messages if hop.application == GRPC else 1
    return replace(load, extra_headers=tuple(dict.fromkeys(lines)), messages=messages)


def exists(cell: Cell) -> bool:
    """Whether the combination can be built at all; the settings have checked that every value is in one that can."""
    return hop_exists(cell.hop)


def _hops(settings: ProfileSettings) -> list[Hop]:
    families = [
        Hop(
            protocol,
            topology,
            usual.usual_application(protocol),
            proxy,
            MTLS if topology == WAYPOINT else tls,  # as its tunnels always are
            filters,
            transport,
            workers,
            settings.proxy_config,
            placement,
        )
        for proxy, topology, transport, workers, placement, protocol, tls, filters in product(
            settings.proxies,
            settings.topologies,
            settings.transports,
            settings.workers,
            settings.placements,
            settings.protocols,
            settings.tls,
            settings.filters,
        )
    ]
    hops = [hop for family in families for hop in variants_of(family, settings.variants)]
    # Without sidecars there is nothing that could speak a protocol: one cell, an A/A test of the method itself.
    return list(dict.fromkeys(hop.baseline if hop.topology == NONE else hop for hop in hops))


def variants_of(family: Hop, variants: Sequence[Variant]) -> list[Hop]:
    """The hop in each variant, or as it is where there are none; nothing where one of them cannot be built."""
    found = [
        replace(
            family,
            filters=(*family.filters, *([variant.filter_file] if variant.filter_file else [])),
            bootstrap=variant.bootstrap or family.bootstrap,
            variant=variant.of_hops,
        )
        for variant in variants or (USUAL,)
    ]
    return found if all(map(hop_exists, found)) else []


def blamed(hop: Hop) -> str:
    """The option that a refused configuration came from."""
    if hop.bootstrap:
        return f"--proxy-config {hop.bootstrap}"
    if not hop.filters:
        return hop.variant.program_option
    name = hop.filters[-1]
    return f"--filter-file {name}" if is_file(name) else f"--filter {name}"


def paced(scene: Scene) -> Load:
    """The load of a scene; one request at a time is one every 2 ms unless it is hot.

    As fast as answers come, a neighbour has no time to walk the cache: tried with one sidecar, HTTP/1.1 cost 112 µs so,
    while a service that was asked 200 times a second paid 229. And CPUs of which nothing is asked in between sleep.
    """
    load = scene.load
    at_once = load.serial and load.rate_rps is None and not load.new_connections
    return replace(load, rate_rps=PACED_RPS) if at_once and scene.temperature != "hot" else load
