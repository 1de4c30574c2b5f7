"""Inputs whose work once grew with the square of their size: counted in steps of the interpreter, not in seconds."""

import json
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from predictor.importers.streams import Source
from predictor.importers.traces.calls.cycles import names_without_cycles
from predictor.importers.traces.formats.json_elements import ElementReader
from predictor.importers.traces.hops.halves import Half, parents_of, timed
from predictor.importers.traces.spans.spans import CLIENT, SERVER
from tests.predictor.importers.recorded import imported, span, written


def steps(work: Callable[[], object]) -> int:
    """How many lines of Python the work runs."""
    count = 0

    def trace(_frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def grows(work: Callable[[int], object], size: int) -> float:
    """By which factor the work grows when its size is four times as large."""
    return steps(lambda: work(4 * size)) / steps(lambda: work(size))


def test_spans_that_share_one_id() -> None:
    def work(count: int) -> None:
        spans = [Half(row, "1", "1", f"s{row}", SERVER if row % 2 else CLIENT, row, 1) for row in range(count)]
        parents_of(spans)

    assert grows(work, 500) < 5


def test_a_chain_of_spans_without_times() -> None:
    def work(count: int) -> None:
        spans = [Half(row, str(row), str(row - 1), "s", SERVER, None, None) for row in range(count - 1)]
        spans.append(Half(count - 1, str(count - 1), str(count - 2), "s", SERVER, 5, 7))
        assert len(timed(spans, [row - 1 for row in range(count)])[0]) == count

    assert grows(work, 500) < 5


def test_a_chain_of_services_before_a_cycle() -> None:
    def work(count: int) -> None:
        names = {number: f"s{number}" for number in range(count)}
        edges = [((number, number), (number + 1, number + 1), True) for number in range(count - 1)]
        names_without_cycles([(number, number) for number in range(count)], edges, names)

    assert grows(work, 500) < 5


class _Counted(BytesIO):
    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.asked = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.asked += len(data)
        return data


def test_small_elements_after_a_huge_one(monkeypatch: Any) -> None:
    """Every byte is decoded and moved a bounded number of times."""
    decoded = 0

    class Decoder(json.JSONDecoder):
        def raw_decode(self, text: str, place: int = 0) -> tuple[Any, int]:
            nonlocal decoded
            decoded += len(text)
            return super().raw_decode(text, place)

    monkeypatch.setattr(json, "JSONDecoder", Decoder)
    huge = {"b": "x" * 6_000_000}
    text = json.dumps([huge, *[{"b": "y" * 90}] * 2_000]).encode()
    reader = ElementReader(Source(_Counted(text), "x"), dict[str, Any], "data")
    assert sum(len(elements) for elements in reader) == 2_001
    assert decoded < 10 * len(text)


def test_internal_spans_nested_thousands_deep(tmp_path: Path) -> None:
    spans = [span("0", "front", "server", 0, 100_000)]
    spans += [span(str(n), "front", "internal", n, 100_000 - 2 * n, str(n - 1)) for n in range(1, 4_000)]
    spans += [span(f"c{n}", "front", "client", n, 1, str(n)) for n in range(1, 4_000)]
    gathers = steps(lambda: imported(written(tmp_path, {"data": [{"traceID": "t", "spans": spans}]})))
    assert gathers < 100 * len(spans)


def test_zipkin_spans_of_one_id_are_read(tmp_path: Path) -> None:
    from predictor.importers.traces.formats.zipkin import read_zipkin
    from predictor.importers.traces.reading import TraceOptions, import_traces
    from predictor.importers.traces.spans.spans import Vocabulary

    kinds = ("CLIENT", "SERVER")
    spans = [{"traceId": "1", "id": "1", "timestamp": 1 + number, "duration": 5, "kind": kinds[number % 2],
              "localEndpoint": {"serviceName": f"s{number}"}} for number in range(4_000)]  # fmt: skip
    file, words = tmp_path / "t.json", Vocabulary()
    file.write_text(json.dumps(spans))
    count = steps(lambda: import_traces(read_zipkin([file], words), words, "x", TraceOptions(allow_incomplete=True)))
    assert count < 1_000 * len(spans)
    assert np.isfinite(count)
