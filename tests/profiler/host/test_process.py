import os
import sys
import time
from pathlib import Path

import pytest

from profiler.errors import MissingError, ProcessError
from profiler.host.process import Placement, describe_status, read_stat, start_process
from profiler.testbed.leftovers import RUN_ID_VARIABLE
from profiler.testbed.run import Run
from tests.profiler.testbed.conftest import eventually, is_gone

STUBBORN = "trap '' TERM; echo ready; while :; do sleep 1000; done"


def environ(pid: int) -> list[bytes]:
    return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


def status_field(pid: int, name: str) -> list[str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split()[1:] for line in lines if line.startswith(f"{name}:"))


def test_start_time_tells_two_processes_of_one_pid_apart() -> None:
    stat = read_stat(os.getpid())
    parent = read_stat(1)
    assert stat is not None
    assert parent is not None
    assert stat.state == "R"
    assert stat.start_time_ticks > parent.start_time_ticks


def test_there_is_no_stat_of_a_pid_that_nobody_has() -> None:
    assert read_stat(2**22 + 1) is None


def test_a_status_in_words_names_the_signal() -> None:
    assert describe_status(-9) == "was ended by SIGKILL"
    assert describe_status(3) == "ended with exit status 3"


def test_launchers_come_in_an_order_that_works() -> None:
    # The user changes before the parent-death signal is set (same program).
    argv = Placement(uid=1337, cpus=(1,)).launcher_argv()
    assert argv[:3] == ["setpriv", "--pdeathsig", "KILL"]
    assert argv[-3:] == ["taskset", "--cpu-list", "1"]


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no-such-program"):
        start_process("x", ["no-such-program"], Placement(), env={}, log_path=tmp_path / "x.log", stdout=None)


@pytest.mark.kernel
class TestSpawn:
    def test_the_pid_is_the_final_programs(self, run: Run) -> None:
        process = run.spawn("idler", ["sleep", "1000"], uid=1337, cpu=0)
        assert Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")[1:] == [b"1000", b""]

    def test_user_and_group_change_and_other_groups_go(self, run: Run) -> None:
        process = run.spawn("idler", ["sleep", "1000"], uid=1337)
        assert status_field(process.pid, "Uid") == status_field(process.pid, "Gid") == ["1337"] * 4
        assert status_field(process.pid, "Groups") == []
        assert status_field(process.pid, "CapEff") == ["0" * 16]

    def test_it_runs_on_its_cpu(self, run: Run) -> None:
        process = run.spawn("idler", ["sleep", "1000"], cpu=0)
        assert os.sched_getaffinity(process.pid) == {0}

    def test_it_runs_on_any_of_its_cpus(self, run: Run) -> None:
        cpus = os.sched_getaffinity(0)
        process = run.spawn("idler", ["sleep", "1000"], cpu=sorted(cpus))
        assert os.sched_getaffinity(process.pid) == cpus

    def test_it_runs_in_its_network_namespace(self, run: Run) -> None:
        namespace = run.add_namespace("a")
        process = run.spawn("idler", ["sleep", "1000"], netns=namespace)
        assert Path(f"/proc/{process.pid}/ns/net").stat().st_ino == namespace.path.stat().st_ino

    def test_it_has_its_own_group_in_the_sessions_scheduling_group(self, run: Run) -> None:
        process = run.spawn("idler", ["sleep", "1000"])
        assert os.getpgid(process.pid) == process.pid
        assert os.getsid(process.pid) == os.getsid(0)

    def test_the_run_id_and_the_given_variables_are_in_its_environment(self, run: Run) -> None:
        process = run.spawn("idler", ["sleep", "1000"], env={"COLOUR": "green"})
        assert {f"{RUN_ID_VARIABLE}={run.id}".encode(), b"COLOUR=green"} <= set(environ(process.pid))

    def test_it_is_in_the_root_directory_unless_another_is_named(self, run: Run, tmp_path: Path) -> None:
        usual, own = run.spawn("a", ["sleep", "1000"]), run.spawn("b", ["sleep", "1000"], cwd=tmp_path)
        assert [Path(f"/proc/{process.pid}/cwd").readlink() for process in (usual, own)] == [Path("/"), tmp_path]

    def test_a_program_in_the_working_directory_is_not_found(
        self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "taskset").write_text("#!/bin/sh\nexit 66\n")
        (tmp_path / "taskset").chmod(0o755)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("PATH", f".:{os.environ['PATH']}")
        assert run.spawn("idler", ["true"], cpu=0, cwd=tmp_path).wait(20) == 0

    def test_an_argument_can_be_hidden_once_it_has_been_read(self, run: Run) -> None:
        process = run.spawn("idler", ["sh", "-c", "sleep 1000; :", "sh", "--header=Bearer secret", "secret"])
        process.hide_argument("secret")
        arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
        assert arguments[-3:] == [b"--header=Bearer xxxxxx", b"xxxxxx", b""]

    def test_its_last_words_are_quoted_since_the_log_goes_with_the_run(self, run: Run) -> None:
        process = run.spawn("talker", ["sh", "-c", "echo first; echo last >&2"])
        process.wait(20)
        assert process.last_words() == ": first | last"
        silent = run.spawn("silent", ["true"])
        silent.wait(20)
        assert silent.last_words() == "; it wrote nothing to its log"

    def test_standard_output_goes_to_its_file_and_errors_to_the_log(self, run: Run, tmp_path: Path) -> None:
        process = run.spawn("talker", ["sh", "-c", "echo out; echo err >&2"], stdout=tmp_path / "out")
        process.wait(20)
        assert (tmp_path / "out").read_text() == "out\n"
        assert process.log_path.read_text() == "err\n"

    def test_without_a_file_both_go_to_the_log_in_order(self, run: Run) -> None:
        process = run.spawn("talker", ["sh", "-c", "echo out; echo err >&2; echo more"])
        process.wait(20)
        assert process.log_path.read_text() == "out\nerr\nmore\n"

    def test_a_program_that_its_user_may_not_run_says_so(self, run: Run) -> None:
        program = run.add_directory("private") / "program"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o700)
        process = run.spawn("forbidden", [str(program)], uid=1337)
        process.wait(20)
        with pytest.raises(ProcessError, match=r"forbidden \(pid \d+\) ended with exit status \d+: .*denied"):
            process.check()

    def test_a_namespace_that_is_gone_is_named(self, run: Run) -> None:
        namespace = run.add_namespace("a")
        namespace.delete()
        process = run.spawn("lost", ["sleep", "1000"], netns=namespace)
        process.wait(20)
        with pytest.raises(ProcessError, match=namespace.name):
            process.check()

    def test_a_name_is_refused_while_it_is_in_use(self, run: Run) -> None:
        run.spawn("idler", ["sleep", "1000"]).stop()
        run.spawn("idler", ["sleep", "1000"])
        with pytest.raises(ValueError, match="idler"):
            run.spawn("idler", ["sleep", "1000"])


@pytest.mark.kernel
class TestWatch:
    def test_check_tells_the_status_and_the_last_lines_of_the_log(self, run: Run) -> None:
        process = run.spawn("loader", ["sh", "-c", "echo cannot connect; exit 3"])
        process.wait(20)
        with pytest.raises(ProcessError, match=r"loader \(pid \d+\) ended with exit status 3: cannot connect"):
            process.check()

    def test_check_is_content_while_it_runs(self, run: Run) -> None:
        process = run.spawn("idler", ["sleep", "1000"])
        process.check()
        assert process.poll() is None

    def test_a_signal_that_ended_it_is_a_negative_status(self, run: Run) -> None:
        process = run.spawn("victim", ["sleep", "1000"])
        process.signal(9)
        assert process.wait(20) == -9

    def test_waiting_is_limited(self, run: Run) -> None:
        process = run.spawn("idler", ["sleep", "1000"])
        with pytest.raises(ProcessError, match=r"did not end within 0\.01 s"):
            process.wait(0.01)

    def test_a_pid_stays_reserved_until_stop(self, run: Run) -> None:
        process = run.spawn("quick", ["true"])
        process.wait(20)
        assert read_stat(process.pid) is not None
        process.stop()
        assert read_stat(process.pid) is None

    @pytest.mark.timing
    def test_run_time_of_a_known_burner_is_what_it_says(self, run: Run) -> None:
        burner = "import time\nwhile time.process_time() < 1: pass\nprint(time.process_time_ns())"
        process = run.spawn("burner", [sys.executable, "-c", burner])
        process.wait(20)
        said_ns = int(process.log_path.read_text())
        assert said_ns <= process.run_time_ns() <= said_ns * 1.1

    def test_resident_memory_of_a_known_hoard_is_what_it_holds(self, run: Run) -> None:
        hoard = "import time; kept = b'x' * (64 << 20); print('ready', flush=True); time.sleep(1000)"
        process = run.spawn("hoarder", [sys.executable, "-c", hoard])
        assert eventually(lambda: "ready" in process.log_path.read_text())
        assert 64 << 20 <= process.rss_bytes() < 100 << 20

    def test_a_process_that_has_ended_holds_no_memory(self, run: Run) -> None:
        process = run.spawn("quick", ["true"])
        process.wait(20)
        process.stop()
        assert process.rss_bytes() == 0

    def test_run_time_is_kept_after_stop(self, run: Run) -> None:
        process = run.spawn("quick", ["true"])
        process.wait(20)
        before_ns = process.run_time_ns()
        process.stop()
        assert process.run_time_ns() == before_ns > 0


@pytest.mark.kernel
class TestStop:
    def test_children_go_too(self, run: Run) -> None:
        process = run.spawn("parent", ["sh", "-c", "sleep 1000 & echo $!; wait"])
        assert eventually(lambda: process.log_path.read_text().strip().isdigit())
        child = int(process.log_path.read_text())
        process.stop()
        assert eventually(lambda: is_gone(child))

    def test_children_of_one_that_has_ended_go_too(self, run: Run) -> None:
        process = run.spawn("parent", ["sh", "-c", "sleep 1000 & echo $!"])
        process.wait(20)
        child = int(process.log_path.read_text())
        process.stop()
        assert eventually(lambda: is_gone(child))

    def test_children_that_ignore_sigterm_go_with_a_parent_that_does_not(self, run: Run) -> None:
        process = run.spawn("parent", ["sh", "-c", f'(exec sh -c "{STUBBORN}") & echo $!; wait'])
        assert eventually(lambda: len(process.log_path.read_text().split()) == 2)
        child = int(process.log_path.read_text().replace("ready", ""))
        process.stop()
        assert process.poll() == -15
        assert eventually(lambda: is_gone(child))

    def test_one_that_ignores_sigterm_is_killed(self, run: Run) -> None:
        process = run.spawn("stubborn", ["sh", "-c", STUBBORN])
        assert eventually(lambda: "ready" in process.log_path.read_text())
        process.stop(grace_s=0.05)
        assert process.poll() == -9

    @pytest.mark.timing
    def test_a_paused_one_ends_without_the_wait(self, run: Run) -> None:
        process = run.spawn("paused", ["sleep", "1000"])
        process.signal(19)
        assert eventually(process.is_paused)
        started_s = time.monotonic()
        process.stop(grace_s=60)
        assert time.monotonic() - started_s < 30
        assert process.poll() == -15

    def test_a_second_stop_does_nothing(self, run: Run) -> None:
        process = run.spawn("idler", ["sleep", "1000"])
        process.stop()
        process.stop()
        process.signal(9)
        assert process.poll() == -15
