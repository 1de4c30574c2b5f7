"""Jaeger's JSON, as its query API and its UI give it: `{"data": [trace, …]}`, one trace, an array, or one per line."""

from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from predictor.importers.attributes import CATEGORICAL, SIZES, clean, interpret, message_sizes, sizes
from predictor.importers.json_elements import ElementReader, short
from predictor.importers.spans import LOST_PARENT, NO_PARENT, UNKNOWN, SpanBatch, SpanBuffer, Vocabulary
from predictor.importers.streams import Source, input_files, open_source
from profiler.errors import UsageError

ENDINGS: Final = (".json", ".jsonl", ".ndjson")
SPANS_PER_BATCH: Final = 32_768
_MOST_REMEMBERED: Final = 20_000
_HOSTS: Final = ("ip", "hostname", "host.name", "k8s.pod.name", "service.instance.id")


_OTHERS: Final = "give Jaeger JSON (for other formats: from-otlp, from-zipkin)"


class _Tag(msgspec.Struct, gc=False):
    key: str
    value: Any = None


class _Reference(msgspec.Struct, gc=False):
    spanID: str  # noqa: N815 (Jaeger's name)
    refType: Literal["CHILD_OF", "FOLLOWS_FROM"] = "CHILD_OF"  # noqa: N815


class _Log(msgspec.Struct, gc=False):
    fields: list[_Tag] = []


class _Process(msgspec.Struct, gc=False):
    serviceName: str = ""  # noqa: N815
    tags: list[_Tag] | None = None


class _Span(msgspec.Struct, gc=False):
    spanID: str  # noqa: N815
    startTime: int  # noqa: N815
    duration: int
    processID: str = ""  # noqa: N815
    operationName: str = ""  # noqa: N815
    parentSpanID: str | None = None  # noqa: N815
    references: tuple[_Reference, ...] | None = None  # an empty tuple costs nothing, a list does
    tags: msgspec.Raw = msgspec.Raw(b"[]")
    logs: tuple[_Log, ...] | None = None
    process: msgspec.Raw = msgspec.Raw(b"null")


class _Trace(msgspec.Struct, gc=False):
    """A trace, or the answer of a query that has traces in it."""

    spans: list[_Span] | None = None
    processes: dict[str, msgspec.Raw] | None = None
    traceID: str = ""  # noqa: N815
    data: list["_Trace"] | None = None


_PROCESS: Final = msgspec.json.Decoder(_Process | None)
_TAGS: Final = msgspec.json.Decoder(list[_Tag] | None)


def read_jaeger(inputs: Sequence[Path], words: Vocabulary) -> Iterator[SpanBatch]:
    """The traces of all inputs in batches. Raises `UsageError`, one line with file and place."""
    for path in input_files(inputs, ENDINGS):
        with open_source(path) as source:
            yield from _batches(source, words)


def _batches(source: Source, words: Vocabulary) -> Iterator[SpanBatch]:
    gatherer = _Gatherer(words)
    for elements in ElementReader(source, _Trace, "data", "spans"):
        for element in elements:
            if element.spans is None and element.data is None:
                raise UsageError(f"{source.name}: an element has no 'spans'; {_OTHERS}")
            for trace in element.data or (element,):
                _add(gatherer, trace, source)
        if len(gatherer.buffer.starts) >= SPANS_PER_BATCH:
            yield gatherer.take(source.name)
    yield gatherer.take(source.name)


def _add(gatherer: "_Gatherer", trace: _Trace, source: Source) -> None:
    try:
        gatherer.add(trace)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        place = f"trace {clean(trace.traceID)!r}"
        raise UsageError(f"{source.name}: {place}: {short(error)}; fetch it again or remove it") from error


class _Gatherer:
    """Puts traces into a buffer; remembers what tags and processes mean, since most are like earlier ones."""

    def __init__(self, words: Vocabulary) -> None:
        self._words = words
        self._meanings: dict[bytes, int] = {}
        self._facts: dict[tuple[Any, ...], int] = {}
        self._sized: dict[bytes, tuple[int, int]] = {}
        self._processes: dict[bytes, int] = {}
        self.buffer = SpanBuffer()

    def take(self, origin: str) -> SpanBatch:
        """What has been gathered, times now in ns."""
        buffer, self.buffer = self.buffer, SpanBuffer()
        return buffer.batch(origin, unit_ns=1000)

    def add(self, trace: _Trace) -> None:
        """Add one trace; spans that are there twice count once. Raises `msgspec.DecodeError` for damaged tags."""
        spans = trace.spans or []
        buffer = self.buffer
        base = len(buffer.starts)
        rows = dict(zip([span.spanID for span in spans], range(base, base + len(spans)), strict=True))
        if len(rows) < len(spans):
            spans = list({span.spanID: span for span in spans}.values())
            rows = {span.spanID: row for row, span in enumerate(spans, base)}
        processes = {key: self._process(bytes(process)) for key, process in (trace.processes or {}).items()}
        buffer.lengths.append(len(spans))
        buffer.starts += [span.startTime for span in spans]
        buffer.durations += [span.duration for span in spans]
        buffer.processes += [processes.get(span.processID, UNKNOWN) for span in spans]
        if UNKNOWN in buffer.processes[base:]:
            self._add_processes(spans, base)
        self._add_parents(spans, rows, base)
        self._add_meanings(spans, base)

    def _process(self, raw: bytes) -> int:
        code = self._processes.get(raw)
        if code is None:
            process = _PROCESS.decode(raw) or _Process()
            tags = {tag.key: str(tag.value) for tag in process.tags or ()}
            host = next((tags[key] for key in _HOSTS if key in tags), "")
            code = self._words.processes.code((clean(process.serviceName) or "unnamed", host))
            _remember(self._processes, raw, code)
        return code

    def _add_processes(self, spans: list[_Span], base: int) -> None:
        """Processes of spans that bring their own, or have none."""
        for row, span in enumerate(spans, base):
            if self.buffer.processes[row] == UNKNOWN:
                self.buffer.processes[row] = self._process(bytes(span.process))

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
                    meanings[place] = self._new_meaning(bytes(span.tags))
        self.buffer.facts += meanings
        if self._sized or any([span.logs for span in spans]):  # noqa: C419 (a list is faster here)
            self._add_sizes(spans, meanings, base)

    def _new_meaning(self, raw: bytes) -> int:
        """The code of the facts in tags, which is kept unless the tags say sizes, too: these are seldom the same."""
        hits: list[tuple[str, Any]] = []
        sized: list[tuple[str, Any]] = []
        for tag in _TAGS.decode(raw) or ():
            key = tag.key
            if key in CATEGORICAL:
                hits.append((key, tag.value))
            elif key in SIZES:
                sized.append((key, tag.value))
        told = tuple(hits)
        try:
            code = self._facts.get(told, UNKNOWN)
        except TypeError:  # a value that is a list or a mapping
            told, code = (), UNKNOWN
        if code == UNKNOWN:
            code = self._words.facts.code(interpret(hits))
            if told or not hits:
                _remember(self._facts, told, code)
        if sized:
            self._sized[raw] = sizes(sized)
        else:
            _remember(self._meanings, raw, code)
        return code

    def _add_sizes(self, spans: list[_Span], meanings: list[int], base: int) -> None:
        """Sizes from tags just read, or from the messages in a span's log."""
        for row, (span, code) in enumerate(zip(spans, meanings, strict=True), base):
            request, response = self._sized.get(bytes(span.tags), (UNKNOWN, UNKNOWN))
            if span.logs and min(request, response) == UNKNOWN:
                events = [{tag.key: tag.value for tag in log.fields} for log in span.logs]
                sent = message_sizes(events, self._words.facts.values[code].kind)
                request, response = (request if request >= 0 else sent[0]), (response if response >= 0 else sent[1])
            if max(request, response) >= 0:
                self.buffer.sizes[row] = request, response
        self._sized.clear()


def _remember(memory: dict[Any, int], what: Hashable, meaning: int) -> None:
    """Keep a meaning; a memory that is full begins anew."""
    if len(memory) >= _MOST_REMEMBERED:
        memory.clear()
    memory[what] = meaning
