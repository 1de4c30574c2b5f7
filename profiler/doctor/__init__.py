"""Inspects the machine: what it offers, and which features work on it.

Every check only reads, or tries something that is removed when the check ends. None of them raises.
"""

from collections.abc import Callable
from typing import Final

from profiler.doctor import ebpf, kernel, machine, network, perf, privileges, software
from profiler.doctor.check import FEATURES, Check, Diagnosis, Feature, Status
from profiler.doctor.host import Host, LocalHost

__all__ = ["FEATURES", "Check", "Diagnosis", "Feature", "Host", "Status", "diagnose"]

_Look = Callable[[Host], Check | list[Check]]

_EVERYWHERE: Final[tuple[tuple[str, _Look], ...]] = (
    ("machine", kernel.kernel),
    ("machine", machine.cores),
    ("machine", machine.python_packages),
    ("machine", machine.cluster),
)
_ON_LINUX: Final[tuple[tuple[str, _Look], ...]] = (
    ("machine", machine.surroundings),
    ("machine", machine.noise),
    ("kernel", kernel.btf),
    ("kernel", kernel.tracefs),
    ("kernel", kernel.lockdown),
    ("kernel", kernel.kprobes),
    ("kernel", kernel.fentry),
    ("privileges", privileges.root),
    ("privileges", privileges.capabilities),
    ("eBPF", ebpf.bcc),
    ("eBPF", ebpf.headers),
    ("eBPF", ebpf.programs),
    ("perf", perf.perf),
    ("testbed", network.pods),
    ("testbed", software.workload),
    ("proxies", software.envoy),
    ("proxies", software.haproxy),
    ("proxies", software.nginx),
)


def diagnose(host: Host | None = None) -> Diagnosis:
    """Check this machine, or the one given. Takes about two seconds."""
    at = LocalHost() if host is None else host
    looks = _EVERYWHERE + (_ON_LINUX if at.system == "linux" else ())
    return Diagnosis(tuple(check.of_area(area) for area, look in looks for check in _checks(look, at)))


def _checks(look: _Look, host: Host) -> list[Check]:
    """What a check found. One that fails is a finding too: doctor is for machines where things are broken."""
    try:
        found = look(host)
    except Exception as error:  # noqa: BLE001 (a broken machine breaks things in unforeseeable ways)
        name = getattr(look, "__name__", "check")
        return [Check(name, "warn", f"could not be checked: {type(error).__name__}: {error}")]
    return [found] if isinstance(found, Check) else found
