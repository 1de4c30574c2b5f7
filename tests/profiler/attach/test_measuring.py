"""What of a burst counts: for each process what lies between the two readings of its counters."""

import numpy as np

from profiler.attach.measuring import between
from profiler.attach.work import Work
from profiler.probes.calls import CALL


def test_records_count_between_the_readings_of_their_own_process() -> None:
    records = np.zeros(8, CALL)
    records["process"] = [1, 1, 1, 1, 2, 2, 3, 1]
    records["start_ns"] = [9, 10, 19, 20, 11, 12, 15, 15]
    kept = between(records, {1: Work(10), 2: Work(12), 3: Work(10)}, {1: Work(20), 2: Work(22)})
    assert list(zip(kept["process"].tolist(), kept["start_ns"].tolist(), strict=True)) == [
        (1, 10),
        (1, 19),
        (2, 12),
        (1, 15),
    ]
