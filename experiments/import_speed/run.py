"""How many spans per second Jaeger import with critical path reaches, and how much memory it takes.

Traces of 29 spans and about 13 kB are written, then read by a process of its own for each size.

    python experiments/import_speed/run.py [--traces 1000,10000] [--directory /tmp]
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

SPANS: Final = 29
SERVICES: Final = 9
REPEATS: Final = 3

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


def texts(count: int) -> Iterator[str]:
    """The pieces of a file of `count` traces; a thousand different ones, over and over."""
    rng = random.Random(29)  # noqa: S311 (the same traces each time)
    different = [json.dumps(new_trace(rng, number), separators=(",", ":")) for number in range(min(count, 1_000))]
    yield '{"data":['
    for number in range(count):
        yield ("," if number else "") + different[number % len(different)]
    yield '],"total":0,"limit":0,"offset":0,"errors":null}'


def measure(file: str) -> None:
    """Import a file in this process; print seconds of CPU and of clock, spans, and peak memory, as JSON."""
    from predictor.importers.jaeger import read_jaeger
    from predictor.importers.spans import Vocabulary
    from predictor.importers.traces import TraceOptions, import_traces

    words = Vocabulary()
    clock, cpu = time.perf_counter(), time.process_time()
    found = import_traces(read_jaeger([Path(file)], words), words, file, TraceOptions())
    figures = {
        "cpu_s": time.process_time() - cpu,
        "clock_s": time.perf_counter() - clock,
        "spans": found.tally.spans,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(figures))


def main() -> None:
    """Write files of each size, import each a few times, print a table; the best of the repeats counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traces", default="1000,10000", help="sizes, with commas between")
    parser.add_argument("--directory", default=tempfile.gettempdir())
    arguments = parser.parse_args()
    print("| traces | spans | kB per trace | spans/s (CPU) | spans/s (clock) | peak MiB |")
    print("|---|---|---|---|---|---|")
    for count in map(int, arguments.traces.split(",")):
        with tempfile.NamedTemporaryFile("w", suffix=".json", dir=arguments.directory) as file:
            file.writelines(texts(count))
            file.flush()
            size = Path(file.name).stat().st_size
            command = [sys.executable, __file__, "--measure", file.name]
            runs = [
                json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                for _ in range(REPEATS)
            ]
        best = min(runs, key=lambda run: run["cpu_s"])
        cpu, clock = best["spans"] / best["cpu_s"], best["spans"] / min(run["clock_s"] for run in runs)
        figures = f"{size / count / 1000:.1f} | {cpu:,.0f} | {clock:,.0f} | {best['peak_mib']:.0f}"
        print(f"| {count} | {best['spans']} | {figures} |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2])
    else:
        main()
