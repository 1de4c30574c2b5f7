"""What machine a profile was measured on, as far as costs depend on it. Reads /proc and /sys only."""

import hashlib
import os
import platform
import re
from pathlib import Path
from typing import Any


def describe_environment(root: Path = Path("/")) -> dict[str, Any]:
    """Facts for `environment` of a profile; None where the machine does not tell.

    `machine_id_hash` tells two machines apart without naming either.
    """
    cpuinfo = _fields(root / "proc/cpuinfo")
    memory_kib = re.match(r"[0-9]{1,15}\b", _fields(root / "proc/meminfo").get("MemTotal", ""))
    return {
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "distribution": _distribution(root),
        "machine_id_hash": _machine_id_hash(root),
        "cpu_model": cpuinfo.get("model name"),
        "cpus": os.cpu_count(),
        "cpus_allowed": len(os.sched_getaffinity(0)),
        "l2_bytes_per_cpu": _text(root / "sys/devices/system/cpu/cpu0/cache/index2/size"),
        "memory_bytes": int(memory_kib[0]) * 1024 if memory_kib else None,
        "virtualisation": "virtual machine" if "hypervisor" in cpuinfo.get("flags", "") else "none seen",
        "clocksource": _text(root / "sys/devices/system/clocksource/clocksource0/current_clocksource"),
        "cgroup_version": 2 if (root / "sys/fs/cgroup/cgroup.controllers").exists() else 1,
        "frequency_governor": _text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "mitigations": _text(root / "sys/devices/system/cpu/vulnerabilities/spectre_v2"),
        "python": platform.python_version(),
    }


def _text(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return None


def _fields(path: Path) -> dict[str, str]:
    """First value of every `name : value` line."""
    found: dict[str, str] = {}
    for line in (_text(path) or "").splitlines():
        name, separator, value = line.partition(":")
        if separator:
            found.setdefault(name.strip(), value.strip())
    return found


def _distribution(root: Path) -> str | None:
    for line in (_text(root / "etc/os-release") or "").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return None


def _machine_id_hash(root: Path) -> str | None:
    identity = _text(root / "etc/machine-id") or _text(root / "proc/sys/kernel/random/boot_id")
    return hashlib.sha256(identity.encode()).hexdigest()[:16] if identity else None
