"""Whether pods can be made here: tried in a network namespace that is gone again afterwards."""

import os
from typing import Final

from profiler.doctor.check import LOAD, Check
from profiler.doctor.host import Host
from profiler.doctor.remedies import distribution_packages
from profiler.testbed.redirect import capture_rules

_PACKAGES: Final = {"ip": "iproute2", "iptables-restore": "iptables", "nsenter": "util-linux"}
_LINKS = "link set lo up\nlink add veth-a type veth peer name veth-b\nlink add bridge-a type bridge\n"


def pods(host: Host) -> list[Check]:
    """A namespace with its links, and the capture of its traffic."""
    lacking = [name for name in _PACKAGES if host.program(name) is None]
    if lacking:
        remedy = distribution_packages(host, [_PACKAGES[name] for name in lacking])
        return [Check("network namespaces", "missing", f"not installed: {', '.join(lacking)}", LOAD, remedy)]
    if host.user_id != 0:
        names = ("network namespaces", "iptables")
        return [Check(name, "warn", "not tried: only root can make them", LOAD) for name in names]
    name = f"mi-doctor-{os.getpid()}"
    made = host.run("ip", "netns", "add", name)
    if made.status != 0:
        remedy = "allow mounts and CAP_SYS_ADMIN (a container needs --privileged)"
        return [Check("network namespaces", "missing", made.last_line, LOAD, remedy)]
    try:
        return [_links(host, name), _capture(host, name)]
    finally:
        host.run("ip", "netns", "delete", name)


def _links(host: Host, name: str) -> Check:
    answer = host.run("ip", "-n", name, "-batch", "-", input_text=_LINKS)
    if answer.status != 0:
        remedy = "load the kernel modules veth and bridge, and allow mounts (a container needs --privileged)"
        return Check("network namespaces", "missing", f"no veth or bridge: {answer.last_line}", LOAD, remedy)
    return Check("network namespaces", "ok", "made one with veth and bridge, and removed it")


def _capture(host: Host, name: str) -> Check:
    version = host.run("iptables", "--version").last_line
    command = ("nsenter", f"--net=/run/netns/{name}", "iptables-restore", "--wait", "5")
    answer = host.run(*command, input_text=capture_rules())
    if answer.status != 0:
        remedy = "load the kernel modules nf_nat, xt_REDIRECT and xt_owner (or nf_tables)"
        return Check("iptables", "missing", f"{version}, but REDIRECT fails: {answer.last_line}", LOAD, remedy)
    return Check("iptables", "ok", f"{version}, REDIRECT works")
