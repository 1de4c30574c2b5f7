"""What the machine is like, and how quiet."""

import re
from typing import Final

from profiler.doctor.check import LATENCY, MEASURING, PREDICT, PROFILE, REPORT, Check
from profiler.doctor.host import Host

_SLOW_CLOCKS: Final = ("hpet", "acpi_pm", "pit", "jiffies")
_STEAL_FIELD: Final = 7
_STEAL_WINDOW_S: Final = 0.3
_NOISY_STEAL_RATIO: Final = 0.05
_PACKAGES: Final = {
    "jinja2": (REPORT,),
    "jsonschema": (PROFILE, PREDICT, REPORT),
    "matplotlib": (REPORT,),
    "pyarrow": (PROFILE,),
    "sklearn": (PREDICT,),
}


def cores(host: Host) -> Check:
    """Online CPUs. Client, sidecars and server want to run side by side."""
    if host.cpus < 2:
        remedy = "use a machine with at least 2 CPUs"
        return Check("CPUs", "warn", "1: client, sidecar and server take turns on it", MEASURING, remedy)
    return Check("CPUs", "ok", str(host.cpus))


def virtualisation(host: Host) -> Check:
    """Bare metal, or a machine whose CPUs a hypervisor can take away."""
    if re.search(r"^flags\s*:.*\bhypervisor\b", host.read("/proc/cpuinfo") or "", re.MULTILINE):
        return Check("virtualisation", "ok", "virtual machine: watch steal time, expect no hardware counters")
    return Check("virtualisation", "ok", "none visible")


def steal(host: Host) -> Check:
    """Share of CPU time the hypervisor took away, over a short while."""
    before = _cpu_ticks(host)
    host.sleep(_STEAL_WINDOW_S)
    after = _cpu_ticks(host)
    passed = [now - then for now, then in zip(after, before, strict=True)]
    if len(passed) <= _STEAL_FIELD or not sum(passed):
        return Check("steal time", "warn", "/proc/stat does not tell", (PROFILE,))
    ratio = passed[_STEAL_FIELD] / sum(passed)
    detail = f"{ratio:.1%} over {_STEAL_WINDOW_S} s"
    if ratio > _NOISY_STEAL_RATIO:
        return Check("steal time", "warn", detail, (PROFILE,), "measure when the host is quieter")
    return Check("steal time", "ok", detail)


def _cpu_ticks(host: Host) -> list[int]:
    """The fields of /proc/stat that add up to all time: user to steal (guest time is part of user time)."""
    line = (host.read("/proc/stat") or "").split("\n", 1)[0]
    return [int(field) for field in line.split()[1 : _STEAL_FIELD + 2]]


def pressure(host: Host) -> Check:
    """Pressure stall information: whether tasks had to wait for a CPU during a round."""
    if host.read("/proc/pressure/cpu"):
        return Check("PSI", "ok", "available")
    detail = "not there: noise is judged by steal time alone"
    return Check("PSI", "warn", detail, (PROFILE,), "boot with psi=1 (kernel with CONFIG_PSI)")


def clocksource(host: Host) -> Check:
    """The clock that stamps events. A slow one makes every probe dearer."""
    name = (host.read("/sys/devices/system/clocksource/clocksource0/current_clocksource") or "unknown").strip()
    if name in _SLOW_CLOCKS:
        remedy = "boot with clocksource=tsc if the CPU has a stable one"
        return Check("clocksource", "warn", f"{name}: slow to read, so probes cost more", (LATENCY,), remedy)
    return Check("clocksource", "ok", name)


def cgroups(host: Host) -> Check:
    """Version of the control groups. Both will do."""
    if host.exists("/sys/fs/cgroup/cgroup.controllers"):
        return Check("cgroups", "ok", "version 2")
    if host.exists("/sys/fs/cgroup/unified"):
        return Check("cgroups", "ok", "version 1, with version 2 beside it (hybrid)")
    if host.exists("/sys/fs/cgroup/cpu"):
        return Check("cgroups", "ok", "version 1")
    return Check("cgroups", "ok", "none mounted, and none needed")


def python_packages(host: Host) -> Check:
    """The libraries that reading, showing and predicting rest on."""
    lacking = [name for name in _PACKAGES if host.module_file(name) is None]
    if not lacking:
        return Check("Python packages", "ok", "all there")
    affects = tuple(dict.fromkeys(feature for name in lacking for feature in _PACKAGES[name]))
    return Check("Python packages", "missing", f"not importable: {', '.join(lacking)}", affects, "make setup")
