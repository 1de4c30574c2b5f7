"""bcc and its headers, and whether a program really compiles, loads and attaches here."""

import json
import re
from pathlib import Path

from profiler.doctor.check import ATTACH, EBPF, Check, Status
from profiler.doctor.host import Host
from profiler.doctor.remedies import SETUP, bcc_package, distribution_packages
from profiler.errors import MissingError
from profiler.host.interpreter import module_command
from profiler.probes.bpf import kernel_headers


def bcc(host: Host) -> Check:
    """The BPF compiler collection, and not the PyPI package that has the same name.

    The package is inspected, not imported: that would load a compiler.
    """
    found = host.module_file("bcc")
    if found is None:
        return _check("bcc", "missing", "not importable", bcc_package(host))
    if "\nclass BPF" not in (host.read(found) or ""):
        detail = f"{Path(found).parent} is the PyPI package of that name, not the BPF compiler collection"
        return _check("bcc", "missing", detail, f"{host.python} -m pip uninstall bcc; then {bcc_package(host)}")
    version = re.search(r"'(.+)'", host.read(str(Path(found).with_name("version.py"))) or "")
    return Check("bcc", "ok", version[1] if version else "version unknown")


def headers(host: Host) -> Check:
    """Kernel headers for bcc; another version's will do, since no program reads a kernel structure."""
    try:
        tree = kernel_headers()
    except MissingError:
        install = distribution_packages(host, [f"linux-headers-{host.release}"])
        remedy = SETUP if host.checkout else f"{install}; those of another kernel work too: set BCC_KERNEL_SOURCE"
        return _check("kernel headers", "missing", "none found", remedy)
    release = re.search(r'"(.+)"', host.read(str(tree / "include/generated/utsrelease.h")) or "")
    version = release[1] if release else "of unknown version"
    other = "" if version == host.release else " (another kernel's, which works: no program reads its structures)"
    return Check("kernel headers", "ok", f"{version} in {tree}{other}")


def programs(host: Host) -> list[Check]:
    """Compile, load and attach a program in a process of its own, which takes everything with it when it ends."""
    if host.user_id != 0:
        unknown = "not tried: only root can load programs"
        return [_check(name, "warn", unknown) for name in ("BPF programs", "raw tracepoints")]
    answer = host.run(*module_command("profiler.doctor.bpf_trial"), timeout_s=60)
    results = [line for line in answer.text.splitlines() if line.startswith('{"load"')]
    errors: dict[str, str | None] = json.loads(results[-1]) if results else {"load": answer.last_line}
    reason = errors.pop("load")
    if reason is not None:
        blocked = _check("raw tracepoints", "missing", "not tried: no program loads", "see BPF programs")
        remedy = "see the checks above; a container needs CAP_BPF and CAP_PERFMON, or --privileged"
        return [_check("BPF programs", "missing", f"none loads: {reason}", remedy), blocked]
    return [Check("BPF programs", "ok", "one was compiled and loaded"), _attached(errors)]


def _check(name: str, status: Status, detail: str, remedy: str | None = None) -> Check:
    return Check(name, status, detail, EBPF, remedy, weakens=(ATTACH,))


def _attached(errors: dict[str, str | None]) -> Check:
    failed = [f"{name} ({error})" for name, error in errors.items() if error is not None]
    if failed:
        remedy = "use a kernel with CONFIG_FTRACE_SYSCALLS and tracepoints"
        return _check("raw tracepoints", "missing", f"do not attach: {', '.join(failed)}", remedy)
    return Check("raw tracepoints", "ok", f"attached {', '.join(errors)}")
