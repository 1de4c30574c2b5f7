"""A program for tests: runs commands as on a laptop that has the core alone: no extra, no Linux, no /proc, no /sys.

Usage: core.py COMMAND [ARGUMENT ...] [-- COMMAND ...]; exits with the status of the first that fails.
"""

import os
import sys
import sysconfig
from types import ModuleType
from typing import Any, Final

from profiler.host.extras import EXTRAS

ABSENT: Final = {"bcc", "envoy", "fcntl", "resource", "scipy", "sklearn"}.union(*EXTRAS.values())
"""Modules that the core must not import: those of extras, and those that other systems do not have."""
LINUX_ONLY: Final = (
    "O_PATH", "memfd_create", "pidfd_open", "posix_fadvise", "sched_getaffinity", "sched_setaffinity", "setns",
)  # fmt: skip


def hide() -> None:
    """Take away what such a laptop does not have."""
    for module in ABSENT:
        sys.modules[module] = None  # type: ignore[assignment]  # so it cannot be imported
    for name in LINUX_ONLY:
        if hasattr(os, name):
            delattr(os, name)
    sysconfig.get_config_vars()  # reads a file that is named after the platform
    sys.platform = "darwin"
    sys.modules["_scproxy"] = ModuleType("_scproxy")  # which every macOS has; urllib takes two functions from it
    for name in ("_get_proxy_settings", "_get_proxies"):
        setattr(sys.modules["_scproxy"], name, dict)
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("open", "os.listdir", "os.scandir") and str(arguments[0]).startswith(("/proc", "/sys/")):
        raise FileNotFoundError(2, "No such file or directory", arguments[0])


def main(arguments: list[str]) -> int:
    """Run the commands, until one fails."""
    hide()
    from meshinsight import cli

    commands: list[list[str]] = [[]]
    for argument in arguments:
        if argument == "--":
            commands.append([])
        else:
            commands[-1].append(argument)
    for command in commands:
        sys.argv = ["meshinsight", *command]
        if status := cli.run():
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
