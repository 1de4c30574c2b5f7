"""Istio's metrics summed up by edge, with what could not be used counted. Pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from predictor.graph.types import Assumption
from predictor.importers.metrics.labels import UNKNOWN, Party, party
from profiler.errors import UsageError

REQUESTS: Final = "istio_requests_total"
SIZES: Final = ("istio_request_bytes", "istio_response_bytes")
CONNECTIONS: Final = "istio_tcp_connections_opened_total"
TCP_BYTES: Final = ("istio_tcp_received_bytes_total", "istio_tcp_sent_bytes_total")
_COUNTED: Final = frozenset(
    (REQUESTS, CONNECTIONS, *TCP_BYTES, *(f"{name}_{part}" for name in SIZES for part in ("sum", "count")))
)
_WITHOUT_SUFFIX: Final = {name.removesuffix("_total"): name for name in (REQUESTS, CONNECTIONS, *TCP_BYTES)}
_LARGEST: Final = 1e18


class Sample(NamedTuple):
    """One value. `named` is false where a query's answer has no `__name__`, as after `rate(...)`."""

    metric: str
    labels: Mapping[str, str]
    value: float
    named: bool


@dataclass(slots=True)
class MetricEdge:
    """Sums of one edge by what reports them: `totals[reporter][metric]`."""

    totals: dict[str, dict[str, float]] = field(default_factory=dict)
    protocols: dict[str, float] = field(default_factory=dict)
    mutual_tls: float = 0.0
    with_tls_known: float = 0.0

    def get(self, metric: str) -> float:
        """The caller's proxy first: one count per request, whichever sides report."""
        reporters = sorted(self.totals, key=lambda reporter: (reporter != "source", reporter))
        return next((self.totals[each][metric] for each in reporters if self.totals[each].get(metric)), 0.0)

    @property
    def has_tcp(self) -> bool:
        """Whether bytes or connections were counted, of which no request is known."""
        return any(self.get(metric) for metric in (CONNECTIONS, *TCP_BYTES))


@dataclass(slots=True)
class Metrics:
    """All edges of the samples, and how many samples say what."""

    edges: dict[tuple[Party, Party], MetricEdge] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)
    reporters: set[str] = field(default_factory=set)
    _without_source: dict[Party, MetricEdge] = field(default_factory=dict)
    _unnamed: set[frozenset[tuple[str, str]]] = field(default_factory=set)

    def add(self, sample: Sample, origin: str) -> None:
        """Count a sample. Raises `UsageError` where two queries' answers cannot be distinguished."""
        metric = _WITHOUT_SUFFIX.get(sample.metric, sample.metric)
        if metric not in _COUNTED:
            return
        if not 0.0 <= sample.value < _LARGEST:  # nor NaN
            self.seen["not finite"] += 1
            return
        if not sample.named:
            self._note_unnamed(sample, origin)
        source, destination = party(sample.labels, "source"), party(sample.labels, "destination")
        self.seen["samples"] += 1
        self.seen["without source"] += source is None
        self.seen["without destination"] += destination is None
        if destination is None or not sample.value:
            return
        self.reporters.add(reporter := sample.labels.get("reporter", ""))
        if source is None:
            edge = self._without_source.setdefault(destination, MetricEdge())
        else:
            edge = self.edges.setdefault((source, destination), MetricEdge())
        totals = edge.totals.setdefault(reporter, {})
        totals[metric] = totals.get(metric, 0.0) + sample.value
        if metric in (REQUESTS, CONNECTIONS):
            _note_kind(edge, metric, sample)

    def _note_unnamed(self, sample: Sample, origin: str) -> None:
        labels = frozenset(sample.labels.items())
        self.seen["unnamed"] += 1
        if "le" in sample.labels:
            raise UsageError(f"{origin}: histogram buckets without a metric's name; query {REQUESTS}")
        if labels in self._unnamed:
            raise UsageError(
                f"{origin}: several answers without metrics' names, which cannot be distinguished; keep the names, as "
                f"in label_replace(rate({REQUESTS}[5m]), '__name__', '{REQUESTS}', '', '')"
            )
        self._unnamed.add(labels)

    def check(self, origin: str, remedy: str) -> None:
        """Raise `UsageError` unless the samples say who asks whom.

        Where they name one service only and no source, its requests come from outside.
        """
        usable = self.seen["samples"]
        if not usable:
            raise UsageError(f"{origin}: no {REQUESTS} in it; {remedy}")
        if self.seen["without source"] == usable and len(self._without_source) == 1:
            self.edges = {(UNKNOWN, callee): edge for callee, edge in self._without_source.items()}
            self.seen["from outside"], self.seen["without source"] = usable, 0
        for side in ("source", "destination"):
            if self.seen[f"without {side}"] == usable:
                raise UsageError(
                    f"{origin}: no sample has a label that names the {side}, such as {side}_workload; "
                    "query sum by (reporter, source_workload, source_workload_namespace, destination_workload, "
                    f"destination_workload_namespace, request_protocol) (rate({REQUESTS}[5m]))"
                )
        if not self.edges:
            raise UsageError(f"{origin}: {REQUESTS} counts no requests; ask for a time when there were some")

    def remarks(self) -> list[Assumption]:
        """What was left out or had to be taken for something, with counts."""
        seen = self.seen
        found = []
        if seen["unnamed"]:
            found.append(
                Assumption("calls.*.calls_per_request", f"{seen['unnamed']} samples have no name; taken for {REQUESTS}")
            )
        if "" in self.reporters:
            why = (
                "samples have no label reporter: where both proxies of a call report, their counts may have been added "
                "up by the query, which doubles the call; ask by (reporter, …)"
            )
            found.append(Assumption("calls.*.calls_per_request", why))
        for side in ("source", "destination"):
            if count := seen[f"without {side}"]:
                found.append(Assumption("calls.*", f"{count} samples without a label for the {side} left out"))
        if seen["from outside"]:
            why = (
                f"{seen['from outside']} samples without a label for the source, of one service; taken for the outside"
            )
            found.append(Assumption("ingress.*", why))
        if seen["not finite"]:
            found.append(Assumption("calls.*", f"{seen['not finite']} samples that are negative or NaN left out"))
        return found


def _note_kind(edge: MetricEdge, metric: str, sample: Sample) -> None:
    protocol = sample.labels.get("request_protocol", "tcp" if metric == CONNECTIONS else "").lower()
    edge.protocols[protocol] = edge.protocols.get(protocol, 0.0) + sample.value
    policy = sample.labels.get("connection_security_policy", "unknown")
    edge.with_tls_known += sample.value if policy != "unknown" else 0.0
    edge.mutual_tls += sample.value if policy == "mutual_tls" else 0.0
