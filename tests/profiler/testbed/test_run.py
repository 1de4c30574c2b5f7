import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from profiler.errors import MeshInsightError, MissingError
from profiler.host.interrupts import Interrupted
from profiler.host.netns import Namespace, namespace_names
from profiler.host.programs import run_tool
from profiler.testbed.leftovers import RUN_ID_VARIABLE, LeftBehindError, find_leftovers, remove_traces
from profiler.testbed.run import Run, measuring_lock
from tests.profiler.testbed.conftest import Driver, eventually, is_gone, root_network, traces

pytestmark = pytest.mark.kernel

Drive = Callable[..., Driver]


@pytest.fixture
def small_disk(state_dir: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    directory = state_dir / "small"
    directory.mkdir()
    run_tool(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(directory)])
    yield directory
    run_tool(["umount", "--lazy", str(directory)])


def fill(directory: Path) -> None:
    with (directory / "filler").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


class TestStart:
    def test_without_root_it_is_refused(self, state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        with pytest.raises(MissingError, match=r"not root: .*sudo"):
            Run.start(state_dir)

    def test_every_user_can_pass_through_its_directory(self, state_dir: Path) -> None:
        old_umask = os.umask(0o077)
        try:
            with Run.start(state_dir / "new") as run:
                run_tool(["setpriv", "--reuid=1337", "--regid=1337", "--clear-groups", "ls", str(run.directory)])
        finally:
            os.umask(old_umask)

    def test_a_users_directory_is_the_users(self, run: Run) -> None:
        directory = run.add_directory("envoy", uid=1337)
        run.spawn("touch", ["touch", str(directory / "admin.sock")], uid=1337).wait(20)
        assert (directory / "admin.sock").exists()

    def test_a_dead_run_is_removed(self, state_dir: Path, drive: Drive) -> None:
        dead = drive()
        dead.reach("pods")
        dead.kill()
        with Run.start(state_dir):
            assert not (state_dir / dead.run_id).exists()
            assert namespace_names(f"mi-{dead.run_id}-") == []

    def test_a_full_disk_is_named_and_nothing_stays(self, small_disk: Path) -> None:
        fill(small_disk)
        with pytest.raises(MeshInsightError, match=f"cannot write to {small_disk}: No space left"):
            Run.start(small_disk)
        assert [path.name for path in small_disk.iterdir()] == ["filler"]

    def test_another_thread_is_refused(self, state_dir: Path) -> None:
        caught: list[RuntimeError] = []

        def start() -> None:
            try:
                Run.start(state_dir)
            except RuntimeError as error:
                caught.append(error)

        thread = threading.Thread(target=start)
        thread.start()
        thread.join()
        assert "main thread" in str(caught[0])


class TestStop:
    def test_nothing_is_left(self, state_dir: Path) -> None:
        before = root_network()
        with Run.start(state_dir) as run:
            namespace = run.add_namespace("a")
            process = run.spawn("idler", ["sleep", "1000"], netns=namespace)
            assert traces(state_dir, run.id) == [run.id, namespace.name, str(process.pid)]
        assert traces(state_dir, run.id) == []
        assert root_network() == before
        assert RUN_ID_VARIABLE not in os.environ

    def test_a_second_stop_does_nothing(self, run: Run) -> None:
        run.stop()
        run.stop()

    def test_after_it_nothing_can_be_added(self, run: Run) -> None:
        run.stop()
        with pytest.raises(RuntimeError, match="has been stopped"):
            run.spawn("idler", ["sleep", "1000"])
        with pytest.raises(RuntimeError, match="has been stopped"):
            run.add_namespace("a")

    def test_a_process_that_left_its_group_goes_too(self, run: Run) -> None:
        process = run.spawn("parent", ["sh", "-c", "setsid sleep 1000 & echo $!; wait"])
        assert eventually(lambda: process.log_path.read_text().strip().isdigit())
        stray = int(process.log_path.read_text())
        run.stop()
        assert is_gone(stray)

    def test_recorded_files_go_and_their_neighbours_stay(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "profile.json").touch()
        (tmp_path / f".profile-{run.id}.tmp").touch()
        run.record_path(tmp_path / f".profile-{run.id}.tmp")
        run.stop()
        assert [path.name for path in tmp_path.iterdir()] == ["profile.json"]

    def test_a_disk_that_fills_up_meanwhile_does_not_matter(self, small_disk: Path) -> None:
        with Run.start(small_disk) as run:
            namespace = run.add_namespace("a")
            fill(small_disk)
            run.spawn("talker", ["sh", "-c", "echo no room; sleep 1000"], netns=namespace)
            with pytest.raises(MeshInsightError, match="No space left"):
                run.record_path(Path(f"/nowhere/{run.id}"))
        assert traces(small_disk, run.id) == []

    def test_a_program_that_is_not_there_leaves_the_run_usable(self, run: Run) -> None:
        with pytest.raises(MissingError, match="no-such-envoy"):
            run.spawn("envoy", ["no-such-envoy"])
        run.spawn("envoy", ["sleep", "1000"]).check()

    def test_a_directory_already_gone_is_no_failure(self, run: Run) -> None:
        namespace = run.add_namespace("a")
        shutil.rmtree(run.directory)
        run.stop()
        assert not namespace.path.exists()


class TestFailingStop:
    """The end of a run fails: nothing of that may hide why the run ended."""

    @pytest.fixture
    def stubborn(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
        def delete(namespace: Namespace) -> None:
            raise MeshInsightError(f"{namespace.name} is stuck")

        run.add_namespace("a")
        with monkeypatch.context() as patched:
            patched.setattr(Namespace, "delete", delete)
            yield run
        remove_traces(run.directory)

    def test_it_names_what_is_left(self, stubborn: Run) -> None:
        with pytest.raises(LeftBehindError, match=r"left something behind, .*cleanup.*-a is stuck"):
            stubborn.stop()

    @pytest.mark.parametrize("first", [MeshInsightError("Envoy ended"), Interrupted(signal.SIGTERM)])
    def test_it_follows_the_first_error_as_a_note(self, stubborn: Run, first: BaseException) -> None:
        with pytest.raises(type(first)) as raised, stubborn:
            raise first
        assert raised.value is first
        assert "is stuck" in first.__notes__[0]

    def test_all_else_is_removed(self, stubborn: Run) -> None:
        process = stubborn.spawn("idler", ["sleep", "1000"])
        with pytest.raises(LeftBehindError):
            stubborn.stop()
        assert is_gone(process.pid)
        assert stubborn.directory.exists()  # so that cleanup finds it


class TestInterrupt:
    @pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_each_signal_raises_the_same_and_says_which(self, run: Run, signum: int) -> None:
        with pytest.raises(Interrupted) as caught:
            os.kill(os.getpid(), signum)
        assert caught.value.signum == signum

    def test_a_second_one_does_not_cut_short_what_follows_the_first(self, run: Run) -> None:
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)  # as if a partial result were being written
        run.stop()

    def test_one_that_was_ignored_stays_ignored(self, state_dir: Path) -> None:
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            with Run.start(state_dir):
                os.kill(os.getpid(), signal.SIGHUP)
        finally:
            signal.signal(signal.SIGHUP, before)

    @pytest.mark.parametrize("phase", ["entered", "pods", "spawned", "neighbours"])
    @pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
    def test_in_every_phase_nothing_is_left(self, state_dir: Path, drive: Drive, phase: str, signum: int) -> None:
        before = root_network()
        driver = drive()
        driver.reach(phase)
        driver.send(signum)
        assert driver.end() == 128 + signum
        assert traces(state_dir, driver.run_id) == []
        assert root_network() == before

    @pytest.mark.parametrize("after_ms", [0, 1, 3, 6, 10, 15, 25, 40, 60])
    def test_at_any_moment_nothing_is_left(self, state_dir: Path, drive: Drive, after_ms: int) -> None:
        driver = drive()
        driver.reach("begin")
        threading.Event().wait(after_ms / 1000)
        driver.send(signal.SIGINT)
        assert driver.end() == 130
        assert traces(state_dir, driver.run_id) == []

    def test_again_and_again_while_it_stops_nothing_is_left(self, state_dir: Path, drive: Drive) -> None:
        driver = drive("stubborn")
        driver.reach("spawned")
        for _ in range(20):
            driver.send(signal.SIGINT)
            threading.Event().wait(0.02)
        assert driver.end() == 130
        assert traces(state_dir, driver.run_id) == []

    def test_during_an_ordinary_end_it_is_obeyed_after_it(self, state_dir: Path, drive: Drive) -> None:
        driver = drive("stubborn", "leave")
        driver.reach("leaving")
        threading.Event().wait(0.1)
        driver.send(signal.SIGTERM)
        assert driver.end() == 128 + signal.SIGTERM
        assert "left" not in driver.lines
        assert traces(state_dir, driver.run_id) == []


class TestKill:
    @pytest.mark.parametrize("phase", ["entered", "pods", "spawned", "neighbours"])
    def test_in_every_phase_cleanup_leaves_nothing(self, state_dir: Path, drive: Drive, phase: str) -> None:
        before = root_network()
        driver = drive()
        driver.reach(phase)
        driver.kill()
        with Run.start(state_dir):
            pass
        assert traces(state_dir, driver.run_id) == []
        assert root_network() == before

    @pytest.mark.parametrize("after_ms", [0, 2, 5, 8, 12, 20, 35, 60])
    def test_at_any_moment_cleanup_leaves_nothing(self, state_dir: Path, drive: Drive, after_ms: int) -> None:
        driver = drive()
        driver.reach("begin")
        threading.Event().wait(after_ms / 1000)
        driver.kill()
        with Run.start(state_dir):
            pass
        assert traces(state_dir, driver.run_id) == []

    def test_the_kernel_ends_the_processes_of_a_killed_run(self, state_dir: Path, drive: Drive) -> None:
        driver = drive()
        driver.reach("neighbours")
        driver.kill()
        stray = 1  # the one that asked for another parent; only cleanup finds it
        assert eventually(lambda: len(find_leftovers(state_dir)[0].processes) == stray)


class TestTwoRuns:
    def test_a_living_run_is_not_touched_by_another(self, state_dir: Path, drive: Drive) -> None:
        driver = drive()
        driver.reach("neighbours")
        before = traces(state_dir, driver.run_id)
        with Run.start(state_dir) as run:
            run.add_namespace("a")
        assert traces(state_dir, driver.run_id) == before

    def test_both_work(self, state_dir: Path, drive: Drive) -> None:
        drivers = [drive(), drive()]
        for driver in drivers:
            driver.reach("neighbours")
        assert len({driver.run_id for driver in drivers}) == 2

    def test_a_second_one_that_measures_is_told_of_the_first(self, state_dir: Path, drive: Drive) -> None:
        driver = drive("measure")
        driver.reach("entered")
        reason = rf"run {driver.run_id} \(pid {driver.pid}\) is measuring .*kill {driver.pid}"
        with pytest.raises(MeshInsightError, match=reason), measuring_lock(state_dir):
            pass

    def test_a_killed_one_does_not_keep_the_others_from_measuring(self, state_dir: Path, drive: Drive) -> None:
        driver = drive("measure")
        driver.reach("spawned")
        driver.kill()
        with measuring_lock(state_dir):
            pass

    def test_one_after_the_other_can_measure(self, state_dir: Path) -> None:
        for _ in range(2):
            with measuring_lock(state_dir):
                pass
