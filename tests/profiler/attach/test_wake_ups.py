"""Wake-ups of a process: how many were raised on another CPU."""

import numpy as np
import numpy.typing as npt
import pytest

from profiler.attach.results import wake_ups_of
from profiler.probes.calls import WAKE_UP


def woken(*cpus: tuple[int, int]) -> "npt.NDArray[np.void]":
    """Wake-ups by the CPU of the waker and that of the woken thread."""
    records = np.zeros(len(cpus), WAKE_UP)
    for record, (waker_cpu, cpu) in zip(records, cpus, strict=True):
        record["waker_cpu"], record["cpu"] = waker_cpu, cpu
    return records


def test_the_share_is_that_of_all_bursts_together() -> None:
    found = wake_ups_of([woken((0, 1), (1, 1), (1, 0)), woken((0, 0))], seconds=0.5)
    assert (found.count, found.crossed, found.crossing_share) == (4, 2, 0.5)
    assert found.per_second == pytest.approx(8)


@pytest.mark.parametrize("recorded", [[], [woken()]])
def test_without_wake_ups_there_is_no_share(recorded: "list[npt.NDArray[np.void]]") -> None:
    found = wake_ups_of(recorded, seconds=0.0)
    assert (found.per_second, found.count, found.crossing_share) == (0.0, 0, None)
