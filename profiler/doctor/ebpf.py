"""bcc and its headers, and whether a program really compiles, loads and attaches here."""

import json
import re
from pathlib import Path

from profiler.doctor.check import EBPF, Check
from profiler.doctor.host import Host
from profiler.errors import MissingError
from profiler.host.interpreter import module_command
from profiler.probes.bpf import kernel_headers


def bcc(host: Host) -> Check:
    """The BPF compiler collection, and not the PyPI package that has the same name.

    The package is looked at, not imported: that would load a compiler.
    """
    setup = "make setup (or install Debian's python3-bpfcc)"
    found = host.module_file("bcc")
    if found is None:
        return Check("bcc", "missing", "not importable", EBPF, setup)
    if "\nclass BPF" not in (host.read(found) or ""):
        detail = f"{Path(found).parent} is the PyPI package of that name, not the BPF compiler collection"
        return Check("bcc", "missing", detail, EBPF, "pip uninstall bcc, then make setup")
    version = re.search(r"'(.+)'", host.read(str(Path(found).with_name("version.py"))) or "")
    return Check("bcc", "ok", version[1] if version else "version unknown")


def headers(host: Host) -> Check:
    """Kernel headers for bcc; another version's will do, since no program reads a kernel structure."""
    try:
        tree = kernel_headers()
    except MissingError:
        remedy = "make setup (or install linux-headers and set BCC_KERNEL_SOURCE)"
        return Check("kernel headers", "missing", "none found", EBPF, remedy)
    release = re.search(r'"(.+)"', host.read(str(tree / "include/generated/utsrelease.h")) or "")
    version = release[1] if release else "of unknown version"
    other = "" if version == host.release else " (another kernel's, which will do: no program reads its structures)"
    return Check("kernel headers", "ok", f"{version} in {tree}{other}")


def programs(host: Host) -> list[Check]:
    """Compile, load and attach a program in a process of its own, which takes everything with it when it ends."""
    if host.user_id != 0:
        unknown = "not tried: only root can load programs"
        return [Check(name, "warn", unknown, EBPF) for name in ("BPF programs", "raw tracepoints")]
    answer = host.run(*module_command("profiler.doctor.bpf_trial"), timeout_s=60)
    results = [line for line in answer.text.splitlines() if line.startswith('{"load"')]
    errors: dict[str, str | None] = json.loads(results[-1]) if results else {"load": answer.last_line}
    reason = errors.pop("load")
    if reason is not None:
        blocked = Check("raw tracepoints", "missing", "not tried: no program loads", EBPF, "see BPF programs")
        return [Check("BPF programs", "missing", f"none loads: {reason}", EBPF, "see bcc and kernel headers"), blocked]
    return [Check("BPF programs", "ok", "one was compiled and loaded"), _attached(errors)]


def _attached(errors: dict[str, str | None]) -> Check:
    failed = [f"{name} ({error})" for name, error in errors.items() if error is not None]
    if failed:
        remedy = "use a kernel with CONFIG_FTRACE_SYSCALLS and tracepoints"
        return Check("raw tracepoints", "missing", f"do not attach: {', '.join(failed)}", EBPF, remedy)
    return Check("raw tracepoints", "ok", f"attached {', '.join(errors)}")
