"""How the functions that parse outside data are called: each takes an input and an empty folder."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from tests.fuzz.checks import BrokenRuleError

RPC_ERRORS: Final = (msgspec.DecodeError, msgspec.ValidationError, KeyError, AttributeError, TypeError, ValueError)
"""What the server of calls between profilers answers with an error for."""


def _file(data: bytes, folder: Path, name: str = "input") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return file


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


# --- call graphs and what is imported as one -----------------------------------------------------------------------


def graph(data: bytes, folder: Path) -> None:
    from predictor.graph.reader import load_graph

    _readable_again(load_graph(_file(data, folder, "graph.yaml")))


def _readable_again(found: Any) -> None:
    """What is written of a graph is read as the same graph."""
    from predictor.graph.reader import parse_graph
    from predictor.graph.writer import graph_text
    from profiler.errors import MeshInsightError

    text = graph_text(found)
    try:
        again = parse_graph(text, "written")
    except MeshInsightError as error:
        raise BrokenRuleError(f"writes a graph that is refused: {error}") from error
    if graph_text(again) != text:
        raise BrokenRuleError("a graph that was written is read as another")


def scenarios(data: bytes, folder: Path) -> None:
    from predictor.what_if.scenarios import load_scenarios

    load_scenarios(_file(data, folder))


def quantities(data: bytes, _: Path) -> None:
    from profiler.files.units import parse_duration_ns, parse_rate_rps, parse_size_bytes

    errors = []
    for parse in (parse_duration_ns, parse_rate_rps, parse_size_bytes):
        try:
            if not np.isfinite(parse(_text(data))):
                raise BrokenRuleError(f"{parse.__name__} gives a number that is not finite")
        except ValueError as error:
            errors.append(error)
    if errors:
        raise errors[0]


def isotope(data: bytes, folder: Path) -> None:
    from predictor.importers.isotope import read_isotope

    _readable_again(read_isotope(_file(data, folder), 10.0))


def manifests(data: bytes, folder: Path) -> None:
    from predictor.importers.manifests.reading import read_manifests

    _readable_again(read_manifests([_file(data, folder)], None))


def prometheus(data: bytes, folder: Path) -> None:
    from predictor.importers.metrics.prometheus import read_prometheus

    _readable_again(read_prometheus([_file(data, folder)], None, 60.0))


def _traces(read: Any, data: bytes, folder: Path) -> None:
    from predictor.importers.traces.calls.merge import Rates
    from predictor.importers.traces.reading import TraceOptions, import_traces
    from predictor.importers.traces.spans.spans import Vocabulary

    words = Vocabulary()
    options = TraceOptions(Rates(5.0), None, True)
    _readable_again(import_traces(read([_file(data, folder)], words), words, "input", options).graph)


def jaeger(data: bytes, folder: Path) -> None:
    from predictor.importers.traces.formats.jaeger import read_jaeger

    _traces(read_jaeger, data, folder)


def zipkin(data: bytes, folder: Path) -> None:
    from predictor.importers.traces.formats.zipkin import read_zipkin

    _traces(read_zipkin, data, folder)


def otlp(data: bytes, folder: Path) -> None:
    from predictor.importers.traces.formats.otlp import read_otlp

    _traces(read_otlp, data, folder)


# --- profiles and models -------------------------------------------------------------------------------------------


def stacks(data: bytes, _: Path) -> None:
    """A file of stacks by its content before it is packed; what is read is written and read again, and exported."""
    from meshinsight.exports.pprof import pprof
    from profiler.files.zstd import zstd
    from profiler.profile.stacks import packed, stacks_of

    found = stacks_of(zstd().compress(data), "stacks")
    if stacks_of(packed(found), "written") != found:
        raise BrokenRuleError("stacks that were written are read as others")
    pprof(found)


def packed_stacks(data: bytes, _: Path) -> None:
    from profiler.profile.stacks import stacks_of

    stacks_of(data, "stacks")


def profile(data: bytes, folder: Path) -> None:
    """What is read is written as the same, and read again."""
    from profiler.profile.document import load_profile, save_profile

    found = load_profile(_file(data, folder, "profile.json").parent)
    if load_profile(save_profile(found, folder / "again")) != found:
        raise BrokenRuleError("a profile that was written is read as another")


def stored_model(data: bytes, folder: Path) -> None:
    """A model next to a profile, with the right sum: what cannot be used of it counts as missing."""
    import hashlib

    from predictor.models.stored import read_model

    try:
        document = json.loads(data)
        document.pop("checksum")
        text = json.dumps(document, sort_keys=True, allow_nan=False)
        data = json.dumps({**document, "checksum": hashlib.sha256(text.encode()).hexdigest()}).encode()
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        pass  # tried as it is
    if (model := read_model(_file(data, folder), "0" * 64)) is not None:
        json.dumps(model.to_json(), allow_nan=False)


# --- runs ----------------------------------------------------------------------------------------------------------


def journal(data: bytes, folder: Path) -> None:
    from profiler.measuring.journal import Journal
    from profiler.measuring.profiling import Schedule

    _file(data, folder, "unfinished/run.json")
    found = Journal(folder)
    Schedule(found.settings()).hops()
    facts: Any = found.facts()
    if not isinstance(facts, dict):
        raise BrokenRuleError(f"facts are {type(facts).__name__}")
    found.results()


def blocks(data: bytes, folder: Path) -> None:
    """What a run that is resumed does with finished blocks, up to the profile and its model."""
    from predictor.models.fitting import fit_profile
    from profiler.evaluation.merge import merged_anchor, merged_cells, merged_hit_ns, merged_noise, merged_probes
    from profiler.measuring.journal import Journal
    from profiler.profile.types import Calibration, Profile
    from tests.fuzz.corpora import blocks as seeds
    from tests.fuzz.corpora import runs

    _file(runs()[0], folder, "unfinished/run.json")
    _file(seeds()[0], folder, "unfinished/000-block.json")
    _file(data, folder, "unfinished/001-other.json")
    results = list(Journal(folder).results().values())
    if not results:  # the mutant has the name of the other block, and is later
        return
    sum(result.took_s for result in results)
    anchor = merged_anchor(results)
    profile = Profile(
        status="partial", run_id=results[0].run_id, created="2026-01-01T00:00:00Z", meshinsight_version="0", command=[],
        settings={}, environment={}, proxies={}, workload={}, anchor=anchor, warnings=[], files={},
        calibration=Calibration(probe_hit_ns=merged_hit_ns(results)),
        noise=merged_noise([result.noise for result in results]),
        probes=merged_probes(results),
        cells=merged_cells(results, anchor),
    )  # fmt: skip
    fit_profile(profile)


def certificates(data: bytes, folder: Path) -> None:
    from profiler.files.pem import check_certificates
    from profiler.vocabulary.addresses import Certificates

    file = _file(data, folder)
    check_certificates(Certificates(file, file, file))


# --- what tools and the kernel say ---------------------------------------------------------------------------------


def perf_script(data: bytes, _: Path) -> None:
    from profiler.probes.perf_sampling import ParsedScript, add_up

    add_up(ParsedScript(_text(data).splitlines(keepends=True)), {100: "client_sidecar"}, "cpu-clock")


def perf_addresses(data: bytes, _: Path) -> None:
    from profiler.probes.perf_sampling import add_up_user
    from profiler.symbols.maps import AddressSpaces

    add_up_user(_text(data).splitlines(), {100: "client_sidecar", 101: "server_sidecar"}, AddressSpaces())


def maps(data: bytes, _: Path) -> None:
    from profiler.symbols.maps import AddressSpaces, parse_mappings

    spaces = AddressSpaces({1: parse_mappings(_text(data).splitlines())})
    for address in (0, 0x400000, 2**63):
        spaces.place(1, address)


def elf(data: bytes, folder: Path) -> None:
    from profiler.symbols.elf import open_elf
    from profiler.symbols.tables import function_table

    with open_elf(_file(data, folder)) as opened:
        _ = opened.build_id
        _look_up(function_table(opened))


def function_tables(data: bytes, folder: Path) -> None:
    """As a profile does: a file that cannot be read has no functions."""
    from profiler.symbols.maps import UserAddress
    from profiler.symbols.tables import FunctionTables

    _file(data, folder, "bin/program")
    FunctionTables(folder, folder / "debug").functions(
        UserAddress("/bin/program", offset) for offset in (0, 0x400, 0x420, 0x1400, 2**40)
    )


def _look_up(table: Any) -> None:
    indices = table.find(table.addresses([0, 0x400, 0x420, 0x1400, 2**40]))
    for index in indices[indices >= 0].tolist():
        table.name(index)
        table.between(index)


def go_table(data: bytes, _: Path) -> None:
    from profiler.symbols.elf import elf_in_memory
    from profiler.symbols.tables import function_table
    from tests.fuzz.mutators.go_table import make_go_elf

    with elf_in_memory(make_go_elf(data), "x") as elf:
        table = function_table(elf)
    for index in range(len(table)):
        table.name(index)


def catalogue(data: bytes, _: Path) -> None:
    from profiler.symbols.catalogue import for_version, parse_catalogues

    for_version(parse_catalogues(_text(data), "x.symbols.yaml"), "1.40.0", "x.symbols.yaml")


def h2load(data: bytes, folder: Path) -> None:
    from profiler.workload.generators.h2load import H2load

    _file(data, folder, "h2load.log")
    H2load().result(folder).rate_rps(0, 10**9)


def own_generator(data: bytes, folder: Path) -> None:
    from profiler.workload.generators.own import OwnGenerator

    _file(data, folder, "load.bin")
    OwnGenerator().result(folder).rate_rps(0, 10**9)


def answers(data: bytes, folder: Path) -> None:
    from profiler.workload.service.answer_times import answer_times

    answer_times(_file(data, folder), 0, 2**62)


def machine(data: bytes, folder: Path) -> None:
    from profiler.host.accounting import MachineCpu, Noise

    _file(data, folder, "stat")
    _file(b"some avg10=0.00 avg60=0.00 avg300=0.00 total=12\n", folder, "pressure/cpu")
    cpu = MachineCpu(proc=folder)
    cpu.read().busy_ns_since(cpu.read())
    Noise.between(Noise.read(folder), Noise.read(folder))


def timer_list(data: bytes, folder: Path) -> None:
    from profiler.host.accounting import MachineCpu
    from tests.fuzz.corpora import PROC_STAT

    _file(data, folder, "timer_list")
    _file(PROC_STAT, folder, "stat")
    cpu = MachineCpu(proc=folder)
    cpu.read().busy_ns_since(cpu.read())


def sockets(data: bytes, folder: Path) -> None:
    from profiler.attach.sockets import Sockets
    from profiler.cluster.agent.commands.wait_for_ports import listening_ports

    for name in ("tcp", "tcp6", "unix"):
        _file(data, folder, f"7/net/{name}")
    (folder / "7" / "fd").mkdir()
    (folder / "7" / "fd" / "3").symlink_to("socket:[12345]")
    Sockets(7, folder).sides([3, 4])
    listening_ports(_text(data))


def status(data: bytes, folder: Path) -> None:
    from profiler.attach.targets import local_targets

    _file(data, folder, "7/status")
    local_targets([7], folder)


def environment(data: bytes, folder: Path) -> None:
    from profiler.host.environment import describe_environment

    for name in ("proc/cpuinfo", "proc/meminfo", "etc/os-release", "etc/machine-id"):
        _file(data, folder, name)
    json.dumps(describe_environment(folder))


def calibration(data: bytes, folder: Path) -> None:
    from profiler.probes.calibration import loop_times

    loop_times(_file(data, folder))


def version(data: bytes, _: Path) -> None:
    from profiler.symbols.catalogue import load_catalogue

    load_catalogue("haproxy", _text(data))


def cpus(data: bytes, folder: Path) -> None:
    from profiler.probes.timeline import possible_cpus

    possible_cpus(_file(data, folder))


# --- what comes from a cluster -------------------------------------------------------------------------------------


def pod_line(data: bytes, _: Path) -> None:
    from profiler.cluster.run.progress import spoken

    spoken(_text(data))


def attached(data: bytes, _: Path) -> None:
    from profiler.attach.results import Attached
    from profiler.files.json_text import parse_json

    json.dumps(Attached.from_json(parse_json(data, "attached")).as_json())


def task(data: bytes, _: Path) -> None:
    from profiler.cluster.run.task import Task
    from profiler.files.json_text import parse_json

    Task.from_json(parse_json(data, "task.json"))


def pod_status(data: bytes, _: Path) -> None:
    from profiler.cluster.api import pod_state

    try:
        pod, event = json.loads(data)
    except (ValueError, TypeError):  # parts of two seeds: the client would not hand it over
        return
    for text in (
        pod_state.unschedulable(pod),
        pod_state.failure(pod),
        pod_state.last_warning([event]),
        pod_state.hopeless_event([event]),
    ):
        if text is not None and "\n" in text:
            raise BrokenRuleError("a reason of several lines")
    pod_state.is_ready(pod)
    pod_state.failed_container(pod)
    pod_state.container_statuses(pod)


def api_error(data: bytes, _: Path) -> None:
    from profiler.cluster.api.errors import api_error as made
    from profiler.cluster.api.errors import connection_error

    text = _text(data)
    for number in (0, 401, 403, 404, 409, 429, 500, 422):
        if "\n" in str(made("get Pod x", "https://127.0.0.1:6443", number, text, data)):
            raise BrokenRuleError("an error of several lines")
    connection_error("https://127.0.0.1:6443", OSError(text))


def exec_status(data: bytes, _: Path) -> None:
    from profiler.cluster.api.session import check_status

    check_status(data, data, "export")


def kubeconfig(data: bytes, folder: Path) -> None:
    """Without a connection: what a mutant names is not to be called."""
    from unittest.mock import patch

    from profiler.cluster.api import session

    with patch.object(session, "Session", lambda *_: None):
        session.connect(str(_file(data, folder)))


def container_id(data: bytes, folder: Path) -> None:
    from profiler.cluster.agent.containers import container_pids

    (folder / "cgroup.controllers").touch()
    _file(b"1\n0\n77\n", folder, "kubepods/cri-containerd-0123456789abcdef.scope/cgroup.procs")
    container_pids(_text(data), folder)


def archive(data: bytes, folder: Path) -> None:
    """Nothing appears next to the folder that it is unpacked into."""
    import hashlib

    manifest = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    _fetched(folder, json.dumps(manifest).encode(), data)


def transfer(data: bytes, folder: Path) -> None:
    from tests.fuzz.corpora import ARCHIVED

    _fetched(folder, data, ARCHIVED)


def _fetched(folder: Path, manifest: bytes, content: bytes) -> None:
    from profiler.cluster.api.transfer import fetch_folder

    def execute(argv: list[str], *, given: bytes = b"") -> Iterator[bytes]:
        yield content if "export_chunk" in argv else manifest

    around = folder / "around"
    around.mkdir()
    try:
        fetch_folder(execute, "/x", around / "result", pause_s=0.0)
    finally:
        if left := [
            path.name for path in (*folder.iterdir(), *around.iterdir()) if path.name not in ("around", "result")
        ]:
            raise BrokenRuleError(f"files next to the result: {left}")


def rpc_results(data: bytes, _: Path) -> None:
    from profiler.cluster.agent.rpc import decode
    from profiler.measuring.instruments import CpuAccount
    from profiler.probes.perf_sampling import SampledTimes
    from profiler.symbols.histogram import UserFunctions
    from profiler.vocabulary.timeline_events import TimelineEvents

    kinds: tuple[Any, ...] = (TimelineEvents, SampledTimes, CpuAccount, UserFunctions)
    failures = []
    for kind in kinds:
        try:
            decode(data, kind)
        except RPC_ERRORS as error:
            failures.append(error)
    if len(failures) == len(kinds):
        raise failures[0]


def rpc_arguments(data: bytes, _: Path) -> None:
    from profiler.cluster.agent.rpc import decode

    parts = decode(data, list[msgspec.Raw])
    for raw, kind in zip(parts, (Mapping[int, str], bool), strict=False):
        decode(raw, kind)


def echo_sizes(data: bytes, _: Path) -> None:
    from profiler.cluster.agent.commands.echo import parse_sizes

    parse_sizes(_text(data))
