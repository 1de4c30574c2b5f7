import os
import subprocess
from pathlib import Path

import pytest

from profiler.host.inherited import by_descriptor, descriptors_in
from profiler.host.process import Placement


@pytest.fixture
def hidden(tmp_path: Path) -> Path:
    """A program in a folder that only its owner can look into."""
    folder = tmp_path / "hidden"
    folder.mkdir(mode=0o700)
    program = folder / "true"
    program.write_bytes(Path("/bin/true").read_bytes())
    program.chmod(0o755)
    return program


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, which takes root")
def test_another_user_runs_a_program_by_its_descriptor(hidden: Path) -> None:
    launcher = Placement(uid=1337, cpus=sorted(os.sched_getaffinity(0))).launcher_argv()
    assert subprocess.run([*launcher, str(hidden)], capture_output=True, check=False).returncode != 0
    argv = [*launcher, by_descriptor(hidden)]
    assert subprocess.run(argv, pass_fds=descriptors_in(argv), capture_output=True, check=False).returncode == 0


def test_a_program_is_opened_once(hidden: Path) -> None:
    assert by_descriptor(hidden) == by_descriptor(hidden)


def test_other_arguments_name_no_descriptor() -> None:
    assert descriptors_in(["envoy", "/proc/self/fd/x", "--log /proc/self/fd/3", "/proc/self/fd/7"]) == (7,)
