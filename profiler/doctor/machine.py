"""What the machine is like, and how quiet."""

from dataclasses import replace
from typing import Final

from profiler.doctor.check import ATTACH, CLUSTER, LOAD, PROFILE, REPORT, VALIDATE, Check
from profiler.doctor.host import Host
from profiler.doctor.remedies import python_distributions
from profiler.host import extras
from profiler.host.accounting import Noise
from profiler.host.cpu_topology import listed_cpus
from profiler.host.environment import describe_environment
from profiler.host.hop_cpus import cores_of, cpus_for_hops
from profiler.vocabulary.hop import LONGEST_CHAIN

_POD_ACCOUNT: Final = "/var/run/secrets/kubernetes.io/serviceaccount/token"
_SLOW_CLOCKS: Final = ("hpet", "acpi_pm", "pit", "jiffies")
_SLOW: Final = "slow to read: probes cost more, and CPU time is compared with the scheduler's coarser account"
_NOISE_WINDOW_S: Final = 0.3
_FEATURES: Final = {extras.REPORT: (REPORT,), extras.MEASURE: (PROFILE, VALIDATE), extras.CLUSTER: (CLUSTER,)}
"""What an extra's packages are for."""


def cores(host: Host) -> Check:
    """The CPUs that may be used. Client, sidecars and server want to run side by side, each on a core."""
    count, cpu_dir = len(host.cpus), host.root / "sys/devices/system/cpu"
    online = len(listed_cpus(host.read("/sys/devices/system/cpu/online") or "") or host.cpus)
    shown = str(count) if online <= count else f"{count} of {online} (a cpuset or taskset excludes the others)"
    if count < 2:
        remedy = "use a machine with at least 2 CPUs, or let this program use more of them"
        return Check("CPUs", "warn", f"{shown}: client, sidecar and server take turns on it", LOAD, remedy)
    cores = cores_of(host.cpus, cpu_dir)
    if cores == count:
        return Check("CPUs", "ok", shown)
    used = cpus_for_hops(host.cpus, cpu_dir)
    if len(used) == cores:
        return Check("CPUs", "ok", f"{shown}, threads of {cores} cores: hops run on one of each core")
    detail = f"{shown}, threads of {cores} core{'' if cores == 1 else 's'}: threads of one core slow each other"
    return Check("CPUs", "warn", detail, LOAD, f"use a machine with {LONGEST_CHAIN} cores, or switch SMT off")


def surroundings(host: Host) -> list[Check]:
    """What every profile records of its machine: virtualisation, clock source, control groups."""
    facts = describe_environment(host.root)
    virtual = facts["virtualisation"] == "virtual machine"
    return [
        Check("virtualisation", "ok", f"{facts['virtualisation']}{': expect steal and no PMU' if virtual else ''}"),
        _clocksource(facts["clocksource"] or "unknown"),
        Check("cgroups", "ok", f"version {facts['cgroup_version']} (both work)"),
    ]


def _clocksource(name: str) -> Check:
    """The clock that stamps events and times neighbours. A slow one makes every probe dearer."""
    if name in _SLOW_CLOCKS:
        remedy = "boot with clocksource=tsc if the CPU has a stable one"
        return Check("clocksource", "warn", f"{name}: {_SLOW}", (PROFILE, ATTACH), remedy)
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
        detail = "absent: noise is judged by steal time alone"
        return [steal, Check("PSI", "warn", detail, (PROFILE,), "boot with psi=1 (kernel with CONFIG_PSI)")]
    return [steal, Check("PSI", "ok", f"some task waited for a CPU {now.psi_cpu_some_ratio:.0%} of the time")]


def python_packages(host: Host) -> Check:
    """The packages of extras, which the core does without."""
    lacking = {
        extra: found
        for extra in _FEATURES
        if (found := [name for name in extras.EXTRAS[extra] if host.module_file(name) is None])
    }
    if not lacking:
        return Check("Python packages", "ok", "all installed")
    names = ", ".join(dict.fromkeys(name for found in lacking.values() for name in found))
    affects = tuple(feature for extra in lacking for feature in _FEATURES[extra])
    remedy = python_distributions(host, [f"'meshinsight[{','.join(lacking)}]'"])
    return Check("Python packages", "missing", f"not installed: {names}", affects, remedy)


def cluster(host: Host) -> Check:
    """Whether there is a cluster to connect to, by its configuration; nothing is sent to it."""
    files = [path for path in host.kubeconfigs if host.exists(path)]
    if files:
        return Check("kubeconfig", "ok", f"{files[0]}; the cluster was not asked")
    if host.exists(_POD_ACCOUNT):
        return Check("kubeconfig", "ok", "none; the account of this pod is used")
    remedy = "create it with your cluster's tool, or set KUBECONFIG to the file"
    return Check("kubeconfig", "missing", "no file names a cluster", (CLUSTER,), remedy)
