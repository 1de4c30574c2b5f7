"""The perf program, and what it can count here."""

import re
from typing import Final

from profiler.doctor.check import CPU_PERF, PROFILE, Check
from profiler.doctor.host import Host

_AFFECTS: Final = (PROFILE, CPU_PERF)


def perf(host: Host) -> list[Check]:
    """The program, its software clock, and hardware counters."""
    if host.program("perf") is None:
        return [Check("perf", "missing", "not installed", _AFFECTS, "apt-get install linux-perf")]
    version = host.run("perf", "--version").last_line
    counted = host.run("perf", "stat", "-x", ",", "-e", "cpu-clock,cycles", "true")
    if not _counts("cpu-clock", counted.text):
        remedy = "run as root, or sysctl kernel.perf_event_paranoid=-1"
        return [Check("perf", "missing", f"{version}, but cannot count: {counted.last_line}", _AFFECTS, remedy)]
    return [Check("perf", "ok", f"{version}, counts cpu-clock"), _hardware(counted.text)]


def _hardware(counted: str) -> Check:
    if _counts("cycles", counted):
        return Check("PMU", "ok", "counts cycles")
    return Check("PMU", "ok", "none (usual in a virtual machine): perf samples by cpu-clock instead")


def _counts(event: str, counted: str) -> bool:
    """Whether `perf stat -x,` has a number for `event`: `<value>,<unit>,<event>[:modifiers],…`."""
    return re.search(rf"^[\d.]+,[^,]*,{event}\b", counted, re.MULTILINE) is not None
