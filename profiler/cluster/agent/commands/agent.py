"""`assist`: measure on the servers' node what the profiler on the clients' node asks for, until stopped."""

from collections.abc import Sequence
from contextlib import ExitStack, suppress

from profiler.cluster.agent.containers import leave_cpu_group
from profiler.cluster.agent.node import OnNode
from profiler.cluster.agent.rpc_server import serve
from profiler.cluster.agent.secrets import SECRETS
from profiler.cluster.names import PROFILER
from profiler.cluster.run.task import ASSISTANT_PORT
from profiler.errors import MeshInsightError
from profiler.host.interrupts import Interrupted
from profiler.measuring.instruments import Instruments
from profiler.testbed.certificates import certificates_in
from profiler.testbed.run import Run
from profiler.vocabulary.temperature import Mode


class Assistant:
    """Has instruments ready while the other profiler measures."""

    def __init__(self, run: Run, node: OnNode) -> None:
        self._run = run
        self._node = node
        self._stack = ExitStack()
        self._instruments: Instruments | None = None

    def instruments(self) -> Instruments:
        """Those that were made ready. Raises MeshInsightError."""
        if self._instruments is None:
            raise MeshInsightError("nothing is being measured")
        return self._instruments

    def begin(self, modes: list[Mode]) -> None:
        """Make instruments ready, with these neighbours. Raises MeshInsightError."""
        self.end()
        instruments = Instruments(self._run, modes, lambda pids: leave_cpu_group(pids, self._node.cgroup_root))
        self._instruments = self._stack.enter_context(instruments)

    def end(self) -> None:
        """Remove them."""
        self._instruments = None
        self._stack.close()


def main(arguments: Sequence[str]) -> None:
    """Serve until SIGTERM. Raises MeshInsightError."""
    node = OnNode()
    with suppress(Interrupted), Run.start() as run:
        run.suspend_autogroup()
        assistant = Assistant(run, node)
        try:
            objects = {"pods": lambda: node, "assistant": lambda: assistant, "instruments": assistant.instruments}
            serve(ASSISTANT_PORT, certificates_in(SECRETS), objects, PROFILER)
        finally:
            assistant.end()
