"""System call numbers by family, per machine architecture. Pure."""

import platform
from typing import Final

from profiler.vocabulary.components import EVENT_WAIT, SOCKET_READ, SOCKET_WRITE

_NUMBERS: Final[dict[str, dict[str, tuple[int, ...]]]] = {
    "x86_64": {
        # read readv recvfrom recvmsg recvmmsg
        SOCKET_READ: (0, 19, 45, 47, 299),
        # write writev sendfile sendto sendmsg splice sendmmsg
        SOCKET_WRITE: (1, 20, 40, 44, 46, 275, 307),
        # poll select epoll_wait epoll_ctl pselect6 ppoll epoll_pwait epoll_pwait2
        EVENT_WAIT: (7, 23, 232, 233, 270, 271, 281, 441),
    },
    "aarch64": {
        # read readv recvfrom recvmsg recvmmsg
        SOCKET_READ: (63, 65, 207, 212, 243),
        # write writev sendfile splice sendto sendmsg sendmmsg
        SOCKET_WRITE: (64, 66, 71, 76, 206, 211, 269),
        # epoll_ctl epoll_pwait pselect6 ppoll epoll_pwait2
        EVENT_WAIT: (21, 22, 72, 73, 441),
    },
}


def syscall_families(machine: str | None = None) -> dict[int, str]:
    """Map each system call number of interest to its component.

    Args:
        machine: as `platform.machine()` names it; this machine by default.

    Raises:
        KeyError: the architecture is not in the table.
    """
    families = _NUMBERS[machine or platform.machine()]
    return {number: family for family, numbers in families.items() for number in numbers}
