"""`meshinsight validate` as a user calls it: real services, real sidecars."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.meshinsight.commands import own_runs

pytestmark = pytest.mark.timeout(450)  # windows are measured again while others take the CPU

ROOT = Path(__file__).parents[3]
PROFILE = ROOT / "tests" / "data" / "example-profile.json"
GRAPH = """\
format: meshinsight-graph
version: 1
name: two
services: [{name: a, service_time: 50us}, {name: b, service_time: 50us}]
defaults: {service: {sidecar: tcp}, call: {protocol: tcp}, ingress: {protocol: tcp}}
calls: [{caller: a, callee: b}]
ingress: [{service: a, rate_rps: 50}]
"""
SCENARIOS = """\
format: meshinsight-scenarios
version: 1
scenarios:
  - {name: bare, topology: none}
"""


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    file = tmp_path / "graph.yaml"
    file.write_text(GRAPH)
    return file


def command(graph: Path, *options: object) -> list[str]:
    return [sys.executable, "-m", "meshinsight", "validate", str(PROFILE), str(graph), *map(str, options)]


def started(graph: Path, *options: object, stdout: int = subprocess.DEVNULL) -> "subprocess.Popen[str]":
    argv = command(graph, *options)
    return own_runs.noted(subprocess.Popen(argv, cwd=ROOT, stdout=stdout, stderr=subprocess.PIPE, text=True))


def run(graph: Path, *options: object) -> subprocess.CompletedProcess[str]:
    with started(graph, *options, stdout=subprocess.PIPE) as process:
        try:
            out, err = process.communicate(timeout=400)
        finally:
            process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def leftovers() -> list[str]:
    return [*own_runs.directories(), *own_runs.namespaces()]


@pytest.mark.kernel
@pytest.mark.timing
def test_a_graph_and_a_what_if_are_measured_and_scored(graph: Path, tmp_path: Path) -> None:
    what_if, out = tmp_path / "scenarios.yaml", tmp_path / "result.json"
    what_if.write_text(SCENARIOS)
    # 400 requests per variant: a stall of the machine then moves no median.
    options = ("--rate", 200, "--rounds", 4, "--duration", 0.5)
    done = run(graph, *options, "--what-if", what_if, "--out", out, "-o", "json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert json.loads(out.read_text()) == found
    latency, cpu = found["latency"], found["cpu"]
    assert latency["measured_p50_ns"] > 20_000
    assert latency["error_ratio"] == pytest.approx(latency["predicted_p50_ns"] / latency["measured_p50_ns"] - 1)
    assert cpu["measured_vcpu"] != 0.0
    assert set(found["by_service"]) == {"a", "b"}
    assert all(entry["cpu"]["measured_vcpu"] > 0 for entry in found["by_service"].values())
    assert found["by_service"]["a"]["latency"]["measured_p50_ns"] > 0
    assert "latency" not in found["by_service"]["b"]  # it calls nobody
    assert found["baseline"]["p50_ns"] > 100_000
    by_service = found["baseline"]["by_service_vcpu"]
    assert set(by_service) == set(found["by_service"])
    assert 0.0 < sum(by_service.values()) < 1.2 * found["baseline"]["vcpu"]
    saving = found["what_if"]["bare"]["saving"]["latency"]
    assert saving["predicted_p50_ns"] == pytest.approx(latency["predicted_p50_ns"])
    assert saving["measured_p50_ns"] == pytest.approx(latency["measured_p50_ns"], rel=0.6)
    assert not leftovers()


@pytest.mark.kernel
@pytest.mark.timing
def test_interrupted_it_leaves_nothing(graph: Path) -> None:
    process = started(graph)
    deadline = time.monotonic() + 60
    while not own_runs.namespaces() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert not leftovers()


def measuring(process: subprocess.Popen[str]) -> None:
    """Wait until the command's rounds have begun."""
    assert process.stderr is not None
    for line in process.stderr:
        if "round 1 of" in line:
            return
    raise AssertionError(f"it ended with {process.wait()}")


@pytest.mark.kernel
@pytest.mark.timing
def test_a_service_that_dies_ends_it_with_one_line(graph: Path) -> None:
    with started(graph, "--rate", 50) as process:
        measuring(process)
        for pid in own_runs.processes("profiler.workload.service.process"):
            os.kill(pid, signal.SIGKILL)
        _, stderr = process.communicate(timeout=200)
    assert process.returncode == 1
    assert "service-" in stderr.splitlines()[-1]
    assert "Traceback" not in stderr
    assert not leftovers()


@pytest.mark.kernel
@pytest.mark.timing
def test_a_rate_that_is_not_held_is_told(graph: Path) -> None:
    done = run(graph, "--rate", 100_000)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "answered" in last
    assert "give a lower --rate" in last
    assert not leftovers()


@pytest.mark.kernel
@pytest.mark.timing
def test_after_kill_9_cleanup_removes_what_is_left(graph: Path) -> None:
    with started(graph, "--rate", 50) as process:
        measuring(process)
        process.kill()
        process.wait(20)
    assert leftovers()
    assert subprocess.run([sys.executable, "-m", "meshinsight", "cleanup"], cwd=ROOT, check=False).returncode == 0
    assert not leftovers()
    assert not own_runs.processes("profiler.workload.service.process")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--temperature", "warm"), "--temperature: expected one of hot, cold, natural; found 'warm'"),
        (("--rate", 0), "--rate: expected a rate from 0.1 to 1e+06 per second; found 0"),
        (("--rounds", 1), "--rounds: expected a number from 4 to 1000; found 1"),
        (("--out", "/nowhere/x.json"), "--out: directory /nowhere does not exist; create it"),
        (("-o", "csv"), "--output: expected one of table, json, markdown, html; found 'csv'"),
    ],
)
def test_wrong_options_are_refused(graph: Path, options: tuple[object, ...], said: str) -> None:
    done = run(graph, *options)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_what_the_profile_lacks_is_told_before_anything_is_started(graph: Path) -> None:
    graph.write_text(GRAPH.replace("call: {protocol: tcp}", "call: {protocol: tcp, tls: mtls}"))
    done = run(graph)
    assert done.returncode == 2
    assert "the profile lacks tcp-both-mtls" in done.stderr


def test_a_closed_loop_is_refused_before_anything_is_started(graph: Path) -> None:
    graph.write_text(GRAPH.replace("rate_rps: 50", "connections: 2"))
    done = run(graph)
    assert done.returncode == 2
    assert done.stderr.startswith("meshinsight: error: ingress->a: validate sends requests at a rate")
    assert len(done.stderr.splitlines()) == 1


def test_a_speed_up_cannot_be_built(graph: Path, tmp_path: Path) -> None:
    file = tmp_path / "scenarios.yaml"
    file.write_text(SCENARIOS.replace("topology: none", "speedup: {parsing: 0.5}"))
    done = run(graph, "--what-if", file)
    assert done.returncode == 2
    assert "cannot be built" in done.stderr


def test_a_profile_of_another_proxy_is_refused(graph: Path, tmp_path: Path) -> None:
    document = json.loads(PROFILE.read_text())
    document["proxies"] = {"haproxy": document["proxies"]["envoy"]}
    for cell in document["cells"]:
        cell["proxy"] = "haproxy"
    file = tmp_path / "profile.json"
    file.write_text(json.dumps(document))
    options = [str(file) if part == str(PROFILE) else part for part in command(graph)]
    done = subprocess.run(options, capture_output=True, text=True, check=False, cwd=ROOT, timeout=400)
    assert done.returncode == 2
    assert "the profile is of haproxy, what is deployed here is envoy" in done.stderr
