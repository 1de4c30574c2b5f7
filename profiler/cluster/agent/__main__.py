"""`python3 -m profiler.cluster.agent <command>`: the commands of the run's containers, one file each."""

import importlib
import sys
from typing import Final

from profiler.errors import MeshInsightError

COMMANDS: Final = (
    "acknowledge", "agent", "attach", "capture", "echo", "export", "export_chunk", "idle", "measure", "reap",
    "sidecar", "stop", "submit", "wait_for_ports",
)  # fmt: skip


def main() -> int:
    """Run the command named first. Errors are one line, which becomes the container's last."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in COMMANDS:
        sys.stderr.write(f"profiler.cluster.agent: give one of {', '.join(COMMANDS)}\n")
        return 2
    try:
        importlib.import_module(f"profiler.cluster.agent.commands.{name}").main(sys.argv[2:])
    except MeshInsightError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


sys.exit(main())
