"""What the machine is like, and how quiet."""

from dataclasses import replace
from typing import Final

from profiler.doctor.check import LATENCY, MEASURING, PREDICT, PROFILE, REPORT, Check
from profiler.doctor.host import Host
from profiler.host.accounting import Noise
from profiler.host.environment import describe_environment

_SLOW_CLOCKS: Final = ("hpet", "acpi_pm", "pit", "jiffies")
_NOISE_WINDOW_S: Final = 0.3
_PACKAGES: Final = {
    "jinja2": (REPORT,),
    "jsonschema": (PROFILE, PREDICT, REPORT),
    "matplotlib": (REPORT,),
    "pyarrow": (PROFILE,),
    "sklearn": (PROFILE, PREDICT, REPORT),
}


def cores(host: Host) -> Check:
    """Online CPUs. Client, sidecars and server want to run side by side."""
    if host.cpus < 2:
        remedy = "use a machine with at least 2 CPUs"
        return Check("CPUs", "warn", "1: client, sidecar and server take turns on it", MEASURING, remedy)
    return Check("CPUs", "ok", str(host.cpus))


def surroundings(host: Host) -> list[Check]:
    """What every profile records of its machine: virtualisation, clock source, control groups."""
    facts = describe_environment(host.root)
    virtual = facts["virtualisation"] == "virtual machine"
    return [
        Check("virtualisation", "ok", f"{facts['virtualisation']}{': expect steal and no PMU' if virtual else ''}"),
        _clocksource(facts["clocksource"] or "unknown"),
        Check("cgroups", "ok", f"version {facts['cgroup_version']} (either will do)"),
    ]


def _clocksource(name: str) -> Check:
    """The clock that stamps events. A slow one makes every probe dearer."""
    if name in _SLOW_CLOCKS:
        remedy = "boot with clocksource=tsc if the CPU has a stable one"
        return Check("clocksource", "warn", f"{name}: slow to read, so probes cost more", (LATENCY,), remedy)
    return Check("clocksource", "ok", name)


def noise(host: Host) -> list[Check]:
    """What the hypervisor and other processes take right now. Every round of a profile records it too."""
    first = Noise.read(host.root / "proc")
    host.sleep(_NOISE_WINDOW_S)
    now = Noise.between(first, Noise.read(host.root / "proc"))
    steal = Check("steal time", "ok", f"{now.steal_ratio:.1%} over {_NOISE_WINDOW_S} s")
    if now.noisy:
        steal = replace(steal, status="warn", affects=(PROFILE,), remedy="measure when the host is quieter")
    if now.psi_cpu_some_ratio is None:
        detail = "not there: noise is judged by steal time alone"
        return [steal, Check("PSI", "warn", detail, (PROFILE,), "boot with psi=1 (kernel with CONFIG_PSI)")]
    return [steal, Check("PSI", "ok", f"some task waited for a CPU {now.psi_cpu_some_ratio:.0%} of the time")]


def python_packages(host: Host) -> Check:
    """The libraries that reading, showing and predicting rest on."""
    lacking = [name for name in _PACKAGES if host.module_file(name) is None]
    if not lacking:
        return Check("Python packages", "ok", "all there")
    affects = tuple(dict.fromkeys(feature for name in lacking for feature in _PACKAGES[name]))
    return Check("Python packages", "missing", f"not importable: {', '.join(lacking)}", affects, "make setup")
