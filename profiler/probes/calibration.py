"""What one hit of a timeline probe costs on this machine, measured where it is known how often the probes are hit."""

import time
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from profiler.errors import ProbeError
from profiler.host.interpreter import module_command
from profiler.probes.timeline import Timeline
from profiler.testbed.run import Run
from profiler.vocabulary.components import CLIENT_APP

_PHASE_S: Final = 0.06
_PHASES: Final = 10
_GUARD_NS: Final = 5_000_000
_HITS_PER_CALL: Final = 2
_COLUMNS: Final = 2


def measure_probe_hit_ns(run: Run) -> float:
    """Cost of one probe hit: a loop of system calls, probes on and off by turns, medians, per hit.

    Raises:
        ProbeError: the loop ran too little to tell.
    """
    timeline = Timeline()
    try:
        return _measure(run, timeline)
    finally:
        timeline.close()


def _measure(run: Run, timeline: Timeline) -> float:
    out = run.directory / "calibration.txt"
    loop = run.spawn("calibration", module_command("profiler.probes.getppid_loop"), stdout=out)
    phases: list[tuple[bool, int, int]] = []
    try:
        time.sleep(2 * _PHASE_S)
        for number in range(_PHASES):
            probed = bool(number % 2)
            if probed:
                timeline.reset({loop.pid: CLIENT_APP})
                timeline.attach()
            start_ns = time.monotonic_ns()
            time.sleep(_PHASE_S)
            phases.append((probed, start_ns + _GUARD_NS, time.monotonic_ns() - _GUARD_NS))
            timeline.detach()
        time.sleep(_PHASE_S)
    finally:
        loop.stop(grace_s=0)
    return _per_hit(loop_times(out), phases)


def loop_times(log: Path) -> npt.NDArray[np.float64]:
    """Rows of time and duration per call, in ns, that the loop has written. Its last line may be cut.

    Raises:
        ProbeError: the file holds something else.
    """
    lines = log.read_text(errors="replace").splitlines()[:-1]
    try:
        rows = np.array([[float(word) for word in line.split()] for line in lines], dtype=np.float64)
    except ValueError as error:
        raise ProbeError(f"{log}: probe cost could not be calibrated: the loop wrote no numbers; try again") from error
    if rows.size and (rows.ndim != 2 or rows.shape[1] != _COLUMNS):
        raise ProbeError(f"{log}: probe cost could not be calibrated: expected {_COLUMNS} numbers a line; try again")
    return rows.reshape(-1, _COLUMNS)


def _per_hit(rows: npt.NDArray[np.float64], phases: list[tuple[bool, int, int]]) -> float:
    by_probed: dict[bool, list[float]] = {False: [], True: []}
    for probed, start_ns, end_ns in phases:
        inside = (rows[:, 0] >= start_ns) & (rows[:, 0] < end_ns)
        by_probed[probed].extend(rows[inside, 1])
    if not by_probed[False] or not by_probed[True]:
        raise ProbeError("probe cost could not be calibrated: the machine is too busy; try again when it is quieter")
    return float(max(0.0, np.median(by_probed[True]) - np.median(by_probed[False])) / _HITS_PER_CALL)
