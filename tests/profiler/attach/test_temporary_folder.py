"""The folder that goes with its process."""

import subprocess
import sys
from pathlib import Path

from profiler.attach.temporary_folder import vanishing_folder
from tests.profiler.testbed.conftest import eventually

HOLDER = """
import sys, time
from profiler.attach.temporary_folder import vanishing_folder
with vanishing_folder() as folder:
    (folder / "file").write_text("x")
    print(folder, flush=True)
    time.sleep(60)
"""


def test_it_is_there_and_then_gone() -> None:
    with vanishing_folder() as folder:
        assert folder.is_dir()
        assert folder.stat().st_mode & 0o077 == 0
    assert not folder.exists()


def test_it_goes_with_a_process_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        folder = Path(process.stdout.readline().strip())
        assert folder.is_dir()
        process.kill()
    assert eventually(lambda: not folder.exists())
