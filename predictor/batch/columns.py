"""The long form of call graphs, one row per edge (`docs/reference/batch.md`): columns, defaults and bounds. Pure."""

import math
from dataclasses import dataclass
from typing import Final, Literal

import pyarrow as pa

from predictor.graph.types import CLIENT_MODES, ONE_MILLISECOND, PROTOCOLS, REPEATS, SIDECAR_MODES, TLS_MODES

GRAPH: Final = "graph"
CALLER: Final = "caller"
CALLEE: Final = "callee"
FAILURE: Final = "\x00failure"
"""Column of this package's own: why a graph could not be read."""

Holder = Literal["edge", "callee", "graph"]


@dataclass(frozen=True, slots=True)
class Number:
    """A column of numbers: between `least` and `most`, `default` where null. NaN as a default: not known.

    `of` says whose value it is: the edge's, the callee's (its first row counts) or the graph's (its first row).
    """

    name: str
    default: float = math.nan
    least: float = 0.0
    most: float = math.inf
    of: Holder = "edge"


@dataclass(frozen=True, slots=True)
class Choice:
    """A column of words, the first of which is the default."""

    name: str
    words: tuple[str, ...]
    default: str


NUMBERS: Final = (
    Number("rate_rps", most=1e12),
    Number("request_bytes", 1024.0, most=2.0**50),
    Number("response_bytes", 1024.0, most=2.0**50),
    Number("calls_per_request", 1.0),
    Number("stage", 0.0, -(2.0**31), 2.0**31),
    Number("headers"),
    Number("new_connections", most=1.0),
    Number("service_time_ns", ONE_MILLISECOND.mean_ns, most=1e18, of="callee"),
    Number("service_time_cv", 0.0, of="callee"),
    Number("replicas", 1.0, 1.0, 1e9, of="callee"),
    Number("cold_weight", most=1.0, of="callee"),
    Number("cpu_use", most=1.0, of="graph"),
    Number("nodes", least=1.0, most=1e9, of="graph"),
    Number("cpus_per_node", least=1e-3, of="graph"),
)
CHOICES: Final = (
    Choice("protocol", PROTOCOLS, "http1"),
    Choice("tls", TLS_MODES, "none"),
    Choice("repeat", REPEATS, "sequential"),
    Choice("client_sidecar", CLIENT_MODES, "http"),
    Choice("server_sidecar", SIDECAR_MODES, "http"),
    Choice("service_time", ("constant", "exponential", "lognormal", "percentiles"), "constant"),
)
ASYNCHRONOUS: Final = "asynchronous"
FILTERS: Final = "filters"
WORKLOAD: Final = "workload"
PERCENTS: Final = "service_time_percents"
PERCENTILES: Final = "service_time_percentiles_ns"

REQUIRED: Final = (GRAPH, CALLER, CALLEE, "rate_rps")

_TEXT: Final = pa.dictionary(pa.int32(), pa.string())
SCHEMA: Final = pa.schema(
    [
        (GRAPH, pa.string()),
        (CALLER, _TEXT),
        (CALLEE, _TEXT),
        *((item.name, pa.float64()) for item in NUMBERS),
        *((item.name, _TEXT) for item in CHOICES),
        (ASYNCHRONOUS, pa.bool_()),
        (FILTERS, _TEXT),
        (WORKLOAD, _TEXT),
        (PERCENTS, pa.list_(pa.float64())),
        (PERCENTILES, pa.list_(pa.float64())),
    ]
)
"""What `graph_table` gives; files may have other integer, float and text types, and lack what has a default."""

NUMBER_BY_NAME: Final = {item.name: item for item in NUMBERS}
CHOICE_BY_NAME: Final = {item.name: item for item in CHOICES}
TEXTS: Final = (CALLER, CALLEE, WORKLOAD, FILTERS, *(item.name for item in CHOICES))
"""Columns that are read as dictionaries, which costs least."""
