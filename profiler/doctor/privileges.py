"""What this process may do."""

import re
from dataclasses import dataclass
from typing import Final

from profiler.doctor.check import ATTACH, EBPF, LOAD, PROFILE, ROOT, Check, Status
from profiler.doctor.host import Host
from profiler.doctor.kernel import kernel_version

_SYS_ADMIN: Final = 21
_NO_LOCKED_MEMORY: Final = (5, 11)
"""From this version on, BPF memory is not counted as locked memory, whose limit CAP_SYS_RESOURCE raises."""


@dataclass(frozen=True)
class _Capability:
    name: str
    bit: int
    purpose: str
    affects: tuple[str, ...]
    without: Status = "missing"


_CAPABILITIES: Final = (
    _Capability("CAP_BPF", 39, "load BPF programs", (*EBPF, ATTACH)),
    _Capability("CAP_PERFMON", 38, "attach to tracepoints, sample all processes", (*EBPF, ATTACH)),
    _Capability("CAP_NET_ADMIN", 12, "make the pods' links and redirect rules", LOAD),
    _Capability("CAP_SYS_ADMIN", _SYS_ADMIN, "make network namespaces", LOAD),
    _Capability("CAP_SYS_PTRACE", 19, "inspect processes of other users", (PROFILE, ATTACH), "warn"),
    _Capability("CAP_DAC_READ_SEARCH", 2, "read tracefs without owning it", (*EBPF, ATTACH), "warn"),
    _Capability("CAP_SYS_RESOURCE", 24, "lock memory for BPF maps", (*EBPF, ATTACH)),
)


def root(host: Host) -> Check:
    """Whether this is root: namespaces, probes and redirect rules need it."""
    if host.user_id == 0:
        return Check("root", "ok", "yes")
    return Check("root", "missing", f"no, user id {host.user_id}", ROOT, "run as root: sudo meshinsight ...")


def capabilities(host: Host) -> list[Check]:
    """Each capability that measuring uses."""
    field = re.search(r"^CapEff:\s*([0-9a-f]+)$", host.read("/proc/self/status") or "", re.MULTILINE)
    effective = int(field[1], 16) if field else 0
    return [_check(host, capability, effective) for capability in _CAPABILITIES]


def _check(host: Host, capability: _Capability, effective: int) -> Check:
    if effective >> capability.bit & 1:
        return Check(capability.name, "ok", f"present, to {capability.purpose}")
    if capability.name in ("CAP_BPF", "CAP_PERFMON") and effective >> _SYS_ADMIN & 1:
        return Check(capability.name, "ok", f"absent, but CAP_SYS_ADMIN includes it, to {capability.purpose}")
    if capability.name == "CAP_SYS_RESOURCE" and kernel_version(host.release) >= _NO_LOCKED_MEMORY:
        return Check(capability.name, "ok", "absent, and not needed from Linux 5.11 on")
    lacking = f"absent, so this process may not {capability.purpose}"
    return Check(capability.name, capability.without, lacking, capability.affects, _remedy(host, capability))


def _remedy(host: Host, capability: _Capability) -> str:
    if host.user_id != 0:
        return "run as root: sudo meshinsight ..."
    return f"this root lacks it: start the container or service with {capability.name}"
