"""What the loop of system calls has written, of any content."""

from pathlib import Path

import pytest

from profiler.errors import ProbeError
from profiler.probes.calibration import loop_times


def log(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "calibration.txt"
    file.write_text(text)
    return file


def test_the_last_line_may_be_cut(tmp_path: Path) -> None:
    assert loop_times(log(tmp_path, "10 1.5\n20 2.5\n30")).tolist() == [[10.0, 1.5], [20.0, 2.5]]


def test_a_loop_that_has_not_begun_has_no_times(tmp_path: Path) -> None:
    assert loop_times(log(tmp_path, "")).shape == (0, 2)


@pytest.mark.parametrize("text", ["x 1\n-", "1\n-", "1 2 3\n-", "1 2\n1\n-"])
def test_other_output_is_one_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(ProbeError, match=r"^[^\n]*probe cost could not be calibrated[^\n]*$"):
        loop_times(log(tmp_path, text))
