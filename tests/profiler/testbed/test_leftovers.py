import json
import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from profiler.errors import MissingError
from profiler.host.netns import Namespace, namespace_names
from profiler.host.process import read_stat
from profiler.testbed.leftovers import (
    RUN_ID_VARIABLE,
    find_leftovers,
    read_owner,
    record_path,
    remove_leftovers,
    remove_traces,
    run_directories,
    write_owner,
)
from profiler.testbed.locks import Owner
from tests.profiler.testbed.conftest import eventually, is_gone

RUN_ID = secrets.token_hex(4)  # another each time, for what a killed test session may have left
START = ["sleep", "1000"]


@pytest.fixture
def dead_run(state_dir: Path) -> Iterator[Path]:
    """Directory of a run whose owner is no more."""
    directory = state_dir / RUN_ID
    directory.mkdir()
    (directory / "owner.json").write_text(json.dumps({"pid": os.getpid(), "start_time_ticks": 1}))
    yield directory
    remove_traces(directory)


@pytest.fixture
def start() -> Iterator[Callable[..., int]]:
    """Start a program that nobody supervises; what is left of it goes with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(argv: list[str], **env: str) -> int:
        started.append(subprocess.Popen(argv, env={**os.environ, **env}))
        return started[-1].pid

    yield start
    for process in started:
        process.kill()
        process.wait()


class TestOwner:
    def test_this_process_is_alive(self, tmp_path: Path) -> None:
        write_owner(tmp_path)
        owner = read_owner(tmp_path)
        assert owner is not None
        assert owner.is_alive()

    def test_a_later_process_of_the_same_pid_is_not_the_owner(self) -> None:
        stat = read_stat(os.getpid())
        assert stat is not None
        assert not Owner(os.getpid(), stat.start_time_ticks - 1).is_alive()

    def test_a_zombie_is_dead(self) -> None:
        process = subprocess.Popen(["true"])
        assert eventually(lambda: is_gone(process.pid))
        stat = read_stat(process.pid)
        assert stat is not None
        assert not Owner(process.pid, stat.start_time_ticks).is_alive()
        process.wait()

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', '{"pid": "x", "start_time_ticks": 1}'])
    def test_a_damaged_file_names_nobody(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "owner.json").write_text(text)
        assert read_owner(tmp_path) is None


class TestFind:
    def test_nothing_is_left_where_nothing_was(self, tmp_path: Path) -> None:
        assert find_leftovers(tmp_path / "never") == []

    def test_a_dead_run_is_listed_with_all_of_it(self, dead_run: Path, start: Callable[..., int]) -> None:
        pid = start(START, **{RUN_ID_VARIABLE: RUN_ID})
        output = dead_run.parent / f".profile-{RUN_ID}.tmp"
        output.touch()
        record_path(dead_run, output)
        (found,) = find_leftovers(dead_run.parent)
        assert (found.run_id, found.processes) == (RUN_ID, (pid,))
        assert (found.directory, found.files, found.namespaces) == (dead_run, (output,), ())

    def test_a_living_run_is_not(self, dead_run: Path) -> None:
        write_owner(dead_run)
        assert find_leftovers(dead_run.parent) == []

    def test_one_killed_before_it_had_named_its_owner_is(self, state_dir: Path) -> None:
        (state_dir / RUN_ID).mkdir()
        assert [leftover.run_id for leftover in find_leftovers(state_dir)] == [RUN_ID]

    def test_strange_directories_are_not_runs(self, state_dir: Path, dead_run: Path) -> None:
        (state_dir / "deadbeef").mkdir()
        (state_dir / "deadbeef" / "letters").touch()  # of a fitting name, but neither empty nor with an owner
        (state_dir / "DEADBEEF").mkdir()
        (state_dir / "0123456789").mkdir()
        (state_dir / "01234567").symlink_to(dead_run)
        (state_dir / "89abcdef").touch()
        assert run_directories(state_dir) == [dead_run]


class TestRecord:
    def test_a_name_without_the_run_id_is_refused(self, dead_run: Path) -> None:
        with pytest.raises(ValueError, match="lacks the run id"):
            record_path(dead_run, Path("/etc/passwd"))

    def test_a_damaged_record_hits_nothing_else(self, dead_run: Path) -> None:
        bystander = dead_run.parent / "bystander"
        bystander.touch()
        output = dead_run.parent / f"{RUN_ID}.tmp"
        output.touch()
        lines = [json.dumps(str(bystander)), "{", "5", json.dumps(f"{RUN_ID}.tmp"), json.dumps(str(output)), '"/cut']
        (dead_run / "paths").write_text("\n".join(lines))
        assert [leftover.files for leftover in find_leftovers(dead_run.parent)] == [(output,)]


@pytest.mark.kernel
class TestRemove:
    def test_without_root_it_is_refused(self, state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        with pytest.raises(MissingError, match="not root"):
            remove_leftovers(state_dir)

    def test_processes_namespaces_files_and_directory_go(self, dead_run: Path, start: Callable[..., int]) -> None:
        namespace = Namespace(f"mi-{RUN_ID}-client")
        namespace.create()
        pid = start(START, **{RUN_ID_VARIABLE: RUN_ID})
        output = dead_run.parent / f".profile-{RUN_ID}.tmp"
        output.mkdir()
        (output / "samples").touch()
        record_path(dead_run, output)
        remove_leftovers(dead_run.parent)
        assert (is_gone(pid), namespace.path.exists(), output.exists(), dead_run.exists()) == (True, *[False] * 3)

    def test_a_process_without_the_variable_is_found_by_its_namespace(
        self, dead_run: Path, start: Callable[..., int]
    ) -> None:
        namespace = Namespace(f"mi-{RUN_ID}-client")
        namespace.create()
        pid = start(["nsenter", f"--net={namespace.path}", "env", "-i", "/bin/sleep", "1000"])
        assert eventually(lambda: Path(f"/proc/{pid}/exe").readlink().name == "sleep")
        remove_leftovers(dead_run.parent)
        assert is_gone(pid)

    def test_a_second_time_there_is_nothing_to_do(self, dead_run: Path) -> None:
        assert [leftover.run_id for leftover in remove_leftovers(dead_run.parent)] == [RUN_ID]
        assert remove_leftovers(dead_run.parent) == []

    def test_other_processes_stay(self, dead_run: Path, start: Callable[..., int]) -> None:
        others = [
            start(START, **{RUN_ID_VARIABLE: RUN_ID[::-1] + "0"}),
            start(START, **{RUN_ID_VARIABLE: RUN_ID + "0"}),
            start(START, MY_VARIABLE=f"{RUN_ID_VARIABLE}={RUN_ID}"),
            start(["setpriv", "--reuid=65534", "--clear-groups", "--", *START]),
            start(["sh", "-c", f": {RUN_ID_VARIABLE}={RUN_ID}; read line < /dev/zero"]),
        ]
        remove_leftovers(dead_run.parent)
        assert not any(is_gone(pid) for pid in others)

    def test_other_namespaces_stay(self, dead_run: Path) -> None:
        others = [Namespace(name) for name in ("mi-something-else", f"mi-{RUN_ID}", f"x-mi-{RUN_ID}-a")]
        try:
            for other in others:
                other.create()
            remove_leftovers(dead_run.parent)
            assert all(other.path.exists() for other in others)
        finally:
            for other in others:
                other.delete()

    def test_a_run_of_another_state_directory_stays(self, dead_run: Path, tmp_path: Path) -> None:
        namespace = Namespace(f"mi-{RUN_ID}-client")
        namespace.create()
        assert remove_leftovers(tmp_path) == []
        assert namespace_names(f"mi-{RUN_ID}-") == [namespace.name]
        remove_leftovers(dead_run.parent)

    def test_a_symbolic_link_is_removed_and_not_followed(self, dead_run: Path, tmp_path: Path) -> None:
        (tmp_path / "keep").touch()
        (dead_run / "link").symlink_to(tmp_path)
        remove_leftovers(dead_run.parent)
        assert (tmp_path / "keep").exists()
