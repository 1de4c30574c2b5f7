"""Jaeger's JSON, as its query API and its UI give it: `{"data": [trace, …]}`, one trace, an array, or one per line.

And as its storage holds it: one span per line, also as exported from Elasticsearch. Its model in protobuf's JSON, as
Kafka has it, is in `jaeger_model`.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from predictor.importers.streams import Source, input_files, open_source
from predictor.importers.traces.formats.jaeger_model import is_model, model_records
from predictor.importers.traces.formats.json_elements import ElementReader
from predictor.importers.traces.formats.recognise import refuse_links
from predictor.importers.traces.spans.assemble import Record, assemble
from predictor.importers.traces.spans.attributes import CATEGORICAL, SIZES, interpret, message_sizes, sizes
from predictor.importers.traces.spans.meanings import MOST_REMEMBERED, remember
from predictor.importers.traces.spans.names import clean, is_own_address
from predictor.importers.traces.spans.operations import telling
from predictor.importers.traces.spans.spans import LOST_PARENT, NO_PARENT, UNKNOWN, SpanBatch, SpanBuffer, Vocabulary
from profiler.errors import UsageError
from profiler.text import error_line

ENDINGS: Final = (".json", ".jsonl", ".ndjson")
SPANS_PER_BATCH: Final = 32_768
_MOST_REMEMBERED_GROUPS: Final = 500
_HOSTS: Final = ("ip", "hostname", "host.name", "k8s.pod.name", "service.instance.id")
_UNIT_NS: Final = 1000


class _Tag(msgspec.Struct, gc=False):
    key: str
    value: Any = None


class _Reference(msgspec.Struct, gc=False, kw_only=True):
    refType: Literal["CHILD_OF", "FOLLOWS_FROM"] = "CHILD_OF"  # noqa: N815 (Jaeger's names, here and below)
    spanID: str  # noqa: N815


class _Log(msgspec.Struct, gc=False):
    fields: list[_Tag] = []


class _Process(msgspec.Struct, gc=False):
    serviceName: str = ""  # noqa: N815
    tags: list[_Tag] | None = None
    tag: dict[str, Any] | None = None


class _Span(msgspec.Struct, gc=False, kw_only=True):
    """A span; the fields in Jaeger's order, which is quicker."""

    spanID: str  # noqa: N815
    parentSpanID: str | None = None  # noqa: N815
    operationName: str = ""  # noqa: N815
    references: tuple[_Reference, ...] | None = None  # an empty tuple costs nothing, a list does
    startTime: int  # noqa: N815
    duration: int
    tags: msgspec.Raw = msgspec.Raw(b"[]")
    logs: tuple[_Log, ...] | None = None
    processID: str = ""  # noqa: N815
    process: msgspec.Raw = msgspec.Raw(b"null")


class _Element(_Span, kw_only=True):
    """What a file has many of: a trace, the answer of a query with traces in it, or a span on its own."""

    spanID: str = ""  # noqa: N815
    startTime: int = 0  # noqa: N815
    duration: int = 0
    spans: list[_Span] | None = None
    processes: msgspec.Raw = msgspec.Raw(b"null")
    traceID: str = ""  # noqa: N815
    data: list["_Element"] | None = None
    tag: dict[str, Any] | None = None
    """A span's tags where storage has them as fields."""
    stored: "_Element | None" = msgspec.field(default=None, name="_source")


_LOGS: Final = attrgetter("logs")
_OPERATION: Final = attrgetter("operationName")
_PROCESS: Final = msgspec.json.Decoder(_Process | None)
_PROCESSES: Final = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)
_TAGS: Final = msgspec.json.Decoder(list[_Tag] | None)


def read_jaeger(inputs: Sequence[Path], words: Vocabulary) -> Iterator[SpanBatch]:
    """The traces of all inputs in batches. Raises `UsageError`, one line with file and place."""
    gatherer = _Gatherer(words)
    for path in input_files(inputs, ENDINGS):
        with open_source(path) as source:
            refuse_links(source)
            if is_model(source):
                yield from assemble(model_records(source), words, source.name)
                continue
            gatherer.begin(source.name)
            yield from _batches(source, words, gatherer)
    yield gatherer.take()


def _batches(source: Source, words: Vocabulary, gatherer: "_Gatherer") -> Iterator[SpanBatch]:
    groups = iter(ElementReader(source, _Element, "data", "spans"))
    for elements in groups:
        if elements and (elements[0].spanID or elements[0].stored):
            stored = (element.stored or element for group in chain((elements,), groups) for element in group)
            yield from assemble(map(gatherer.record, stored), words, source.name, _UNIT_NS)
            return
        yield from gatherer.add(_whole(elements, source.name))
        if len(gatherer.buffer.starts) >= SPANS_PER_BATCH:
            yield gatherer.take()


def _whole(elements: list[_Element], origin: str) -> list[_Element]:
    """The traces in elements, those in answers of queries too. Raises `UsageError` for what is neither."""
    traces: list[_Element] = []
    for element in elements:
        traces += element.data or (element,)
    for trace in traces:
        if trace.spans is None and trace.data is None:
            raise UsageError(f"{origin}: an element has no 'spans'; give Jaeger JSON")
    return traces


class _Gatherer:
    """Puts traces into a buffer; remembers what tags and processes mean, since most are like earlier ones."""

    def __init__(self, words: Vocabulary) -> None:
        self._words = words
        self._origin = self._first = ""
        self._meanings: dict[bytes, int] = {}
        self._facts: dict[tuple[Any, ...], int] = {}
        self._plain: set[str] = set()
        """Operations that say nothing more."""
        self._labelled: dict[tuple[bytes, str], int] = {}
        self._sized: dict[bytes, tuple[int, int]] = {}
        self._processes: dict[bytes, int] = {}
        self._groups: dict[bytes, dict[str, int]] = {}
        self.buffer = SpanBuffer()

    def begin(self, origin: str) -> None:
        """What comes now is from another file."""
        self._origin = origin
        self._first = self._first or origin

    def take(self) -> SpanBatch:
        """What has been gathered, times now in ns. Small files share a batch."""
        buffer, self.buffer = self.buffer, SpanBuffer()
        first, self._first = self._first, self._origin
        return buffer.batch(first if first == self._origin else f"{first} to {self._origin}", _UNIT_NS)

    def add(self, traces: Sequence[_Element]) -> Iterator[SpanBatch]:
        """Add traces; those whose spans share ids come out at once. Raises `UsageError` for damaged tags."""
        spans = [span for trace in traces for span in trace.spans or ()]
        base = len(self.buffer.starts)
        rows = dict(zip([span.spanID for span in spans], range(base, base + len(spans)), strict=True))
        if len(rows) == len(spans):
            self._add_all(traces, spans, rows)
        elif len(traces) > 1:
            for trace in traces:
                yield from self.add((trace,))
        else:
            processes = self._processes_of(traces[0])
            records = (self._record(traces[0], span, processes) for span in spans)
            yield from assemble(records, self._words, self._origin, _UNIT_NS)

    def record(self, span: _Element) -> Record:
        """A span on its own, as storage holds it. Raises `UsageError` where it is none or its tags are damaged."""
        if not span.spanID:
            raise UsageError(f"{self._origin}: an element has no 'spanID', unlike those before it; give Jaeger JSON")
        return self._record(span, span, {})

    def _record(self, trace: _Element, span: _Span, processes: dict[str, int]) -> Record:
        process = processes[span.processID] if span.processID in processes else self._process_of(span)
        service, host = self._words.processes.values[process]
        pairs = [(tag.key, tag.value) for tag in self._tags(span)]
        if isinstance(span, _Element):
            pairs += [(key.replace("@", "."), value) for key, value in (span.tag or {}).items()]
        label = telling(span.operationName)
        facts = interpret((pair for pair in pairs if pair[0] in CATEGORICAL), operation=label)
        stated = sizes(pair for pair in pairs if pair[0] in SIZES)
        causes = [each for each in span.references or () if each.refType == "CHILD_OF"]
        references = causes or span.references or ()
        parent = references[0].spanID if references else (span.parentSpanID or "")
        return Record(
            trace=trace.traceID,
            span=span.spanID,
            parent=parent if parent.strip("0") else "",
            service=service,
            host=host,
            facts=facts,
            operation=span.operationName,
            start_ns=span.startTime,
            duration_ns=span.duration,
            sizes=_with_messages(span, stated, facts.kind),
            follows=bool(references) and not causes,
        )

    def _tags(self, span: _Span) -> list[_Tag]:
        tags: list[_Tag] = self._decoded(_TAGS, bytes(span.tags), f"span {clean(span.spanID)!r}") or []
        return tags

    def _decoded(self, decoder: "msgspec.json.Decoder[Any]", raw: bytes, place: str) -> Any:
        try:
            return decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UsageError(f"{self._origin}: {place}: {error_line(error)}; correct it or remove it") from error

    def _add_all(self, traces: Sequence[_Element], spans: list[_Span], rows: dict[str, int]) -> None:
        """Add traces whose spans all have their own ids. A parent in another trace is none: the batch sees to that."""
        buffer = self.buffer
        base = len(buffer.starts)
        buffer.lengths += [len(trace.spans or ()) for trace in traces]
        buffer.starts += [span.startTime for span in spans]
        buffer.durations += [span.duration for span in spans]
        codes: list[int] = []
        for trace in traces:
            process = self._processes_of(trace).get
            codes += [process(span.processID, UNKNOWN) for span in trace.spans or ()]
        if UNKNOWN in codes:
            self._add_processes(spans, codes)
        buffer.processes += codes
        self._add_parents(spans, rows, base)
        self._add_meanings(spans, base)

    def _processes_of(self, trace: _Element) -> dict[str, int]:
        """The processes of a trace by their ids."""
        raw = bytes(trace.processes)
        known = self._groups.get(raw)
        if known is None:
            place = f"trace {clean(trace.traceID)!r}: processes"
            processes = self._decoded(_PROCESSES, raw, place) or {}
            known = {key: self._process(bytes(process), place) for key, process in processes.items()}
            remember(self._groups, raw, known, _MOST_REMEMBERED_GROUPS)
        return known

    def _process_of(self, span: _Span) -> int:
        """The process that a span brings itself, or the one of no name."""
        return self._process(bytes(span.process), f"span {clean(span.spanID)!r}: process")

    def _process(self, raw: bytes, place: str) -> int:
        code = self._processes.get(raw)
        if code is None:
            process = self._decoded(_PROCESS, raw, place) or _Process()
            tags = {tag.key: str(tag.value) for tag in process.tags or ()}
            tags |= {key.replace("@", "."): str(value) for key, value in (process.tag or {}).items()}
            host = next((tags[key] for key in _HOSTS if key in tags and not is_own_address(tags[key])), "")
            code = self._words.processes.code((clean(process.serviceName) or "unnamed", host))
            remember(self._processes, raw, code)
        return code

    def _add_processes(self, spans: list[_Span], codes: list[int]) -> None:
        """Processes of spans that bring their own, or have none."""
        for place, code in enumerate(codes):
            if code == UNKNOWN:
                codes[place] = self._process_of(spans[place])

    def _add_parents(self, spans: list[_Span], rows: dict[str, int], base: int) -> None:
        """The one parent of nearly every span at once, then the others."""
        row_of = rows.get
        parents = [
            row_of(references[0].spanID, LOST_PARENT)
            if (references := span.references) and len(references) == 1 and references[0].refType == "CHILD_OF"
            else NO_PARENT
            for span in spans
        ]
        for place, parent in enumerate(parents):
            if parent < 0:
                parents[place] = self._unusual_parent(base + place, spans[place], rows)
        self.buffer.parents += parents

    def _unusual_parent(self, row: int, span: _Span, rows: dict[str, int]) -> int:
        """The parent where there is none, or several, or one that does not wait, or one that is not there."""
        parent = NO_PARENT
        if span.references:
            causes = [each for each in span.references if each.refType == "CHILD_OF"]
            if not causes:
                self.buffer.follows.append(row)
            parent = rows.get((causes or span.references)[0].spanID, LOST_PARENT)
        elif span.parentSpanID and span.parentSpanID.strip("0"):
            parent = rows.get(span.parentSpanID, LOST_PARENT)
        if parent < 0:
            self.buffer.operations[row] = self._words.operations.code(span.operationName)
        return parent

    def _add_meanings(self, spans: list[_Span], base: int) -> None:
        known = self._meanings.get
        meanings = [known(bytes(span.tags), UNKNOWN) for span in spans]
        if UNKNOWN in meanings:
            for place, span in enumerate(spans):
                if meanings[place] == UNKNOWN:
                    meanings[place] = self._new_meaning(span)
        if not self._plain.issuperset(map(_OPERATION, spans)):
            self._add_labels(spans, meanings)
        self.buffer.facts += meanings
        if self._sized or any(map(_LOGS, spans)):
            self._add_sizes(spans, meanings, base)

    def _add_labels(self, spans: list[_Span], meanings: list[int]) -> None:
        """The meanings of spans whose operation says more than their tags."""
        for place, span in enumerate(spans):
            name = span.operationName
            if name in self._plain:
                continue
            if label := telling(name):
                what = (bytes(span.tags), label)
                code = self._labelled.get(what)
                if code is None:
                    hits = [(tag.key, tag.value) for tag in self._tags(span) if tag.key in CATEGORICAL]
                    code = self._words.facts.code(interpret(hits, operation=label))
                    remember(self._labelled, what, code)
                meanings[place] = code
            else:
                if len(self._plain) >= MOST_REMEMBERED:
                    self._plain.clear()
                self._plain.add(name)

    def _new_meaning(self, span: _Span) -> int:
        """The code of the facts in tags, which is kept unless the tags say sizes, too: these are seldom the same."""
        raw = bytes(span.tags)
        hits: list[tuple[str, Any]] = []
        sized: list[tuple[str, Any]] = []
        for tag in self._tags(span):
            key = tag.key
            if key in CATEGORICAL:
                hits.append((key, tag.value))
            elif key in SIZES:
                sized.append((key, tag.value))
        stated = tuple(hits)
        try:
            code = self._facts.get(stated, UNKNOWN)
        except TypeError:  # a value that is a list or a mapping
            stated, code = (), UNKNOWN
        if code == UNKNOWN:
            code = self._words.facts.code(interpret(hits))
            if stated or not hits:
                remember(self._facts, stated, code)
        if sized:
            self._sized[raw] = sizes(sized)
        else:
            remember(self._meanings, raw, code)
        return code

    def _add_sizes(self, spans: list[_Span], meanings: list[int], base: int) -> None:
        """Sizes from tags just read, or from the messages in a span's log."""
        for row, (span, code) in enumerate(zip(spans, meanings, strict=True), base):
            stated = self._sized.get(bytes(span.tags), (UNKNOWN, UNKNOWN)) if self._sized else (UNKNOWN, UNKNOWN)
            stated = _with_messages(span, stated, self._words.facts.values[code].kind)
            if max(stated) >= 0:
                self.buffer.sizes[row] = stated
        self._sized.clear()


def _with_messages(span: _Span, stated: tuple[int, int], kind: int) -> tuple[int, int]:
    """Sizes from a span's tags, else from the messages in its log."""
    if not span.logs or min(stated) >= 0:
        return stated
    sent = message_sizes(({tag.key: tag.value for tag in log.fields} for log in span.logs), kind)
    return (stated[0] if stated[0] >= 0 else sent[0]), (stated[1] if stated[1] >= 0 else sent[1])
