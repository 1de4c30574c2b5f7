"""How many spans per second import with critical path reaches, by format, and how much memory it takes.

Traces of 29 spans are written as Jaeger, Zipkin and OTLP, then each file is read by new processes, the formats in turn.
With `--before`, another working copy of this project reads the same files in the same turns.

    python experiments/import_speed/run.py [--traces 10000] [--formats jaeger,zipkin,otlp,otlp-protobuf] [--before DIR]
"""

import argparse
import base64
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

SPANS: Final = 29
SERVICES: Final = 9
REPEATS: Final = 5

Span = dict[str, Any]


def tag(key: str, value: str) -> dict[str, str]:
    """A tag as Jaeger writes it."""
    return {"key": key, "type": "string", "value": value}


def new_span(rng: random.Random, service: int, kind: str, start_us: int, duration_us: int, parent: str) -> Span:
    """One span: random ids and times, the tags that gRPC's instrumentation writes."""
    references = [{"refType": "CHILD_OF", "traceID": "", "spanID": parent}] if parent else []
    return {
        "traceID": "",
        "spanID": f"{rng.getrandbits(64):016x}",
        "operationName": f"/{service}/Do",
        "references": references,
        "startTime": start_us,
        "duration": duration_us,
        "tags": [tag("span.kind", kind), tag("component", "gRPC")],
        "logs": [],
        "processID": f"p{service}",
        "warnings": None,
    }


def new_trace(rng: random.Random, number: int) -> dict[str, Any]:
    """A tree of 14 calls below a root, each with a client and a server span; where they hang is random."""
    name = f"{rng.getrandbits(128):032x}"
    begin = 1_700_000_000_000_000 + number * 1_000
    servers = [(new_span(rng, 0, "server", begin, 100_000, ""), 0)]
    spans = [servers[0][0]]
    while len(spans) < SPANS:
        caller, service = rng.choice(servers[-6:])
        if service + 1 >= SERVICES or caller["duration"] < 1_000:
            caller, service = servers[0]
        start = caller["startTime"] + rng.randrange(10, caller["duration"] // 2)
        length = caller["duration"] // 3
        client = new_span(rng, service, "client", start, length, caller["spanID"])
        server = new_span(rng, service + 1, "server", start + 5, length - 10, client["spanID"])
        spans += [client, server]
        servers.append((server, service + 1))
    for span in spans:
        span["traceID"] = name
        for reference in span["references"]:
            reference["traceID"] = name
    pod = rng.randrange(4)
    tags = {
        number: [tag("hostname", f"pod-{number}-{pod}"), tag("ip", f"10.0.{number}.{pod}")]
        for number in range(SERVICES)
    }
    processes = {f"p{number}": {"serviceName": f"service-{number}", "tags": tags[number]} for number in range(SERVICES)}
    return {"traceID": name, "spans": spans, "processes": processes, "warnings": None}


def texts(count: int, form: str) -> Iterator[bytes]:
    """The pieces of a file of `count` traces; a thousand different ones, over and over, each with its own ids."""
    rng = random.Random(29)  # noqa: S311 (the same traces each time)
    different = [new_trace(rng, number) for number in range(min(count, 1_000))]
    begin, join, end = {"jaeger": (b'{"data":[', b",", b"]}"), "zipkin": (b"[", b",", b"]")}.get(form, (b"", b"", b""))
    write = {"jaeger": as_jaeger, "zipkin": as_zipkin, "otlp": as_otlp, "otlp-protobuf": as_protobuf}[form]
    plain = [write(trace) for trace in different]
    yield begin
    for number in range(count):
        text = plain[number % len(different)]
        if number >= len(different) and form != "jaeger":  # Jaeger's traces may repeat, the others' would be merged
            trace = new_trace(rng, number)
            text = write(trace)
        yield (join if number else b"") + text
    yield end


def as_jaeger(trace: dict[str, Any]) -> bytes:
    """One trace of Jaeger's API."""
    return json.dumps(trace, separators=(",", ":")).encode()


def as_zipkin(trace: dict[str, Any]) -> bytes:
    """The spans of one trace, without brackets."""
    return json.dumps([_zipkin(span, trace) for span in trace["spans"]], separators=(",", ":")).encode()[1:-1]


def _zipkin(span: Span, trace: dict[str, Any]) -> dict[str, Any]:
    tags = {each["key"]: each["value"] for each in span["tags"]}
    process = trace["processes"][span["processID"]]
    parents = [each["spanID"] for each in span["references"]]
    return {
        "traceId": span["traceID"],
        **({"parentId": parents[0]} if parents else {}),
        "id": span["spanID"],
        "kind": tags.pop("span.kind").upper(),
        "name": span["operationName"],
        "timestamp": span["startTime"],
        "duration": span["duration"],
        "localEndpoint": {"serviceName": process["serviceName"], "ipv4": process["tags"][1]["value"]},
        "tags": tags,
    }


def _otlp(trace: dict[str, Any], encode: Callable[[str], str]) -> list[dict[str, Any]]:
    """One trace as the resources of OTLP."""
    resources = []
    for key, process in trace["processes"].items():
        attributes = {"service.name": process["serviceName"], "host.name": process["tags"][0]["value"]}
        spans = [_otlp_span(span, encode) for span in trace["spans"] if span["processID"] == key]
        if spans:
            resources.append({"resource": {"attributes": _pairs(attributes)}, "scopeSpans": [{"spans": spans}]})
    return resources


def _otlp_span(span: Span, encode: Callable[[str], str]) -> dict[str, Any]:
    tags = {each["key"]: each["value"] for each in span["tags"]}
    kind = {"server": 2, "client": 3}[tags.pop("span.kind")]
    parents = [each["spanID"] for each in span["references"]]
    return {
        "traceId": encode(span["traceID"]),
        "spanId": encode(span["spanID"]),
        "parentSpanId": encode(parents[0]) if parents else "",
        "name": span["operationName"],
        "kind": kind,
        "startTimeUnixNano": str(span["startTime"] * 1000),
        "endTimeUnixNano": str((span["startTime"] + span["duration"]) * 1000),
        "attributes": _pairs({**tags, "rpc.system": "grpc"}),
    }


def _pairs(values: dict[str, str]) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"stringValue": value}} for key, value in values.items()]


def as_otlp(trace: dict[str, Any]) -> bytes:
    """One trace as a line of OTLP's JSON."""
    return json.dumps({"resourceSpans": _otlp(trace, str)}, separators=(",", ":")).encode() + b"\n"


def as_protobuf(trace: dict[str, Any]) -> bytes:
    """One trace as protobuf; messages one after another are one message."""
    from google.protobuf.json_format import ParseDict
    from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

    document = {"resourceSpans": _otlp(trace, lambda text: base64.b64encode(bytes.fromhex(text)).decode())}
    return bytes(ParseDict(document, TracesData()).SerializeToString())


def measure(form: str, file: str) -> None:
    """Import a file in this process; print seconds of CPU and of clock, spans, and peak memory, as JSON."""
    from importlib import import_module

    from predictor.importers.traces.reading import TraceOptions, import_traces
    from predictor.importers.traces.spans.spans import Vocabulary

    reader = form.partition("-")[0]
    read = getattr(import_module(f"predictor.importers.{reader}"), f"read_{reader}")
    words = Vocabulary()
    clock, cpu = time.perf_counter(), time.process_time()
    found = import_traces(read([Path(file)], words), words, file, TraceOptions())
    figures = {
        "cpu_s": time.process_time() - cpu,
        "clock_s": time.perf_counter() - clock,
        "spans": found.tally.spans,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(figures))


def run(form: str, file: Path, copy: Path | None) -> dict[str, float]:
    """One import in a new process, by this working copy or another one."""
    environment = {**os.environ, **({"PYTHONPATH": str(copy)} if copy else {})}
    command = [sys.executable, __file__, "--measure", form, str(file)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def main() -> None:
    """Write a file in each format, import each a few times in turn, print a table; the best of the repeats counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traces", default="1000,10000", help="sizes, with commas between")
    parser.add_argument("--formats", default="jaeger,zipkin,otlp,otlp-protobuf")
    parser.add_argument("--before", type=Path, help="another working copy to compare with")
    parser.add_argument("--directory", default=tempfile.gettempdir())
    arguments = parser.parse_args()
    copies = [None, *([arguments.before] if arguments.before else [])]
    print("| format | traces | spans | kB per trace | spans/s (CPU) | spans/s (clock) | peak MiB |", end="")
    print(" before, spans/s (CPU) | ratio |" if arguments.before else "")
    print("|---|---|---|---|---|---|---|" + ("---|---|" if arguments.before else ""))
    for count in map(int, arguments.traces.split(",")):
        with tempfile.TemporaryDirectory(dir=arguments.directory) as directory:
            files = {form: Path(directory, form) for form in arguments.formats.split(",")}
            for form, file in files.items():
                with file.open("wb") as opened:
                    opened.writelines(texts(count, form))
            runs: dict[tuple[str, Path | None], list[dict[str, float]]] = {}
            for _ in range(REPEATS):
                for form, file in files.items():
                    for copy in copies:
                        runs.setdefault((form, copy), []).append(run(form, file, copy))
            for form, file in files.items():
                print(_row(form, count, file, runs, copies))


def _row(
    form: str,
    count: int,
    file: Path,
    runs: dict[tuple[str, Path | None], list[dict[str, float]]],
    copies: Sequence[Path | None],
) -> str:
    speeds = [max(each["spans"] / each["cpu_s"] for each in runs[form, copy]) for copy in copies]
    best = min(runs[form, None], key=lambda each: each["cpu_s"])
    clock = max(each["spans"] / each["clock_s"] for each in runs[form, None])
    cells = [form, str(count), f"{best['spans']:.0f}", f"{file.stat().st_size / count / 1000:.1f}", f"{speeds[0]:,.0f}",
             f"{clock:,.0f}", f"{best['peak_mib']:.0f}"]  # fmt: skip
    if len(speeds) > 1:
        cells += [f"{speeds[1]:,.0f}", f"{speeds[0] / speeds[1]:.2f}"]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2], sys.argv[3])
    else:
        main()
