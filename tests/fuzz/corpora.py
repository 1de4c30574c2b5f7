"""Seeds that mutants are made of, by format: recorded and hostile files of tests/data, and small ones made here."""

import atexit
import hashlib
import io
import json
import shutil
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.fuzz.mutators.archive import make_archive

if TYPE_CHECKING:
    from predictor.models.types import FittedModel

DATA: Final = Path(__file__).parents[1] / "data"
PACKAGES: Final = Path(__file__).parents[2]
LARGEST_SEED: Final = 40_000


def recorded(*patterns: str, under: Path = DATA) -> tuple[bytes, ...]:
    """The contents of the files of those patterns that are not too large to be changed often."""
    files = sorted({file for pattern in patterns for file in under.glob(pattern) if file.is_file()})
    found = tuple(file.read_bytes() for file in files if file.stat().st_size <= LARGEST_SEED)
    if not found:
        raise FileNotFoundError(f"no seeds for {', '.join(patterns)}")
    return found


@cache
def folder() -> Path:
    """A folder for files that commands need besides the one that is changed; removed when this process ends."""
    made = Path(tempfile.mkdtemp(prefix="meshinsight-fuzz-files-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


@cache
def graph_file() -> Path:
    """A call graph that can be predicted."""
    file = folder() / "graph.yaml"
    file.write_text(GRAPH, encoding="utf-8")
    return file


@cache
def model_file() -> Path:
    """A fitted model."""
    file = folder() / "model.json"
    file.write_bytes(models()[0])
    return file


@cache
def profile_file() -> Path:
    """A profile of one cell."""
    file = folder() / "profile.json"
    file.write_bytes(profiles()[0])
    return file


GRAPH: Final = """\
format: meshinsight-graph
version: 1
name: shop
defaults:
  service: {service_time: 2ms, replicas: 2}
  call: {protocol: http1, request_bytes: 1KiB, response_bytes: 4 KiB}
services:
- name: web
  service_time: {p50: 1ms, p90: 3ms, p99: 9ms}
  sidecar: {client: http, server: tcp}
- {name: stock, service_time: {mean: 2ms, distribution: exponential}, workload: w, cold_weight: 0.3}
- sql
calls:
- {caller: web, callee: stock, calls_per_request: 2, repeat: parallel, filters: [lua], headers: 5}
- {caller: stock, callee: sql, protocol: tcp, tls: mtls, new_connections: 0.1, group: g}
ingress:
- {service: web, rate_rps: 200/s}
cluster: {nodes: 3, cpus_per_node: 4, cpu_use: 0.2}
cold_weight: 0.2
"""
SCENARIOS: Final = """\
format: meshinsight-scenarios
version: 1
scenarios:
- {name: plain, set: ["*.tls=none", "web->stock.protocol=tcp"], drop_filters: [lua]}
- {name: fast, speedup: {parsing: 0.5, ipc: {C: 2, L: 0.5}}, load: 3, cold_weight: 0.25}
- {name: other, topology: server, transport: ip}
"""
SPEEDUP: Final = "parsing: {C: 0.5, L: 0.5}\nipc: 2\n"


def graphs() -> Sequence[bytes]:
    """Call graph files."""
    shipped = recorded("*.yaml", under=PACKAGES / "predictor" / "graph" / "examples")
    return (GRAPH.encode(), GRAPH.encode(), *shipped, *recorded("hostile/graph-*", "hostile/csv-formula.json"))


def scenarios() -> Sequence[bytes]:
    """Files of scenarios."""
    shipped = recorded("scenarios/*.yaml", under=PACKAGES / "predictor" / "graph" / "examples")
    return (SCENARIOS.encode(), SCENARIOS.encode(), *shipped, *recorded("hostile/scenarios-*"))


@cache
def _fitted() -> "FittedModel":
    from predictor.models.fitting import fit_profile
    from tests.predictor.models.profiles import HTTP, LOADS, TCP, cell, profile

    cells = [cell(HTTP, load, (1.0, 0.9, 1.1)) for load in LOADS[:3]]
    cells += [cell(TCP, load, (1.0, 0.9, 1.1), protocol="tcp", tls="mtls") for load in LOADS[:3]]
    return fit_profile(profile(cells, drift=0.02))


@cache
def models() -> Sequence[bytes]:
    """Fitted models, as `fit -o json` prints them."""
    fitted = _fitted().to_json()
    for configuration in fitted["configurations"]:
        for currency in ("latency", "cpu"):
            if (configuration.get(currency) or {}).get("draws"):
                configuration[currency]["draws"] = configuration[currency]["draws"][:4]
    return json.dumps(fitted).encode(), *recorded("hostile/model-*.json")


@cache
def stored_models() -> Sequence[bytes]:
    """Models as they are kept next to a profile."""
    from predictor.models.stored import save_model

    file = folder() / "stored.json"
    save_model(_fitted(), file, "0" * 64)
    return (file.read_bytes(),)


@cache
def profiles() -> Sequence[bytes]:
    """Profiles: of one cell, so that many mutants change what matters, and of several; of this version and the first.

    The first is of one cell.
    """
    from profiler.profile.document import plain, profile_of

    earlier = [json.loads((DATA / f"example-{name}profile.json").read_bytes()) for name in ("partial-", "")]
    present = [plain(profile_of(whole, "example")) for whole in earlier]
    small = [json.dumps({**whole, "cells": whole["cells"][:1]}).encode() for whole in (*present, *earlier)]
    return *small, *(json.dumps(whole[0]).encode() for whole in (present, earlier))


@cache
def packed_stacks() -> Sequence[bytes]:
    """Files of stacks."""
    from profiler.profile.stacks import packed
    from tests.profiler.profile.test_stacks import FOUND

    return packed(FOUND), packed(FOUND[1:])


@cache
def stacks() -> Sequence[bytes]:
    """What they hold."""
    from profiler.files.zstd import unpacked

    return tuple(unpacked(data, 1 << 20) for data in packed_stacks())


def measured() -> Sequence[bytes]:
    """Results of fortio and Nighthawk."""
    from tests.profiler.workload.test_measured import FORTIO, NIGHTHAWK

    return json.dumps(FORTIO).encode(), json.dumps(NIGHTHAWK).encode()


@cache
def validations() -> Sequence[bytes]:
    """Results of `validate --out`."""
    from meshinsight.reports.subjects.validation import document
    from tests.meshinsight.reports.validations import validation

    made = json.dumps(document(validation("shop"))).encode()
    return made, made, made, *recorded("hostile/validation-*.json")


@cache
def predictions() -> Sequence[bytes]:
    """Results of `predict -o json`."""
    from meshinsight.reports.subjects.prediction import Prices, document
    from predictor.graph.types import Call, CallGraph, Ingress, Service
    from predictor.hop_costs.options import Options
    from predictor.predict.predict import predict

    services = tuple(map(Service, ("web", "cart", "stock")))
    calls = Call("web->cart", "web", "cart"), Call("cart->stock", "cart", "stock")
    found = predict(CallGraph(services, calls, (Ingress("web", 50.0),), "shop"), _fitted(), Options(samples=20))
    return (json.dumps(document(found, Prices())).encode(),)


@cache
def jaeger() -> Sequence[bytes]:
    """Jaeger's answers, and spans as its storage keeps them, one a line."""
    from tests.predictor.importers.recorded import ROOT, rpc
    from tests.predictor.importers.recorded import jaeger as document

    answer = json.dumps(document([ROOT, *rpc("a", "root", "stock", 10, 50, "root")])).encode()
    stored = b'{"_index":"x","_source":{"traceID":"t","spanID":"a","operationName":"o","startTime":1,"duration":9,' \
             b'"process":{"serviceName":"web","tags":[]},"references":[]}}\n'  # fmt: skip
    return answer, stored * 3, *recorded("field/jaeger-*.json", "hostile/jaeger-*.json")


@cache
def jaeger_lines() -> Sequence[bytes]:
    """The same, one trace or span a line."""
    answer, stored, *_ = jaeger()
    traces = json.loads(answer)["data"]
    return b"".join(json.dumps(trace).encode() + b"\n" for trace in traces * 2), stored


def zipkin() -> Sequence[bytes]:
    """Zipkin's lists of spans, versions 1 and 2."""
    return recorded("traces/zipkin/*.json", "hostile/zipkin-too-long.json", "field/zipkin-dependencies.json")


def otlp_json() -> Sequence[bytes]:
    """OTLP as JSON."""
    return recorded("traces/otlp/*.json", "field/otlp-zstd.json")


def otlp_lines() -> Sequence[bytes]:
    """OTLP as lines of JSON."""
    one = b"".join(json.dumps(json.loads(text)).encode() + b"\n" for text in recorded("traces/otlp/trace.json"))
    return one * 2, *recorded("field/otlp-*.jsonl")


@cache
def otlp_protobuf() -> Sequence[bytes]:
    """OTLP as one message of protobuf."""
    from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

    made = TracesData()
    for group, service in enumerate(("web", "stock")):
        spans = made.resource_spans.add()
        attribute = spans.resource.attributes.add()
        attribute.key = "service.name"
        attribute.value.string_value = service
        for number in range(3):
            span = spans.scope_spans.add().spans.add()
            span.trace_id, span.span_id = b"t" * 16, bytes([group, number]) * 4
            span.parent_span_id = b"" if not group and not number else bytes([0, 0]) * 4
            span.name = "GET /"
            span.kind = Span.SPAN_KIND_SERVER if number % 2 else Span.SPAN_KIND_CLIENT
            span.start_time_unix_nano, span.end_time_unix_nano = 10**18 + number, 10**18 + 10**6 * (3 - group)
    return (made.SerializeToString(),)


def otlp_delimited() -> Sequence[bytes]:
    """OTLP as messages with their lengths in front, as the collector's file exporter writes them."""
    from tests.fuzz.mutators.protobuf import varint

    message = otlp_protobuf()[0]
    return ((varint(len(message)) + message) * 2,)


_SAMPLES: Final = (
    ("istio_requests_total", 'reporter="source",source_workload="web",destination_service_name="stock"', "600"),
    ("istio_requests_total", 'reporter="destination",source_workload="unknown",destination_service_name="web",'
     'request_protocol="grpc",connection_security_policy="mutual_tls"', "1.2e3 1700000000000"),
    ("istio_request_bytes_sum", 'reporter="source",source_workload="web",destination_service_name="stock"', "6e5"),
    ("istio_request_bytes_count", 'reporter="source",source_workload="web",destination_service_name="stock"', "600"),
    ("istio_tcp_connections_opened_total", 'reporter="source",source_workload="web",destination_service_name="sql"',
    "5"),
)  # fmt: skip
PROMETHEUS: Final = "# TYPE istio_requests_total counter\n" + "".join(
    f"{name}{{{labels}}} {value}\n" for name, labels, value in _SAMPLES
)


def prometheus_text() -> Sequence[bytes]:
    """Prometheus' text."""
    return (PROMETHEUS.encode(), *recorded("field/prom-*.prom", "field/prom-promtool.txt"))


def prometheus_json() -> Sequence[bytes]:
    """Answers of instant queries."""
    return recorded("field/prom-*.json")


def isotope() -> Sequence[bytes]:
    """Service graphs of Isotope."""
    return recorded("traces/isotope/*.yaml", "field/isotope-*.yaml", "hostile/isotope-*.yaml")


def manifests() -> Sequence[bytes]:
    """Kubernetes manifests."""
    return recorded("field/k8s-*.yaml", "hostile/manifest-*.yaml")


def matrices() -> Sequence[bytes]:
    """Matrix files."""
    own = b"protocols: [http1, tcp]\ntopologies: [client, both]\nrequest_bytes: [128, 4KiB]\nrates: [max, 100.5]\n" \
          b"headers: [0, {count: 20, bytes: 10}]\nfilters: [[], [lua, rbac]]\nbudget: 10m\nrepeats: 4\n"  # fmt: skip
    return (
        own,
        own,
        *recorded("*.yaml", under=PACKAGES / "profiler" / "planning" / "matrices"),
        *recorded("hostile/matrix-*.yaml", "field/matrix-*.yaml"),
    )


def meshes() -> Sequence[bytes]:
    """Descriptions of meshes."""
    return *recorded("*.yaml", under=PACKAGES / "profiler" / "cluster" / "objects" / "meshes"), *recorded(
        "hostile/mesh-*.yaml"
    )


def filter_files() -> Sequence[bytes]:
    """Envoy filters of the user's own."""
    own = b'name: x\ntyped_config:\n  "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua\n' \
          b"  inline_code: |\n    function envoy_on_request(h)\n    end\n"  # fmt: skip
    return own, *recorded("hostile/filter-*.yaml", "field/filter-*.yaml")


def bootstraps() -> Sequence[bytes]:
    """Envoy bootstraps."""
    return recorded("field/envoy-bootstrap-*.yaml")


def catalogues() -> Sequence[bytes]:
    """Catalogues of symbols."""
    own = (
        b"- versions: '>=1.30,<2'\n  neighbours: true\n  rules:\n  - {component: parsing, symbols: [http_]}\n"
        b"  - {component: tls, dsos: [libssl.*]}\n  regions:\n  - {component: tls, after: a, before: b}\n"
    )
    return own, own, *recorded("haproxy.symbols.yaml", "nginx.symbols.yaml", under=PACKAGES / "profiler" / "proxies")


def perf_scripts() -> Sequence[bytes]:
    """Samples with stacks, as `perf script` prints them; beginnings of the recorded ones."""
    return tuple(file.read_bytes()[:4000] for file in sorted((DATA / "perf").glob("*.txt")))


PERF_ADDRESSES: Final = (
    b" 100 U 1000 7f00400\n 100 K 1000 ffffffff81000000\n"
    b"   envoy 100/100 [001] 1.0: PERF_RECORD_MMAP2 100/100: [0x7f00000(0x1000) @ 0x2000 fe:00 12 0]: r-xp /bin/envoy\n"
    b" 101 U 5 7f00401\n"
)
MAPS: Final = (
    b"00400000-00452000 r-xp 00000000 08:02 173521      /usr/bin/dbus-daemon\n"
    b"7ffc5b9f0000-7ffc5ba11000 rw-p 00000000 00:00 0          [stack]\n"
    b"7ffc5bbd9000-7ffc5bbdb000 r-xp 00000000 00:00 0          [vdso]\n"
)


@cache
def runs() -> Sequence[bytes]:
    """The notes of unfinished runs."""
    from profiler.measuring.journal import FORMAT, VERSION
    from profiler.planning.settings import ProfileSettings

    facts = {"machine": "abc", "envoy": "1.40"}
    note = {"format": FORMAT, "version": VERSION, "settings": ProfileSettings().as_json(), "facts": facts}
    made = json.dumps(note).encode()
    return made, made, *recorded("hostile/resume-*/unfinished/run.json")


@cache
def blocks() -> Sequence[bytes]:
    """Results of finished blocks."""
    from profiler.profile.document import load_profile, plain

    whole = plain(load_profile(DATA / "example-profile.json"))
    anchor = whole["anchor"]
    medians = {anchor["temperature"]: anchor["median_with_p50_ns"]}
    made = {
        **{name: whole[name] for name in ("run_id", "probes", "files")},
        "noise": {name: whole["noise"][name] for name in ("steal_ratio", "psi_cpu_some_ratio")},
        "anchor": {**anchor, "median_by_temperature_ns": medians},
        "cells": whole["cells"][:1],
        "probe_hit_ns": whole["calibration"]["probe_hit_ns"],
        "at_s": 0.0,
        "took_s": 3.5,
        "repeated_windows": 1,
    }
    return tuple(json.dumps({"name": name, "result": made}).encode() for name in ("block", "other"))


@cache
def attached() -> Sequence[bytes]:
    """Results of attach."""
    from tests.meshinsight.commands.attached import FOUND

    return (json.dumps(FOUND.as_json()).encode(),)


def pod_lines() -> Sequence[bytes]:
    """Lines that the profiler's pod prints."""
    said = {"label": "hop", "left_s": 3.5, "result": "/tmp/result", "error": None, "say": "looking"}
    return json.dumps({"attached": json.loads(attached()[0])}).encode(), json.dumps(said).encode()


@cache
def batches() -> Sequence[bytes]:
    """Parquet files of call graphs."""
    import pyarrow.parquet as pq

    from predictor.batch.graphs import graph_table
    from tests.fuzz.mutators.parquet import written
    from tests.predictor.batch.random_graphs import call_graphs

    table = graph_table((graph.name, graph) for graph in call_graphs(2, 6))
    hostile = recorded("hostile/batch-*.parquet")
    for data in hostile[1:]:
        pq.ParquetFile(io.BytesIO(data))
    return written(table), *hostile


POD: Final[dict[str, Any]] = {
    "kind": "Pod",
    "metadata": {"name": "mi-1-profiler", "namespace": "n", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"},
    "spec": {"nodeName": "node", "containers": [{"name": "istio-proxy", "env": [{"name": "A", "value": "1"}]}]},
    "status": {
        "phase": "Failed",
        "reason": "Evicted",
        "message": "The node was low on resource: memory.",
        "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes."},
            {"type": "DisruptionTarget", "status": "False", "reason": "DeletionByPodGC", "message": "gone"},
        ],
        "initContainerStatuses": [{"name": "capture", "state": {"terminated": {"exitCode": 3, "reason": "Error"}}}],
        "containerStatuses": [
            {
                "name": "profiler",
                "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no"}},
                "lastState": {},
            },
            {"name": "istio-proxy", "containerID": "containerd://0123456789abcdef", "state": {"running": {}}},
        ],
    },
}


def option_texts(*texts: str) -> Sequence[bytes]:
    """Values of an option."""
    return tuple(text.encode() for text in texts)


def graphs_json() -> Sequence[bytes]:
    """Call graphs as JSON."""
    import yaml

    shown = json.dumps(yaml.safe_load(GRAPH)).encode()
    return (shown, shown, *recorded("hostile/graph-*.json", "hostile/csv-formula.json"))


def small_profiles() -> Sequence[bytes]:
    """Profiles of one cell."""
    return profiles()[:1]


@cache
def certificates() -> Sequence[bytes]:
    """A certificate and its key in one file."""
    from profiler.testbed.certificates import make_certificates

    files = make_certificates(folder())
    return (files.chain.read_bytes() + files.key.read_bytes(),)


@cache
def tasks() -> Sequence[bytes]:
    """What a profiler's pod has to do."""
    from profiler.cluster.objects.mesh import Reading
    from profiler.cluster.run.task import HopPlace, MeshProxy, SidecarPlace, Task
    from profiler.planning.settings import ProfileSettings

    place = HopPlace("10.0.0.1", 80, "containerd://ab", "containerd://cd", SidecarPlace("containerd://ef", "envoy:1"))
    made = Task(ProfileSettings(), ("meshinsight",), "0", MeshProxy("envoy", Reading(port=1)), {"hop": place}, {"a": 1})
    return (json.dumps(made.to_json()).encode(),)


def pods() -> Sequence[bytes]:
    """Pods as the API server shows them, each with an event."""
    event = {"type": "Warning", "reason": "FailedMount", "message": "hostPath type check failed", "series": None,
             "metadata": {"creationTimestamp": "2026"}}  # fmt: skip
    waiting, containers = dict(POD["status"]), POD["status"]["containerStatuses"]
    running = {**waiting, "phase": "Running", "reason": "", "conditions": [], "initContainerStatuses": None}
    ended = {
        **running,
        "containerStatuses": [{**containers[0], "state": {"terminated": {"exitCode": 3, "message": "m"}}}],
    }
    return tuple(json.dumps([{**POD, "status": status}, event]).encode() for status in (waiting, running, ended))


def kubeconfigs() -> Sequence[bytes]:
    """A kubeconfig without programs to run."""
    made = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", "namespace": "n"}}],
        "clusters": [{"name": "k", "cluster": {"server": "https://127.0.0.1:1", "insecure-skip-tls-verify": True}}],
        "users": [{"name": "u", "user": {"token": "t", "client-certificate-data": "YQ=="}}],
    }
    return (json.dumps(made).encode(),)


def api_errors() -> Sequence[bytes]:
    """Answers of the API server to what it refuses."""
    return (
        b'{"kind":"Status","message":"pods is forbidden: User \\"bob\\" cannot create resource \\"pods\\" in API group '
        b'\\"\\" in the namespace \\"n\\"","code":403}',
        b"Handshake status 403 Forbidden -+-+- {'date': 'x'} -+-+- b'{\"message\": \"no\"}'",
        b"exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2",
    )


ARCHIVED: Final = make_archive(samples_bytes=8192)


def transfers() -> Sequence[bytes]:
    """What a pod says of the archive that it is going to send."""
    digest = hashlib.sha256(ARCHIVED).hexdigest()
    return (json.dumps({"size": len(ARCHIVED), "sha256": digest}).encode(),)


@cache
def rpc_results() -> Sequence[bytes]:
    """Results of calls between profilers."""
    from profiler.cluster.agent.rpc import encode
    from tests.profiler.cluster.agent.callee import Callee

    callee = Callee()
    return encode(callee.events()), encode(callee.samples()), encode(callee.reading()), encode(callee.functions())


def rpc_arguments() -> Sequence[bytes]:
    """Arguments of calls."""
    from profiler.cluster.agent.rpc import encode

    return (encode(({7: "client_sidecar", 8: "tool"}, True)),)


H2LOAD: Final = b"1700000000000000\t200\t1234\n1700000000001000\t200\t999\n1700000000002000\t503\t10\n"
PROC_STAT: Final = (
    b"cpu  10 0 10 100 5 0 1 2 0 0\ncpu0 5 0 5 50 2 0 1 1 0 0\ncpu1 5 0 5 50 3 0 0 1 0 0\nintr 1 2 3\nctxt 5\n"
)
TIMER_LIST: Final = (
    b"Timer List Version: v0.9\nHRTIMER_MAX_CLOCK_BASES: 8\nnow at 12345678901 nsecs\n\ncpu: 0\n"
    b"  .idle_sleeptime : 5000 nsecs\n  .iowait_sleeptime: 60 nsecs\ncpu: 1\n"
    b"  .idle_sleeptime : 7000 nsecs\n  .iowait_sleeptime: 80 nsecs\n"
)
TCP_TABLE: Final = (
    b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    b"   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1 0 100 0\n"
    b"   1: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 12346 1 0 20 4\n"
    b"0000000000000000: 00000002 00000000 00010000 0001 01 12347 /run/x.sock\n"
)
PROC_STATUS: Final = (
    b"Name:\tenvoy\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t7\nPid:\t7\nVmSize:\t  1000 kB\nThreads:\t3\n"
)
CPUINFO: Final = (
    b"processor\t: 0\nmodel name\t: Some CPU @ 2.00GHz\nflags\t\t: fpu hypervisor\nMemTotal:       16000000 kB\n"
    b'PRETTY_NAME="Debian GNU/Linux 12"\n'
)
