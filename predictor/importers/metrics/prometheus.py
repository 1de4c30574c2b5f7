"""Mesh metrics as Prometheus has them: a text exposition, or the JSON of an instant query.

Istio counts each request at the caller's proxy (`reporter="source"`) and at the callee's (`"destination"`); an edge is
taken from the source where it reports, else from the destination. Counters are totals since the proxies started:
rates need `rate(...)` in the query, or the time that the counters cover (`--over`).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from predictor.graph.types import CallGraph
from predictor.importers.metrics.edges import REQUESTS, Metrics, Sample
from predictor.importers.metrics.graph import metric_graph
from predictor.importers.streams import input_files, read_text
from profiler.errors import UsageError
from profiler.files.json_text import parse_json
from profiler.text import error_line, one_line

ENDINGS: Final = (".prom", ".txt", ".metrics", ".json")
REMEDY: Final = "give istio_requests_total as Prometheus text, or the JSON of a query for it"


def read_prometheus(inputs: Sequence[Path], rate_rps: float | None = None, over_s: float | None = None) -> CallGraph:
    """The call graph in mesh metrics. Raises `UsageError`, one line with the file.

    `rate_rps` sets the ingress rate; otherwise values are rates already, or totals over `over_s` seconds.
    """
    metrics = Metrics()
    files = input_files(inputs, ENDINGS)
    for path in files:
        text = read_text(path, REMEDY)
        samples = _from_json(text, path) if text.lstrip()[:1] in "{[" else _from_text(text, path)
        for sample in samples:
            metrics.add(sample, str(path))
    origin = str(files[0])
    metrics.check(origin, REMEDY)
    return metric_graph(metrics, origin, rate_rps, over_s)


def _from_text(text: str, path: Path) -> Iterator[Sample]:
    from prometheus_client.parser import text_string_to_metric_families

    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                yield Sample(sample.name, dict(sample.labels), float(sample.value), named=True)
    except (ValueError, KeyError, IndexError, TypeError, OverflowError) as error:
        raise UsageError(f"{path}: not Prometheus text: {error_line(error)}; {REMEDY}") from error


def _from_json(text: str, path: Path) -> Iterator[Sample]:
    """Samples of an API answer: `{"data": {"result": [{"metric": {…}, "value": [time, "1"]}]}}`, or its parts."""
    answer = parse_json(text, str(path), REMEDY)
    answers = answer if isinstance(answer, list) and all(_is_answer(item) for item in answer) else [answer]
    try:
        for document in answers:
            data = document.get("data", document) if isinstance(document, dict) else document
            for result in data.get("result", []) if isinstance(data, dict) else data:
                labels = {str(key): str(value) for key, value in result["metric"].items()}
                value = result["value"] if "value" in result else result["values"][-1]
                name = labels.pop("__name__", "")
                yield Sample(name or REQUESTS, labels, float(value[1]), named=bool(name))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError) as error:
        problem = f"{type(error).__name__}: {one_line(str(error), 100)}"
        raise UsageError(f"{path}: not the answer of a Prometheus query: {problem}; {REMEDY}") from error


def _is_answer(item: Any) -> bool:
    return isinstance(item, dict) and "data" in item
