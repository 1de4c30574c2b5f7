"""What the kernel offers for tracing."""

import re
from typing import Final

from profiler.doctor.check import ATTACH, EBPF, ROOT, Check
from profiler.doctor.host import Host

OLDEST: Final = (5, 10)
"""The CPU probe runs a program on a chosen CPU (BPF_PROG_TEST_RUN of a raw tracepoint), new in this version."""

_MOUNT: Final = "mount -t tracefs nodev /sys/kernel/tracing"


def kernel(host: Host) -> Check:
    """Linux, and new enough."""
    if host.system != "linux":
        remedy = "measure on a Linux machine and bring the profile here"
        return Check("kernel", "missing", f"{host.system}, not Linux", ROOT, remedy)
    detail = f"Linux {host.release} {host.machine}"
    if kernel_version(host.release) < OLDEST:
        return Check("kernel", "missing", detail, EBPF, "use Linux 5.10 or later", weakens=(ATTACH,))
    return Check("kernel", "ok", detail)


def kernel_version(release: str) -> tuple[int, int]:
    """Major and minor number of a kernel release such as `6.1.0-18-amd64`; (0, 0) if it has none."""
    numbers = re.match(r"(\d+)\.(\d+)", release)
    return (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)


def btf(host: Host) -> Check:
    """Type information of the kernel. No probe needs it."""
    if host.exists("/sys/kernel/btf/vmlinux"):
        return Check("BTF", "ok", "/sys/kernel/btf/vmlinux (not needed)")
    return Check("BTF", "ok", "absent, and not needed")


def tracefs(host: Host) -> Check:
    """The file system tracepoints are listed in. It is usually readable by root only."""
    if host.exists("/sys/kernel/tracing/events/sched") or host.exists("/sys/kernel/debug/tracing/events/sched"):
        return Check("tracefs", "ok", "mounted")
    if re.search(r"^\S+ \S+ tracefs ", host.read("/proc/mounts") or "", re.MULTILINE):
        return Check("tracefs", "ok", "mounted, readable by root only")
    return Check("tracefs", "missing", "not mounted", EBPF, _MOUNT, weakens=(ATTACH,))


def lockdown(host: Host) -> Check:
    """Kernel lockdown. `integrity` still lets programs trace, `confidentiality` does not."""
    chosen = re.search(r"\[(\w+)\]", host.read("/sys/kernel/security/lockdown") or "")
    if chosen is None:
        return Check("lockdown", "ok", "none visible")
    if chosen[1] == "confidentiality":
        remedy = "boot with lockdown=integrity or without lockdown="
        return Check("lockdown", "missing", "confidentiality: the kernel denies tracing", (*EBPF, ATTACH), remedy)
    return Check("lockdown", "ok", f"{chosen[1]} (tracing is allowed)")


def kprobes(host: Host) -> Check:
    """Probes on kernel functions. Hardened kernels lack them; no probe needs them."""
    there = host.exists("/sys/bus/event_source/devices/kprobe")
    return Check("kprobes", "ok", "available (not needed)" if there else "absent, and not needed")


def fentry(host: Host) -> Check:
    """Function entry probes by BPF trampoline. No probe needs them."""
    there = host.exists("/sys/kernel/btf/vmlinux") and "bpf_trampoline_link_prog" in (host.read("/proc/kallsyms") or "")
    return Check("fentry", "ok", "available, not tried (not needed)" if there else "absent, and not needed")
