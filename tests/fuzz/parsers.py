"""The registry: every way by which data from outside comes in, once. A new parser gets an entry here.

Entries named `cli-…` go through the command line, which must answer with one clean line and exit status 2; the others
call a function of the project, which may raise its own errors only.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from tests.fuzz import corpora, readers
from tests.fuzz.checks import command, option
from tests.fuzz.mutators.archive import make_archive, mutate_archive
from tests.fuzz.mutators.binary import mutate_bytes
from tests.fuzz.mutators.elf import make_elf, mutate_elf
from tests.fuzz.mutators.go_table import make_table
from tests.fuzz.mutators.json_tree import mutate_json, mutate_json_lines, mutate_json_texts
from tests.fuzz.mutators.messagepack import mutate_messagepack
from tests.fuzz.mutators.protobuf import mutate_delimited, mutate_protobuf
from tests.fuzz.mutators.text import mutate_text
from tests.fuzz.mutators.yaml_text import mutate_yaml
from tests.fuzz.parser import Parser

Seeds = Callable[[], Sequence[bytes]]


def mutate_parquet(data: bytes, rng: Any) -> bytes:
    """As `mutators.parquet`, which is loaded when it is needed: it takes a second."""
    from tests.fuzz.mutators.parquet import mutate_parquet as mutate

    return mutate(data, rng)


def texts(*values: str) -> Seeds:
    """Seeds that are short texts."""
    return lambda: corpora.option_texts(*values)


GRAPHS: Final = [
    Parser("graph", corpora.graphs, mutate_yaml, readers.graph),
    Parser("graph-json", corpora.graphs_json, mutate_json, readers.graph),
    Parser("cli-graph-check", corpora.graphs, mutate_yaml, command("graph", "check", "{file}", name="graph.yaml")),
    Parser("cli-predict-graph", corpora.graphs, mutate_yaml,
           command("predict", "{model}", "{file}", "--samples", "0", "-o", "json", json_output=True)),
    Parser("cli-predict-graph-csv", corpora.graphs_json, mutate_json,
           command("predict", "{model}", "{file}", "--samples", "10", "-o", "csv")),
    Parser("cli-predict-graph-table", corpora.graphs_json, mutate_json,
           command("predict", "{model}", "{file}", "--samples", "100")),
    Parser("scenarios", corpora.scenarios, mutate_yaml, readers.scenarios),
    Parser("cli-scenarios", corpora.scenarios, mutate_yaml,
           command("predict", "{model}", "{graph}", "--samples", "0", "--scenarios", "{file}")),
    Parser("cli-speedup", texts(corpora.SPEEDUP), mutate_yaml,
           command("predict", "{model}", "{graph}", "--samples", "0", "-o", "markdown", "--speedup", "{file}")),
    Parser("cli-set", texts("*.tls=none", "web->stock.request_bytes=4KiB", "a.filters=x+y"), mutate_text,
           option("predict", "{model}", "{graph}", "--samples", "0", "--set={text}")),
    Parser("cli-advise", texts("p99=50ms", "mean=1us", "p50=0.1s"), mutate_text,
           option("advise", "{model}", "{graph}", "--samples", "10", "--slo={text}", statuses=(0, 1, 2))),
    Parser("cli-advise-memory", texts("2GiB", "100 MB", "1"), mutate_text,
           option("advise", "{model}", "{graph}", "--samples", "10", "--max-memory={text}", statuses=(0, 1, 2))),
    Parser("cli-prices", texts("0.04", "1e3"), mutate_text,
           option("predict", "{model}", "{graph}", "--samples", "0", "--price-per-vcpu-hour={text}")),
    Parser("quantities", texts("1.2ms", "4KiB", "200/s", "1e3", "30/min"), mutate_text, readers.quantities,
           (ValueError,)),
]  # fmt: skip

IMPORTERS: Final = [
    Parser("isotope", corpora.isotope, mutate_yaml, readers.isotope),
    Parser("manifests", corpora.manifests, mutate_yaml, readers.manifests),
    Parser("prometheus-text", corpora.prometheus_text, mutate_text, readers.prometheus),
    Parser("prometheus-json", corpora.prometheus_json, mutate_json, readers.prometheus),
    Parser("jaeger", corpora.jaeger, mutate_json, readers.jaeger),
    Parser("jaeger-lines", corpora.jaeger_lines, mutate_json_lines, readers.jaeger),
    Parser("zipkin", corpora.zipkin, mutate_json, readers.zipkin),
    Parser("otlp-json", corpora.otlp_json, mutate_json, readers.otlp),
    Parser("otlp-lines", corpora.otlp_lines, mutate_json_lines, readers.otlp),
    Parser("otlp-protobuf", corpora.otlp_protobuf, mutate_protobuf, readers.otlp),
    Parser("otlp-delimited", corpora.otlp_delimited, mutate_delimited, readers.otlp),
    Parser("cli-from-isotope", corpora.isotope, mutate_yaml,
           command("graph", "from-isotope", "{file}", "--out", "-", "--rate", "10")),
    Parser("cli-from-manifests", corpora.manifests, mutate_yaml, command("graph", "from-manifests", "{file}", "--out",
           "-")),
    Parser("cli-from-prometheus", corpora.prometheus_text, mutate_text,
           command("graph", "from-prometheus", "{file}", "--out", "-")),
    Parser("cli-from-jaeger", corpora.jaeger, mutate_json,
           command("graph", "from-jaeger", "{file}", "--out", "-", "--rate", "10")),
    Parser("cli-from-zipkin", corpora.zipkin, mutate_json,
           command("graph", "from-zipkin", "{file}", "--out", "{folder}/out.yaml", "--allow-incomplete")),
    Parser("cli-from-otlp", corpora.otlp_json, mutate_json,
           command("graph", "from-otlp", "{file}", "--out", "-", "--rate-from-traces")),
]  # fmt: skip

MODELS: Final = [
    Parser("profile", corpora.profiles, mutate_json, readers.profile),
    Parser("cli-show", corpora.profiles, mutate_json, command("show", "{folder}/run", name="run/profile.json")),
    Parser("cli-show-json", corpora.profiles, mutate_json, command("show", "{file}", "-o", "json", json_output=True)),
    Parser("cli-show-csv", corpora.profiles, mutate_json, command("show", "{file}", "-o", "csv")),
    Parser("stacks", corpora.stacks, mutate_json, readers.stacks),
    Parser("stacks-packed", corpora.packed_stacks, mutate_bytes, readers.packed_stacks),
    Parser("cli-show-measured", corpora.measured, mutate_json, command("show", "{profile}", "--measured", "{file}")),
    Parser("cli-fit", corpora.profiles, mutate_json,
           command("fit", "{folder}/run", "-o", "json", name="run/profile.json", json_output=True)),
    Parser("cli-report", corpora.small_profiles, mutate_json,
           command("report", "{file}", "--out", "{folder}/report.html", "--title", "x")),
    Parser("cli-model", corpora.models, mutate_json,
           command("predict", "{file}", "{graph}", "--samples", "0", "-o", "json", json_output=True)),
    Parser("cli-model-table", corpora.models, mutate_json, command("fit", "{file}")),
    Parser("stored-model", corpora.stored_models, mutate_json, readers.stored_model),
    Parser("cli-validation", corpora.validations, mutate_json,
           command("report", "{profile}", "--out", "{folder}/report.html", "--validation", "{file}")),
    Parser("cli-compare-predictions", corpora.predictions, mutate_json,
           command("compare", "{file}", "{file}", "-o", "json", json_output=True)),
    Parser("cli-compare-validations", corpora.validations, mutate_json, command("compare", "{file}", "{file}")),
    Parser("cli-compare-models", corpora.models, mutate_json, command("compare", "{file}", "{file}", "-o", "csv")),
    Parser("cli-history", corpora.small_profiles, mutate_json,
           command("history", "{folder}/in", "-o", "json", name="in/a.json", json_output=True)),
    Parser("cli-batch", corpora.batches, mutate_parquet,
           command("predict-batch", "{model}", "{file}", "--out", "{folder}/r.parquet", statuses=(0, 1, 2))),
    Parser("cli-batch-percentiles", corpora.batches, mutate_parquet,
           command("predict-batch", "{model}", "{file}", "--out", "{folder}/r.parquet", "--percentiles", "--samples",
           "10",
                   statuses=(0, 1, 2))),
    Parser("cli-batch-folder", corpora.graphs_json, mutate_json,
           command("predict-batch", "{model}", "{folder}/in", "--out", "{folder}/r.parquet", name="in/a.json",
                   statuses=(0, 1, 2))),
    Parser("cli-batch-traces", corpora.jaeger, mutate_json,
           command("predict-batch", "{model}", "{folder}/in", "--out", "{folder}/r.parquet", name="in/a.json",
                   statuses=(0, 1, 2))),
]  # fmt: skip

_DRY: Final = ("profile", "--dry-run")
RUNS: Final = [
    Parser("cli-matrix", corpora.matrices, mutate_yaml, command(*_DRY, "--matrix", "{file}", name="m.yaml")),
    Parser("cli-mesh", corpora.meshes, mutate_yaml,
           command(*_DRY, "--cluster", "--image", "x", "--protocol", "http1", "--mesh", "{file}", name="m.yaml")),
    Parser("cli-filter-file", corpora.filter_files, mutate_yaml,
           command(*_DRY, "--protocol", "http1", "--filter-file", "{file}", name="f.yaml")),
    Parser("cli-proxy-config", corpora.bootstraps, mutate_yaml,
           command(*_DRY, "--protocol", "http1", "--proxy-config", "{file}", name="e.yaml")),
    Parser("cli-rate", texts("max", "100", "100,200.5", "max,1e3"), mutate_text, option(*_DRY, "--rate={text}")),
    Parser("cli-headers", texts("20x100", "0,5", "7"), mutate_text, option(*_DRY, "--headers={text}")),
    Parser("cli-request-bytes", texts("128", "4KiB,1 MiB", "0"), mutate_text, option(*_DRY, "--request-bytes={text}")),
    Parser("cli-connections", texts("1", "2,8"), mutate_text, option(*_DRY, "--connections={text}")),
    Parser("cli-budget", texts("10m", "1.5h", "90s"), mutate_text, option(*_DRY, "--budget={text}")),
    Parser("cli-filter", texts("lua", "rbac+lua", "tracing-10", "x.yaml"), mutate_text, option(*_DRY,
           "--filter={text}")),
    Parser("cli-names", texts("http1,tcp", "grpc"), mutate_text, option(*_DRY, "--protocol={text}")),
    Parser("cli-resume-none", texts("x"), mutate_text, option("profile", "--resume={folder}/{text}")),
    Parser("cli-attach-duration", texts("30s", "5m", "500ms"), mutate_text,
           option("attach", "--pid", "999999999", "--duration={text}")),
    Parser("cli-attach-overhead", texts("1%", "0.5 %", "0.01"), mutate_text,
           option("attach", "--pid", "999999999", "--cpu-budget={text}")),
    Parser("journal", corpora.runs, mutate_json, readers.journal),
    Parser("journal-blocks", corpora.blocks, mutate_json, readers.blocks),
    Parser("certificates", corpora.certificates, mutate_text, readers.certificates),
]  # fmt: skip

MEASURED: Final = [
    Parser("perf-script", corpora.perf_scripts, mutate_text, readers.perf_script, ()),
    Parser("perf-addresses", lambda: [corpora.PERF_ADDRESSES], mutate_text, readers.perf_addresses, ()),
    Parser("maps", lambda: [corpora.MAPS], mutate_text, readers.maps, ()),
    Parser("elf", lambda: [make_elf()], mutate_elf, readers.elf, (ValueError,)),
    Parser("elf-tables", lambda: [make_elf()], mutate_elf, readers.function_tables, ()),
    Parser("go-table", lambda: [make_table(version) for version in (116, 118, 120)], mutate_bytes, readers.go_table,
           (ValueError,)),
    Parser("catalogue", corpora.catalogues, mutate_yaml, readers.catalogue),
    Parser("h2load-log", lambda: [corpora.H2LOAD], mutate_text, readers.h2load),
    Parser("load-samples", lambda: [bytes(range(256)) * 2], mutate_bytes, readers.own_generator),
    Parser("answer-times", lambda: [bytes(range(256)) * 2], mutate_bytes, readers.answers),
    Parser("proc-stat", lambda: [corpora.PROC_STAT], mutate_text, readers.machine),
    Parser("proc-timer-list", lambda: [corpora.TIMER_LIST], mutate_text, readers.timer_list),
    Parser("proc-sockets", lambda: [corpora.TCP_TABLE], mutate_text, readers.sockets),
    Parser("proc-status", lambda: [corpora.PROC_STATUS], mutate_text, readers.status),
    Parser("environment", lambda: [corpora.CPUINFO], mutate_text, readers.environment),
    Parser("calibration-log", lambda: [b"1000 50\n2000 51\n3000 60\n4"], mutate_text, readers.calibration),
    Parser("version", texts("2.6.12-1+deb12u4", "1.22.1", "1.40.0"), mutate_text, readers.version),
    Parser("cpus", texts("0-3", "0-1,4-7", "0"), mutate_text, readers.cpus),
]  # fmt: skip

CLUSTER: Final = [
    Parser("pod-lines", corpora.pod_lines, mutate_json, readers.pod_line),
    Parser("attached", corpora.attached, mutate_json, readers.attached),
    Parser("task", corpora.tasks, mutate_json, readers.task),
    # The API server guarantees the types of its objects; their texts are anybody's.
    Parser("pod-status", corpora.pods, mutate_json_texts, readers.pod_status),
    Parser("api-error", corpora.api_errors, mutate_text, readers.api_error),
    Parser("exec-status", texts('{"status":"Failure","message":"no"}', '{"status":"Success"}'), mutate_yaml,
           readers.exec_status),
    Parser("kubeconfig", corpora.kubeconfigs, mutate_yaml, readers.kubeconfig),
    Parser("container-id", texts("containerd://0123456789abcdef", "0123456789ab"), mutate_text, readers.container_id),
    Parser("archive", lambda: [make_archive()], mutate_archive, readers.archive),
    Parser("transfer-manifest", corpora.transfers, mutate_json, readers.transfer),
    Parser("rpc-results", corpora.rpc_results, mutate_messagepack, readers.rpc_results, readers.RPC_ERRORS),
    Parser("rpc-arguments", corpora.rpc_arguments, mutate_messagepack, readers.rpc_arguments, readers.RPC_ERRORS),
    Parser("echo-sizes", texts("128x1,1024x10"), mutate_text, readers.echo_sizes, (ValueError,)),
]  # fmt: skip

PARSERS: Final[Sequence[Parser]] = (*GRAPHS, *IMPORTERS, *MODELS, *RUNS, *MEASURED, *CLUSTER)


def named(name: str) -> Parser:
    """The parser of that name."""
    return next(parser for parser in PARSERS if parser.name == name)
