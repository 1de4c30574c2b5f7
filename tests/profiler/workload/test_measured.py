"""Results of fortio and Nighthawk as measured latencies."""

import json
from pathlib import Path
from typing import Any

import pytest

from profiler.errors import UsageError
from profiler.workload.measured import read_measured

FORTIO: dict[str, Any] = {
    "RunType": "HTTP", "Labels": "a b", "StartTime": "2026-11-29T10:00:00Z", "RequestedQPS": "100",
    "RequestedDuration": "5s", "ActualQPS": 99.6, "ActualDuration": 5_000_000_000, "NumThreads": 4, "Version": "1.75.3",
    "DurationHistogram": {
        "Count": 500, "Min": 0.0004, "Max": 0.02, "Sum": 0.5, "Avg": 0.001, "StdDev": 0.0003,
        "Data": [{"Start": 0.0004, "End": 0.02, "Percent": 100, "Count": 500}],
        "Percentiles": [{"Percentile": 50, "Value": 0.0009}, {"Percentile": 75, "Value": 0.001},
                        {"Percentile": 90, "Value": 0.002}, {"Percentile": 99, "Value": 0.004}],
    },
    "RetCodes": {"200": 497, "503": 3}, "H2": False, "Resolution": 0.001,
    "Sizes": {"Count": 500, "Avg": 1142.5, "Data": None}, "HeaderSizes": {"Count": 500, "Avg": 118.5, "Data": None},
}  # fmt: skip


def statistic(name: str, scale: int) -> dict[str, Any]:
    # As Nighthawk writes them: 64-bit numbers are texts, and percentiles are the borders of its histogram.
    ends = {0: 100, 0.5: 200, 0.775: 250, 0.9: 300, 0.984375: 500, 0.990625: 700, 1: 900}
    percentiles = [{"percentile": at, "count": "9", "duration": f"{us * scale / 1e6:.9f}s"} for at, us in ends.items()]
    return {
        "count": "1499",
        "id": name,
        "percentiles": percentiles,
        "mean": f"{scale * 240 / 1e6:.9f}s",
        "pstdev": "0.1s",
    }


def result(name: str) -> dict[str, Any]:
    scale = 2 if name == "global" else 1
    return {
        "name": name,
        "statistics": [statistic("benchmark_http_client.queue_to_connect", 9),
                       statistic("benchmark_http_client.request_to_response", scale),
                       {"count": "1499", "id": "benchmark_http_client.response_body_size", "raw_mean": 10}],
        "counters": [{"name": "benchmark.http_2xx", "value": "1490"}, {"name": "benchmark.http_5xx", "value": "9"}],
        "execution_duration": "10.000000000s",
    }  # fmt: skip


NIGHTHAWK: dict[str, Any] = {
    "options": {"requests_per_second": 75, "connections": 3, "duration": "10s", "concurrency": "2", "h2": False,
                "uri": "http://127.0.0.1:10000/"},
    "results": [result("worker_0"), result("worker_1"), result("global")],
}  # fmt: skip


def written(document: object, folder: Path) -> Path:
    file = folder / "measured.json"
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    return file


def test_fortio_is_read_in_nanoseconds(tmp_path: Path) -> None:
    found = read_measured(written(FORTIO, tmp_path))
    assert (found.tool, found.protocol, found.connections, found.rate_rps) == ("fortio", "http1", 4, 100.0)
    assert (found.achieved_rps, found.count, found.failed) == (99.6, 500, 3)
    assert found.percentiles_ns == pytest.approx({50.0: 900_000, 90.0: 2_000_000, 99.0: 4_000_000})
    assert found.mean_ns == pytest.approx(1_000_000)
    assert (found.resolution_ns, found.response_bytes) == (1_000_000, 1024)


@pytest.mark.parametrize(
    ("changes", "protocol"),
    [({"H2": True}, "http2"), ({"RunType": "GRPC Ping Delay=250ms"}, "grpc"), ({"RunType": "TCP"}, "tcp")],
)
def test_fortio_tells_its_protocol(changes: dict[str, Any], protocol: str, tmp_path: Path) -> None:
    found = read_measured(written(FORTIO | changes | {"RequestedQPS": "max", "RetCodes": {"OK": 9}}, tmp_path))
    assert (found.protocol, found.rate_rps, found.failed) == (protocol, None, 0)


def test_nighthawk_is_read_over_all_its_workers(tmp_path: Path) -> None:
    found = read_measured(written(NIGHTHAWK, tmp_path))
    assert (found.tool, found.protocol, found.connections, found.rate_rps) == ("Nighthawk", "http1", 6, 150.0)
    assert (found.count, found.failed) == (1499, 9)
    assert found.achieved_rps == pytest.approx(149.9)
    assert found.percentiles_ns == pytest.approx({50.0: 400_000, 90.0: 600_000, 99.0: 1_400_000})
    assert found.mean_ns == pytest.approx(480_000)
    assert (found.resolution_ns, found.response_bytes) == (0, 10)


def test_nighthawk_of_one_worker_has_no_sum_of_them(tmp_path: Path) -> None:
    options = NIGHTHAWK["options"] | {"protocol": {"value": "HTTP2"}}
    found = read_measured(written({"options": options, "results": [result("worker_0")]}, tmp_path))
    assert (found.protocol, found.connections, found.rate_rps) == ("http2", 3, 75.0)
    assert found.percentiles_ns[50.0] == pytest.approx(200_000)


def fortio_histogram(**changes: object) -> dict[str, Any]:
    return FORTIO | {"DurationHistogram": FORTIO["DurationHistogram"] | changes}


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("", "is empty"),
        ('{"DurationHistogram": ', "truncated or damaged JSON at line 1"),
        ([], "neither a result of fortio nor of Nighthawk"),
        ({"options": {}}, "neither a result of fortio nor of Nighthawk"),
        (FORTIO | {"RunType": "UDP"}, "RunType: expected HTTP, GRPC or TCP; found 'UDP'"),
        (FORTIO | {"RequestedQPS": "fast"}, "RequestedQPS: expected a number or max; found 'fast'"),
        (FORTIO | {"NumThreads": "4"}, r"line 1, NumThreads: expected `?int"),
        (fortio_histogram(Count=0), "no request was answered"),
        (fortio_histogram(Percentiles=[{"Percentile": 99, "Value": 1.0}]), "has no 50th percentile"),
        (
            fortio_histogram(Percentiles=[{"Percentile": 50, "Value": -1.0}]),
            r"DurationHistogram.Percentiles\[0\].Value",
        ),
        ({"options": {}, "results": []}, "results is empty"),
        (NIGHTHAWK | {"results": [{"name": "global"}]}, "result 'global' has no statistic benchmark_http_client"),
        (NIGHTHAWK | {"options": {"protocol": {"value": "HTTP3"}}}, "expected HTTP1 or HTTP2; found 'HTTP3'"),
        (NIGHTHAWK | {"results": [{"name": "x", "execution_duration": "1m"}]}, r"results\[0\].execution_duration"),
    ],
)
def test_any_other_file_is_refused_in_one_line(document: object, problem: str, tmp_path: Path) -> None:
    file = written(document, tmp_path)
    with pytest.raises(UsageError, match=problem) as caught:
        read_measured(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert str(caught.value).isprintable()
