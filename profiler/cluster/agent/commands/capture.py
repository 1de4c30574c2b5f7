"""`capture`: lead the pod's TCP connections through its sidecar; runs once, before the pod's containers."""

import subprocess
from collections.abc import Sequence
from typing import Final

from profiler.errors import ProcessError
from profiler.host.programs import find_program
from profiler.testbed.redirect import capture_rules

_LIMIT_S: Final = 20.0


def main(arguments: Sequence[str]) -> None:
    """Raises MissingError and ProcessError."""
    done = subprocess.run(
        [find_program("iptables-restore"), "--wait", "5"],
        input=capture_rules(),
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
    )
    if done.returncode != 0:
        said = " | ".join(done.stderr.split("\n")).strip(" |")
        raise ProcessError(f"iptables-restore failed with exit status {done.returncode}: {said}")
