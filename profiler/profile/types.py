"""What a profile is, format version 3, as types: the schema is generated from them, and reading checks against them.

Times are ns, sizes bytes, rates per second; a share is a fraction. None is what is not known. What each field means is
in docs/reference/profile-format.md. A default is what people take for granted of a dimension.
"""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from profiler.vocabulary import usual
from profiler.vocabulary.components import COMPONENTS, DIRECTIONS, PLACES, filter_component
from profiler.vocabulary.hop import BOTH, IP, NONE, PLAIN
from profiler.vocabulary.protocols import HTTP1

FORMAT: Final = "meshinsight-profile"
VERSION: Final = 3
"""The newest format version that this package reads, and the one it writes."""

_LARGEST: Final = 1e18
Signed = Annotated[float, Meta(ge=-_LARGEST, le=_LARGEST)]
Positive = Annotated[float, Meta(ge=0, le=_LARGEST)]
Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0, le=10**18)]
AtLeastOne = Annotated[int, Meta(ge=1, le=10**9)]
Interval = (
    Annotated[
        list[Signed], Meta(min_length=2, max_length=2, description="[low, high]: holds 95 % of other runs' estimates")
    ]
    | None
)
Text = Annotated[str, Meta(min_length=1)]
Word = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9_+.-]{0,63}$")]
CellId = Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_.:+=,@-]{0,199}$")]
RunId = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,63}$")]
UtcTime = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|\+00:00)$")]
Component = Annotated[str, Meta(pattern=f"^({'|'.join(COMPONENTS)}|{filter_component('[A-Za-z0-9_.-]{1,64}')})$")]
Currency = Literal["latency", "cpu"]


class Closed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the document with no keys but its own."""


class Proxy(msgspec.Struct, frozen=True, kw_only=True):
    """A proxy that was measured; `configs` are digests of its configurations by hop.

    `package` is what its program was fetched as: file name and SHA-256 by the index.
    """

    version: str
    build: str | None = None
    binary_sha256: str | None = None
    workers: AtLeastOne | None = None
    package: str | None = None
    tls: dict[str, str] | None = None
    configs: dict[str, str] = {}


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """A server or a load generator."""

    name: str
    version: str | None


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """What one hit of a probe costs, by program or probe."""

    probe_hit_ns: dict[str, Positive | None] = {}
    probe_hits_per_exchange: dict[str, Positive] = {}


class Noise(Closed, frozen=True, kw_only=True):
    """CPU time that the host took, and time in which a task waited for a CPU, as shares."""

    steal_ratio: Share | None
    psi_cpu_some_ratio: Share | None


class RunNoise(Noise, frozen=True, kw_only=True):
    """Noise over the whole run, with the verdict."""

    noisy: bool


class CoolingPoint(Closed, frozen=True, kw_only=True):
    """A plain hop at one rate and temperature; `rate_rps` None is as fast as answers come.

    `cpu_ns` is CPU time of its proxies per request. Errors are standard errors; 0 is not known.
    """

    protocol: Word = HTTP1
    tls: Word = PLAIN
    topology: Word = BOTH
    temperature: Word
    rate_rps: Positive | None
    with_p50_ns: Positive
    baseline_p50_ns: Positive
    overhead_error_ns: Positive = 0.0
    cpu_ns: Positive | None = None
    cpu_error_ns: Positive = 0.0

    @property
    def overhead_ns(self) -> float:
        """What the sidecars added at the median."""
        return self.with_p50_ns - self.baseline_p50_ns


class AnchorRound(Closed, frozen=True, kw_only=True):
    """One round of the anchor cell, `at_s` seconds into the run."""

    at_s: Positive
    with_p50_ns: Positive
    baseline_p50_ns: Positive | None


class Anchor(Closed, frozen=True, kw_only=True):
    """The one cell that is measured again all through the run."""

    protocol: Word
    topology: Word
    temperature: Word
    rounds: list[AnchorRound]
    median_with_p50_ns: Positive | None
    median_by_temperature_ns: dict[str, Positive] = {}
    drift_ratio: Signed | None
    cooling: list[CoolingPoint] = []

    @property
    def machine_error(self) -> float:
        """Standard deviation of the machine's speed over the run, as a fraction.

        The drift is the distance from the 10th to the 90th percentile, which of a normal distribution is 2.56
        deviations.
        """
        return (self.drift_ratio or 0.0) / 2.56


class Probe(Closed, frozen=True, kw_only=True):
    """One probe of one program."""

    program: str
    name: str
    attached: bool
    hits: Count
    dropped: Count
    error: str | None


class Percentiles(Closed, frozen=True, kw_only=True):
    """The latencies of all exchanges of a cell that no probe touched."""

    p50_ns: Positive
    p90_ns: Positive
    p99_ns: Positive
    mean_ns: Positive
    count: Count


class LatencyComponent(Closed, frozen=True, kw_only=True):
    """A component of the overhead of the median exchange; `rounds_ns` is each round on its own.

    `error_ns` is a standard error that the rounds do not show, such as that of a sampled share.
    """

    median_ns: Signed
    mean_ns: Signed
    p99_ns: Signed | None
    ci95_ns: Interval
    samples: Count
    dropped: Count
    lost: Count
    rounds_ns: list[Signed] = []
    error_ns: Positive = 0.0
    source: str


class HandOvers(Closed, frozen=True, kw_only=True):
    """Hand-overs of an exchange from one thread to the next, means per exchange.

    `crossed` of the `count` went to another CPU, and of these `cores` to another core and `caches` to one that shares
    no last-level cache; None where the topology of the CPUs is not known. `rounds_crossed` is each round on its own.
    """

    count: Positive
    crossed: Positive
    cores: Positive | None = None
    caches: Positive | None = None
    rounds_crossed: list[Positive] = []

    @property
    def share(self) -> float:
        """The share that went to another CPU, 0 to 1."""
        return self.crossed / self.count if self.count else 0.0


class Place(Closed, frozen=True, kw_only=True):
    """The components of one process in one direction, at the median.

    `hand_overs` is how many hand-overs to it there were per exchange in that direction, and `crossed` how many of them
    went to another CPU.
    """

    place: Annotated[str, Meta(pattern=f"^({'|'.join(PLACES)})$")]
    direction: Annotated[str, Meta(pattern=f"^({'|'.join(DIRECTIONS)})$")]
    components: dict[Component, Signed]
    hand_overs: Positive = 0.0
    crossed: Positive = 0.0


class Latency(Closed, frozen=True, kw_only=True):
    """Latency of a cell: without sidecars, with them, and the difference by component and in each round.

    `overhead_error_ns` is its standard error where the rounds were not kept. `overhead_p99_ci95_ns` belongs to the
    difference of the 99th percentiles of all exchanges, `overhead_p99_ns`.
    """

    baseline_p50_ns: Positive
    with_p50_ns: Positive
    overhead_p50_ns: Signed
    overhead_ci95_ns: Interval
    overhead_rounds_ns: list[Signed] = []
    overhead_error_ns: Positive = 0.0
    overhead_p99_ci95_ns: Interval = None
    overhead_p99_rounds_ns: list[Signed] = []
    baseline: Percentiles
    with_sidecars: Percentiles = msgspec.field(name="with")
    components: dict[Component, LatencyComponent]
    by_place: list[Place]
    closure_residual: Signed | None
    hand_overs: HandOvers | None = None
    baseline_hand_overs: HandOvers | None = None

    @property
    def overhead_p99_ns(self) -> float:
        """What the sidecars add to the 99th percentile."""
        return self.with_sidecars.p99_ns - self.baseline.p99_ns


class CpuComponent(Closed, frozen=True, kw_only=True):
    """A component of the CPU time per request that sidecars add; rounds and error as of latency."""

    cpu_ns_per_request: Signed
    vcpu_per_1000_rps: Signed
    share: Signed | None
    ci95_ns: Interval
    rounds_ns: list[Signed] = []
    error_ns: Positive = 0.0
    source: str


class UserSplit(Closed, frozen=True, kw_only=True):
    """The proxies' user time by one source of functions."""

    cpu_ns_per_request: dict[Component, Signed]
    unresolved_ns: Signed
    unresolved_share: Share | None
    growth_ns: dict[Component, Signed] = {}


class Cpu(Closed, frozen=True, kw_only=True):
    """CPU time of a cell per request: of the machine without and with sidecars, and the difference by two methods."""

    rate_rps: Positive | None
    achieved_rps: Positive | None = None
    baseline_cpu_ns_per_request: Positive
    with_cpu_ns_per_request: Positive
    components: dict[Component, CpuComponent]
    perf_components: dict[Component, CpuComponent]
    user_split: dict[str, UserSplit] = {}
    disagreement_points: dict[Component, Signed]
    perf_unresolved_share: Share | None
    perf_samples: Count | None
    closure_residual: Signed | None
    overhead_ci95_ns: Interval = None
    overhead_rounds_ns: list[Signed] = []

    @property
    def overhead_ns(self) -> float:
        """CPU per request that the sidecars add: the whole machine with, minus without."""
        return self.with_cpu_ns_per_request - self.baseline_cpu_ns_per_request


class Perturbation(Closed, frozen=True, kw_only=True):
    """Probes on over probes off."""

    latency_ratio: Positive | None
    throughput_ratio: Positive | None
    proxy_cpu_ratio: Positive | None


class Memory(Closed, frozen=True, kw_only=True):
    """Resident memory of a cell's proxies before load, and what each of `connections` through the hop adds."""

    rss_bytes: Positive
    per_connection_bytes: Positive
    connections: Positive | None = None


class Cell(Closed, frozen=True, kw_only=True):
    """One configuration under one load, with and without sidecars.

    `anchor_factor` takes its figures from the speed of the machine around its rounds to that of the whole run, as the
    anchor tells; None where that is not known.
    """

    id: CellId
    protocol: Word
    topology: Word
    temperature: Word
    proxy: str = usual.PROXY
    application: str = ""
    tls: str = PLAIN
    filters: list[str] = []
    transport: str = IP
    workers: AtLeastOne = usual.WORKERS
    placement: str = usual.PLACEMENT
    variant: str = ""
    proxy_config: str | None = None
    reference: bool = False
    request_bytes: Count
    response_bytes: Count
    headers: Count = 0
    header_bytes: Count = 0
    messages: AtLeastOne = 1
    new_connections: bool = False
    extra_headers: list[str] = []
    memory: Memory | None = None
    connections: AtLeastOne
    rate_rps: Positive | None
    achieved_rps: Positive | None
    baseline_achieved_rps: Positive | None
    loop: Literal["closed", "paced", "open"]
    rounds: Count
    anchor_factor: Positive | None = None
    latency: Latency | None
    cpu: Cpu | None
    perturbation: Perturbation
    noise: Noise
    warnings: list[str]
    errors: list[str]

    def __post_init__(self) -> None:
        """Raises ValueError where parts do not fit together."""
        if not self.application:
            msgspec.structs.force_setattr(self, "application", usual.usual_application(self.protocol))
        if self.loop == "open" and self.rate_rps is None:
            raise ValueError("Expected a number in rate_rps, since loop is open")
        if self.latency is None and self.cpu is None and not self.errors:
            raise ValueError("Expected a text in errors, since nothing was measured")

    def part(self, currency: str) -> Latency | Cpu | None:
        """What was measured of a currency: of `latency`, or else of `cpu`."""
        return self.latency if currency == "latency" else self.cpu

    @property
    def proxies(self) -> int:
        """How many proxies the hop has."""
        return 2 if self.topology == BOTH else 0 if self.topology == NONE else 1

    def is_usual(self, dimension: str) -> bool:
        """Whether the cell has of a dimension what people take for granted, so that a label need not name it."""
        if dimension == "application":
            return self.application == usual.usual_application(self.protocol)
        return bool(getattr(self, dimension) == _USUAL[dimension])


_USUAL: Final = {
    entry.name: entry.default_factory() if entry.default is msgspec.NODEFAULT else entry.default
    for entry in msgspec.structs.fields(Cell)
    if not entry.required
}
DIMENSIONS: Final = tuple(
    name for name in _USUAL if name not in ("proxy_config", "reference", "memory", "anchor_factor")
)
"""What a cell may have beyond the dimensions that every cell has, in the order of the document."""


class Coefficient(Closed, frozen=True, kw_only=True):
    """A term that a profile of an earlier version has of its own regression."""

    configuration: Text
    temperature: Word
    currency: Currency
    term: Word
    value: Signed
    low: Signed
    high: Signed
    cells: Count


class ModelError(Closed, frozen=True, kw_only=True):
    """Leave-one-cell-out error of the model fitted to the profile, as fractions.

    `follows` is how far the model takes the cells' figures anchored: 0 as measured, 1 wholly.
    """

    protocol: Word
    currency: Currency
    median: Positive | None
    worst: Positive | None
    tested: Count
    untested: Count
    follows: Share | None = None


class Profile(Closed, frozen=True, kw_only=True):
    """What one run of `meshinsight profile` found."""

    format: Literal["meshinsight-profile"] = FORMAT
    version: Literal[3] = VERSION
    status: Literal["complete", "partial"]
    run_id: RunId
    created: UtcTime
    meshinsight_version: Text
    command: list[str]
    settings: dict[str, Any]
    environment: dict[str, Any]
    proxies: dict[str, Proxy]
    workload: dict[str, Program]
    calibration: Calibration
    noise: RunNoise
    anchor: Anchor | None
    probes: list[Probe]
    cells: list[Cell]
    coefficients: list[Coefficient] = []
    model_error: list[ModelError] = []
    warnings: list[str]
    files: dict[str, Text]
