"""What OTLP says in JSON and in protobuf alike: kinds, times, resources, messages. Pure."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from predictor.importers.traces.spans.assemble import SpanColumns
from predictor.importers.traces.spans.attributes import message_sizes
from predictor.importers.traces.spans.names import NAMESPACE, clean
from predictor.importers.traces.spans.spans import CLIENT, CONSUMER, LONGEST_NS, PRODUCER, SERVER

KINDS: Final[dict[Any, int]] = {
    name: kind
    for number, word, kind in (
        (2, "SERVER", SERVER), (3, "CLIENT", CLIENT), (4, "PRODUCER", PRODUCER), (5, "CONSUMER", CONSUMER),
    )
    for name in (number, str(number), f"SPAN_KIND_{word}", word.lower())
}  # fmt: skip
"""By number, and by name, as some write it in JSON."""
_HOSTS: Final = ("k8s.pod.name", "k8s.pod.uid", "host.name", "service.instance.id", "k8s.pod.ip", "container.id")
_NAMESPACES: Final = ("k8s.namespace.name", "service.namespace")


def add_times(columns: SpanColumns, times: Sequence[tuple[int, int]]) -> None:
    """Add starts and durations; zero stands for a time that was not recorded, where the other one is not near zero."""
    columns.starts += [start if start or end <= LONGEST_NS else None for start, end in times]
    columns.durations += [end - start if end or start <= LONGEST_NS else None for start, end in times]


def process_of(attributes: Iterable[tuple[str, Any]]) -> tuple[str, str]:
    """Service and host of a resource; the service with its Kubernetes namespace where the resource has one."""
    resource = dict(attributes)
    service = clean(str(resource.get("service.name") or "")) or "unnamed"
    namespace = clean(str(next((resource[key] for key in _NAMESPACES if resource.get(key)), "")))
    host = str(next((resource[key] for key in _HOSTS if resource.get(key)), ""))
    return (f"{service}{NAMESPACE}{namespace}" if namespace and service != "unnamed" else service), host


def sizes_of(events: list[dict[str, Any]]) -> Callable[[int], tuple[int, int]]:
    """The sizes that a span's messages say, by its kind."""
    return lambda kind: message_sizes(events, kind)
