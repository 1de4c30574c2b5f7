"""The raw samples of a block as files: stacks of each cell, with and without perf."""

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from profiler.evaluation.readings import Readings
from profiler.evaluation.windows import CpuWindow
from profiler.host.accounting import Noise
from profiler.measuring.samples import save_samples
from profiler.planning.cells import Cell, Plan, make_plan
from profiler.planning.settings import ProfileSettings
from profiler.probes.cputime import CpuTimes
from profiler.probes.perf_sampling import CPU_CLOCK, SampledTimes
from profiler.profile.stacks import read_stacks
from profiler.symbols.stacks import KERNEL, SampledStacks, Stack

SENDING = Stack("client_sidecar", "socket_write", KERNEL, ("do_syscall_64", "tcp_sendmsg"), 5.0)
READING = Stack("client_sidecar", "socket_read", KERNEL, ("do_syscall_64", "tcp_recvmsg"), 7.0)
QUIET = Noise(0.0, 0.0)


@pytest.fixture
def plan() -> Plan:
    return make_plan(ProfileSettings(protocols=("tcp",), topologies=("client",), temperatures=("hot",)))


def window(*stacks: Stack, requests: float = 10.0) -> CpuWindow:
    samples = SampledTimes(CPU_CLOCK, {}, {}, len(stacks), 0, stacks=list(stacks))
    return CpuWindow(9.0, 9.0, 9.0, CpuTimes({}, {}, 0), 9.0, 9.0, requests, samples, 1.0, 1.0, QUIET)


def test_the_windows_of_a_cell_are_added_up(plan: Plan, tmp_path: Path) -> None:
    readings, cell = Readings(), plan.cells[0]
    readings.cpu[cell.hop, cell.scene] = [window(SENDING, READING), window(SENDING, requests=15.0)]
    readings.cpu[cell.baseline] = [window(READING)]
    files = save_samples(plan, readings, tmp_path, block=1)
    assert files["stacks_2"] == "stacks_2.zst"
    assert read_stacks(tmp_path / "stacks_2.zst") == [
        SampledStacks(cell.id, CPU_CLOCK, (SENDING._replace(weight=10.0), READING), 25.0),
        SampledStacks(Cell(*cell.baseline).id, CPU_CLOCK, (READING,), 10.0),
    ]


def test_without_perf_there_is_no_file_of_stacks(plan: Plan, tmp_path: Path) -> None:
    readings, cell = Readings(), plan.cells[0]
    readings.cpu[cell.hop, cell.scene] = [replace(window(), samples=None)]
    assert set(save_samples(plan, readings, tmp_path)) == {"exchanges", "cpu", "histograms"}
    assert not (tmp_path / "stacks.zst").exists()


def test_cpu_times_are_a_table_that_other_libraries_read(plan: Plan, tmp_path: Path) -> None:
    readings, cell = Readings(), plan.cells[0]
    readings.cpu[cell.hop, cell.scene] = [window(), window(requests=15.0)]
    save_samples(plan, readings, tmp_path)
    rows = pq.read_table(tmp_path / "cpu.parquet").to_pylist()
    common = {"cell": cell.id, "requests": 9.0, "role": "all", "state": "busy", "cpu_ns": 9.0}
    assert rows == [
        common | {"round": number, "method": method} for number in (0, 1) for method in ("none", "tracepoints")
    ]


def test_without_readings_tables_are_empty_and_have_their_columns(plan: Plan, tmp_path: Path) -> None:
    save_samples(plan, Readings(), tmp_path)
    exchanges, cpu = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("exchanges", "cpu"))
    assert (exchanges.num_rows, cpu.num_rows) == (0, 0)
    assert {"cell", "round", "client_app.request.user.pieces"} <= set(exchanges.column_names)
    assert cpu.column_names == ["cell", "round", "requests", "method", "role", "state", "cpu_ns"]
