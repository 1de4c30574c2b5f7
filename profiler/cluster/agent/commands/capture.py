"""`capture`: lead the pod's TCP connections through its sidecar; runs once, before the pod's containers."""

from collections.abc import Sequence
from typing import Final

from profiler.host.programs import run_tool
from profiler.testbed.redirect import capture_rules

_LIMIT_S: Final = 20.0


def main(arguments: Sequence[str]) -> None:
    """Raises MissingError and ProcessError."""
    run_tool(["iptables-restore", "--wait", "5"], input_text=capture_rules(), timeout_s=_LIMIT_S)
