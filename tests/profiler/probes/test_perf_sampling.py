"""Perf sampling: real captures as goldens, and perf itself against a process whose behaviour is known."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.errors import MissingError, ProcessError
from profiler.host.accounting import run_time_ns
from profiler.probes.perf_sampling import (
    CPU_CLOCK,
    CYCLES,
    ParsedScript,
    PerfSampling,
    Sample,
    SampledTimes,
    add_up,
    add_up_user,
    best_event,
)
from profiler.symbols.maps import NOWHERE, AddressSpaces, MappedPages, UserAddress
from profiler.symbols.stacks import KERNEL, Stack
from profiler.vocabulary.components import (
    CLIENT_APP,
    CLIENT_SIDECAR,
    EVENT_WAIT,
    IPC,
    OTHER,
    REDIRECT,
    SERVER_APP,
    SERVER_SIDECAR,
    SIDECARS,
    SOCKET_READ,
    SOCKET_WRITE,
)
from profiler.vocabulary.cpu_states import IDLE, PROBE, REST, TOOL, UNRESOLVED, USER
from tests.profiler.probes.workloads import child, work

CAPTURES = Path(__file__).parents[2] / "data" / "perf"
CAPTURED_ROLES = {3441: CLIENT_SIDECAR, 3492: SERVER_SIDECAR, 3385: SERVER_APP, 28872: CLIENT_APP}
PERIOD_NS = 500_250
TICKS_NS = 20_000_000
"""What the kernel's run time of a running thread lags behind at most, twice, at any common tick."""
SPIN = """
import sys
sys.stdin.readline()
print("spinning", flush=True)
while True:
    pass
"""


def captured(name: str) -> SampledTimes:
    text = (CAPTURES / f"{name}.txt").read_text()
    return add_up(ParsedScript(text.splitlines()), CAPTURED_ROLES, CPU_CLOCK)


def test_a_capture_of_two_sidecars_falls_into_the_classes_a_reader_finds() -> None:
    counts = {
        kind: weight / PERIOD_NS
        for (role, kind), weight in captured("http-both-sidecars").weights.items()
        if role == CLIENT_SIDECAR
    }
    expected = (USER, IPC, REDIRECT, SOCKET_READ, SOCKET_WRITE, EVENT_WAIT, OTHER)
    assert counts == dict.fromkeys(expected, 6)  # the capture was cut to six of each


def test_folding_moves_samples_and_loses_none() -> None:
    times = captured("http-both-sidecars")
    assert sum(times.folded_weights.values()) == sum(times.weights.values()) == times.samples * PERIOD_NS
    assert (CLIENT_SIDECAR, REDIRECT) not in times.folded_weights


def test_the_stacks_of_the_hop_hold_all_its_samples_outermost_function_first() -> None:
    times = captured("http-both-sidecars")
    in_kernel = {key: weight for key, weight in times.weights.items() if key[0] in SIDECARS and key[1] != USER}
    found: dict[tuple[str, str], float] = {}
    for stack in times.stacks:
        if stack.process in SIDECARS:
            found[stack.process, stack.kind] = found.get((stack.process, stack.kind), 0.0) + stack.weight
            assert stack.file == KERNEL
    assert found == in_kernel
    (sent,) = {stack.frames[0] for stack in times.stacks if stack.kind == SOCKET_WRITE}
    assert sent.startswith("entry_SYSCALL_64")


def test_stacks_of_idle_cpus_and_of_others_are_left_out() -> None:
    lines = [f"  {process}/1    [001] K         7 \n\tffffffff81000130 ksys_read" for process in (0, 5, 6, 7)]
    roles = {5: SERVER_APP, 6: TOOL}
    times = add_up(ParsedScript("\n".join(lines).splitlines()), roles, CPU_CLOCK)
    assert times.stacks == [Stack(SERVER_APP, SOCKET_READ, KERNEL, ("ksys_read",), 7.0)]


def test_user_mode_of_applications_is_one_stack_without_a_function() -> None:
    lines = ["  5/1    [001] U         7 ", "  9/1    [001] U         7 "]
    times = add_up(ParsedScript(lines), {5: SERVER_APP, 9: CLIENT_SIDECAR}, CPU_CLOCK)
    assert times.stacks == [Stack(SERVER_APP, USER, "[user]", ("[user]",), 7.0)]


def test_every_line_of_a_capture_is_understood() -> None:
    script = ParsedScript((CAPTURES / "http-both-sidecars.txt").read_text().splitlines())
    samples = list(script)
    assert script.ignored == 0
    assert len(samples) == 164
    assert {sample.process for sample in samples} == {0, *CAPTURED_ROLES}


def test_samples_taken_in_our_own_probes_are_named_so() -> None:
    assert {kind for _, kind in captured("probes-attached").weights} == {PROBE}


def test_lost_events_are_counted_between_samples() -> None:
    times = captured("lost-events")
    assert (times.samples, times.lost) == (8, 26 + 5)


def test_lost_samples_of_newer_kernels_are_counted() -> None:
    script = ParsedScript(["    0/0     [001]  PERF_RECORD_LOST_SAMPLES lost 17"])
    assert list(script) == []
    assert script.lost == 17


def test_a_sample_without_a_stack_is_followed_by_the_next() -> None:
    lines = [
        "  12/13    [001] U         500250 ",
        "",
        "  14/14    [000] K         500250 ",
        "\tffffffff81000130 ksys_read",
    ]
    assert list(ParsedScript(lines)) == [Sample(12, True, 500_250, ()), Sample(14, False, 500_250, ("ksys_read",))]


def test_a_process_that_has_ended_is_rest() -> None:
    lines = ["  -1/-1    [001] K         7 ", "\tffffffff81000130 [unknown]"]
    assert add_up(ParsedScript(lines), {}, CPU_CLOCK).weights == {(REST, UNRESOLVED): 7}


@given(st.lists(st.text(max_size=60), max_size=30))
def test_no_text_breaks_the_parser(lines: list[str]) -> None:
    script = ParsedScript(lines)
    assert len(list(script)) + script.ignored <= len(lines)


MAPPED = "    0 U     PERF_RECORD_MMAP2 12/12: [0x560000000000(0x1000) @ 0x2f000 fe:00 246999 0]: r-xp /usr/bin/proxy"
USER_SAMPLES = [
    MAPPED,
    "   12 U         500250      560000000010",
    "   12 U         500250      560000000010 ",
    "   12 K         500250  ffffffff81000130",
    "   13 U         500250      560000000010",
    "",
]


def test_user_samples_are_added_up_by_their_place_in_a_file() -> None:
    weights, samples = add_up_user(USER_SAMPLES, {12: CLIENT_SIDECAR})
    assert weights == {(CLIENT_SIDECAR, UserAddress("/usr/bin/proxy", 0x2F010)): 2 * PERIOD_NS}
    assert samples == 2


def test_addresses_without_a_record_are_looked_up_in_the_living_process() -> None:
    spaces = AddressSpaces({12: [MappedPages(0x560000000000, 0x560000001000, 0, "/usr/bin/late")]})
    lines = [line for line in USER_SAMPLES if line != MAPPED]
    weights, _ = add_up_user(lines, {12: CLIENT_SIDECAR, 13: SERVER_SIDECAR}, spaces)
    assert weights == {
        (CLIENT_SIDECAR, UserAddress("/usr/bin/late", 0x10)): 2 * PERIOD_NS,
        (SERVER_SIDECAR, UserAddress(NOWHERE, 0x560000000010)): PERIOD_NS,
    }


@given(st.lists(st.text(max_size=60), max_size=30))
def test_no_text_breaks_the_reader_of_addresses(lines: list[str]) -> None:
    assert add_up_user(lines, {})[1] == 0


def sampled(event: str) -> SampledTimes:
    weights = {(CLIENT_SIDECAR, USER): 60.0, (CLIENT_SIDECAR, UNRESOLVED): 20.0, (IDLE, IDLE): 900.0}
    return SampledTimes(event, weights, weights, samples=10, lost=0)


def test_the_unresolved_share_is_of_busy_samples() -> None:
    assert sampled(CPU_CLOCK).unresolved_share == 0.25


def test_samples_are_scaled_to_the_busy_time_of_the_machine() -> None:
    assert sampled(CPU_CLOCK).time_ns(busy_ns=160.0)[CLIENT_SIDECAR, USER] == 120.0
    assert sampled(CPU_CLOCK).time_ns()[CLIENT_SIDECAR, USER] == 60.0


def test_cycles_do_not_become_time_by_themselves() -> None:
    with pytest.raises(ValueError, match="busy_ns"):
        sampled(CYCLES).time_ns()


@pytest.mark.parametrize(
    ("devices", "event"),
    [
        (("breakpoint", "power", "software", "tracepoint"), CPU_CLOCK),
        (("cpu", "software"), CYCLES),
        (("cpu_core", "cpu_atom"), CYCLES),
        (("armv8_pmuv3_0",), CYCLES),
    ],
)
def test_cycles_are_sampled_where_there_is_a_pmu(tmp_path: Path, devices: tuple[str, ...], event: str) -> None:
    for device in devices:
        (tmp_path / device).mkdir()
    assert best_event(tmp_path) == event


def test_a_machine_without_perf_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingError, match="linux-perf"), PerfSampling():
        pass


def test_perf_commands_outside_of_a_with_statement_are_refused() -> None:
    with pytest.raises(ProcessError, match="with statement"):
        PerfSampling().start()


@pytest.mark.kernel
@pytest.mark.timing
def test_a_spinning_process_is_sampled_as_user_time() -> None:
    with child(SPIN) as process, PerfSampling() as perf:
        work(process)
        outer = -run_time_ns(process.pid)
        perf.start()
        inner = -run_time_ns(process.pid)
        time.sleep(0.6)
        inner += run_time_ns(process.pid)
        perf.stop()
        outer += run_time_ns(process.pid)
        times = perf.read({process.pid: CLIENT_APP})
    assert inner * 0.95 - TICKS_NS < times.time_ns()[CLIENT_APP, USER] < outer * 1.05 + TICKS_NS
    assert times.unresolved_share < 0.05


@pytest.mark.kernel
@pytest.mark.timing
def test_perf_and_this_process_are_of_role_tool() -> None:
    with PerfSampling() as perf:
        perf.start()
        until = time.process_time() + 0.2
        while time.process_time() < until:
            pass
        perf.stop()
        times = perf.read({})
    assert sum(spent for (role, _), spent in times.time_ns().items() if role == TOOL) > 0.1e9


@pytest.mark.kernel
def test_an_event_perf_refuses_is_an_error_with_perfs_words() -> None:
    with (
        pytest.raises(ProcessError, match=r"no-such-event ended (at|before) `ping`: .*syntax error"),
        PerfSampling(event="no-such-event"),
    ):
        pass


@pytest.mark.kernel
def test_perf_dying_in_a_window_is_an_error() -> None:
    with PerfSampling() as perf:
        perf.start()
        os.kill(perf.process_id, signal.SIGKILL)
        time.sleep(0.1)
        with pytest.raises(ProcessError, match="ended"):
            perf.stop()


@pytest.mark.kernel
def test_nothing_is_left_on_disk_or_running(tmp_path: Path) -> None:
    with PerfSampling(directory=tmp_path) as perf:
        perf.start()
        process = perf.process_id
        assert len(list(tmp_path.iterdir())) == 1
    assert not Path(f"/proc/{process}").exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.kernel
def test_perf_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path\nfrom profiler.probes.perf_sampling import PerfSampling\nimport time\n"
        f"with PerfSampling(directory=Path({str(tmp_path)!r})) as perf:\n"
        "    print(perf.process_id, flush=True); time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]
    )
    assert parent.stdout
    perf = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    until = time.monotonic() + 5
    while Path(f"/proc/{perf}").exists() and time.monotonic() < until:
        time.sleep(0.02)
    assert not Path(f"/proc/{perf}").exists()
