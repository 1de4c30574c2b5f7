"""Remedies that hold for how MeshInsight is installed: from a checkout, in a virtual environment, or for all users."""

from collections.abc import Iterable
from typing import Final

from profiler.doctor.host import Host

SETUP: Final = "make setup, in the checkout"

_MANAGERS: Final = ("apt-get", "dnf")
_FEDORA: Final = {
    "iproute2": "iproute",
    "linux-headers-generic": "kernel-devel",
    "linux-perf": "perf",
    "nghttp2-client": "nghttp2",
    "nghttp2-server": "nghttp2",
    "python3-bpfcc": "python3-bcc",
}
"""Names of Debian's packages in Fedora, where they differ."""


def distribution_packages(host: Host, names: Iterable[str]) -> str:
    """The command that installs packages of the distribution, by their names in Debian."""
    wanted = list(dict.fromkeys(names))
    for manager in _MANAGERS:
        if host.program(manager) is not None:
            named = wanted if manager == "apt-get" else list(dict.fromkeys(_FEDORA.get(name, name) for name in wanted))
            return f"{manager} install {' '.join(named)}"
    return f"install with the package manager (names in Debian): {' '.join(wanted)}"


def python_distributions(host: Host, names: Iterable[str]) -> str:
    """The command that installs packages from PyPI for the Python that runs this."""
    if host.checkout:
        return SETUP
    wanted = " ".join(dict.fromkeys(names))
    if host.virtual:
        return f"{host.python} -m pip install {wanted}"
    return f"install for {host.python}, by pipx inject meshinsight or in a virtual environment: {wanted}"


def bcc_package(host: Host) -> str:
    """How the BPF compiler collection gets importable: it comes from the distribution, not from PyPI."""
    if host.checkout:
        return SETUP
    install = distribution_packages(host, ["python3-bpfcc"])
    if host.virtual:
        return f"{install}; then use a virtual environment of /usr/bin/python3 with --system-site-packages"
    return f"{install}; it is for /usr/bin/python3"
