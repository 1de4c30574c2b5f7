"""Locks that no other user can hold, waits that end, and owners that are named only while they live."""

import fcntl
import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from profiler.errors import MeshInsightError
from profiler.host.interrupts import Interrupted
from profiler.testbed.locks import MEASURING, REGISTRY, LockHeldError, Owner, lock
from profiler.testbed.run import Run, measuring_lock
from tests.profiler.testbed.conftest import Driver, traces


@contextmanager
def held(path: Path, content: str = "") -> Iterator[None]:
    """The lock's file, made and held by hand."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, content.encode())
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def living() -> str:
    owner = Owner.this_process()
    assert owner is not None
    return owner.text()


class TestLock:
    def test_nobody_else_can_open_it(self, tmp_path: Path) -> None:
        with lock(tmp_path, REGISTRY, 0):
            (file,) = tmp_path.iterdir()
            assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def test_nothing_is_left(self, tmp_path: Path) -> None:
        with lock(tmp_path, REGISTRY, 0):
            pass
        assert list(tmp_path.iterdir()) == []

    def test_a_file_that_others_can_open_is_replaced(self, tmp_path: Path) -> None:
        path = tmp_path / f".{REGISTRY}.lock"
        path.touch()
        path.chmod(0o644)
        with path.open() as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            with lock(tmp_path, REGISTRY, 0):
                assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_a_link_in_its_place_is_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "victim").write_text("precious")
        (tmp_path / f".{REGISTRY}.lock").symlink_to(tmp_path / "victim")
        with lock(tmp_path, REGISTRY, 0):
            pass
        assert (tmp_path / "victim").read_text() == "precious"

    def test_a_wait_is_bounded(self, tmp_path: Path) -> None:
        with held(tmp_path / f".{REGISTRY}.lock"), pytest.raises(LockHeldError), lock(tmp_path, REGISTRY, 0.1):
            pass

    def test_a_wait_can_be_ended(self, tmp_path: Path) -> None:
        def stop() -> None:
            raise Interrupted(15)

        with (
            held(tmp_path / f".{REGISTRY}.lock"),
            pytest.raises(Interrupted),
            lock(tmp_path, REGISTRY, 1000, waiting=stop),
        ):
            pass

    def test_who_waited_holds_a_lock_that_exists(self, tmp_path: Path) -> None:
        program = "import sys, time; from pathlib import Path; from profiler.testbed.locks import lock\n"
        program += "for _ in range(40):\n    with lock(Path(sys.argv[1]), 'registry', 60):\n"
        program += (
            "        Path(sys.argv[1], 'inside').mkdir(); time.sleep(0.001); Path(sys.argv[1], 'inside').rmdir()\n"
        )
        processes = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path)]) for _ in range(3)]
        assert [process.wait(60) for process in processes] == [0, 0, 0]

    def test_a_living_owner_is_named(self, tmp_path: Path) -> None:
        with (
            held(tmp_path / f".{MEASURING}.lock", living()),
            pytest.raises(LockHeldError, match=f"process {os.getpid()} has held"),
            lock(tmp_path, MEASURING, 0),
        ):
            pass

    @pytest.mark.parametrize(
        "content",
        ["", "17", "{", pytest.param(json.dumps({"pid": os.getpid(), "start_time_ticks": 1}), id="another start")],
    )
    def test_a_process_that_merely_has_the_number_is_not(self, tmp_path: Path, content: str) -> None:
        with (
            held(tmp_path / f".{MEASURING}.lock", content),
            pytest.raises(LockHeldError, match="another process has held"),
            lock(tmp_path, MEASURING, 0),
        ):
            pass


@pytest.mark.kernel
class TestOtherUsers:
    @pytest.mark.timing
    def test_none_can_keep_runs_from_starting(self, state_dir: Path) -> None:
        with Run.start(state_dir) as run:
            # All that another user can open is held by it.
            program = "import fcntl, os, sys, time\nfor path in sys.argv[1:]:\n"
            program += "    try: fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
            program += "    except OSError: pass\n"
            program += "print('held', flush=True)\ntime.sleep(60)\n"
            argv = ["setpriv", "--reuid=1337", "--regid=1337", "--clear-groups", sys.executable, "-I", "-c", program]
            paths = [str(path) for path in (state_dir, *state_dir.rglob("*"))]
            with measuring_lock(state_dir):
                paths += [str(path) for path in state_dir.iterdir()]
                with subprocess.Popen([*argv, *paths], stdout=subprocess.PIPE, text=True) as process:
                    assert process.stdout is not None
                    assert process.stdout.readline() == "held\n"
                    began_s = time.monotonic()
                    with Run.start(state_dir):
                        pass
                    assert time.monotonic() - began_s < 20
                    process.kill()
            run.stop()
        with measuring_lock(state_dir):
            pass

    def test_a_stale_owner_is_not_advised_to_be_killed(self, state_dir: Path) -> None:
        stale = json.dumps({"pid": os.getpid(), "start_time_ticks": 1})
        with (
            held(state_dir / f".{MEASURING}.lock", stale),
            pytest.raises(MeshInsightError, match=r"another process is about to measure(?!.*kill)"),
            measuring_lock(state_dir),
        ):
            pass

    def test_sigterm_ends_the_wait_of_a_run_that_starts(self, state_dir: Path, drive: Callable[..., Driver]) -> None:
        with held(state_dir / f".{REGISTRY}.lock"):
            driver = drive()
            driver.reach("begin")
            time.sleep(0.5)
            driver.send(15)
            assert driver.end() == 128 + 15
        assert traces(state_dir, driver.run_id) == []
