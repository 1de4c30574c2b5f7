"""Which command reads a file, stated by its beginning: for messages about files given to the wrong one."""

import re
from pathlib import Path
from typing import Final

from predictor.importers.streams import Source, open_source
from profiler.errors import UsageError

_HEAD_BYTES: Final = 2**14
_LINK_BYTES: Final = 2**10
_MARKS: Final = (
    ("OTLP traces", "from-otlp", rb'"(resourceSpans|resource_spans|scopeSpans|scope_spans)"'),
    ("Jaeger's traces", "from-jaeger", rb'"(spanID|operationName)"'),
    ("Zipkin's traces", "from-zipkin", rb'"traceId"'),
    ("Prometheus metrics", "from-prometheus", rb'istio_(requests|tcp|request_bytes|response_bytes)|"resultType"'),
    ("a call graph", "check", rb"(?m)^[ {]*\"?format\"?: ?\"?meshinsight-graph"),
    ("a topology of Isotope", "from-isotope", rb"(?ms)^services:.*^[- ]*(script|isEntrypoint|numReplicas):"),
    ("OTLP traces", "from-otlp", rb"(?s)\A.{0,3}\n.{0,200}\n.?service\.name"),
    ("Kubernetes manifests", "from-manifests", rb'(?m)^[ {]*"?apiVersion"?:'),
)


_LINKS: Final = re.compile(rb'\A\W*(?:"data"\s*:\s*)?\[?\s*\{\s*"parent"\s*:\s*"[^"]*"\s*,\s*"child"\s*:\s*"')


def refuse_links(source: Source) -> None:
    """Raise `UsageError` for the dependency links of Jaeger or Zipkin, which are no traces."""
    if _LINKS.match(source.peek(_LINK_BYTES)):
        raise UsageError(
            f"{source.name}: dependency links, which say who calls whom but have no times; "
            "export the traces they were counted from"
        )


def recognise(path: Path) -> tuple[str, str]:
    """What a file seems to be and the subcommand of `graph` for it; two empty texts where that cannot be stated."""
    if not path.is_file():
        return "", ""
    try:
        with open_source(path) as source:
            head = source.peek(_HEAD_BYTES)
    except UsageError:
        return "", ""
    return next(((what, command) for what, command, mark in _MARKS if re.search(mark, head)), ("", ""))
