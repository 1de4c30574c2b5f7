"""The perf program, and what it can count here."""

import re

from profiler.doctor.check import ATTACH, PROFILE, Check
from profiler.doctor.host import Host
from profiler.doctor.remedies import distribution_packages


def perf(host: Host) -> list[Check]:
    """The program, its software clock, and hardware counters."""
    if host.program("perf") is None:
        return [_missing("not installed", distribution_packages(host, ["linux-perf"]))]
    version = host.run("perf", "--version").last_line
    counted = host.run("perf", "stat", "-x", ",", "-e", "cpu-clock,cycles", "true")
    if not _counts("cpu-clock", counted.text):
        remedy = "run as root, or sysctl kernel.perf_event_paranoid=-1"
        return [_missing(f"{version}, but cannot count: {counted.last_line}", remedy)]
    return [Check("perf", "ok", f"{version}, counts cpu-clock"), _hardware(counted.text)]


def _missing(detail: str, remedy: str) -> Check:
    return Check("perf", "missing", detail, (PROFILE,), remedy, weakens=(ATTACH,))


def _hardware(counted: str) -> Check:
    if _counts("cycles", counted):
        return Check("PMU", "ok", "counts cycles")
    return Check("PMU", "ok", "none (usual in a virtual machine): perf samples by cpu-clock instead")


def _counts(event: str, counted: str) -> bool:
    """Whether `perf stat -x,` has a number for `event`: `<value>,<unit>,<event>[:modifiers],…`."""
    return re.search(rf"^[\d.]+,[^,]*,{event}\b", counted, re.MULTILINE) is not None
