"""What is served in tests of calls between profilers."""

from collections.abc import Mapping

import numpy as np

from profiler.errors import ProbeError
from profiler.measuring.instruments import CpuAccount
from profiler.probes.cputime import CpuTimes
from profiler.probes.perf_sampling import SampledTimes
from profiler.symbols.histogram import SampledFunction, UserFunctions
from profiler.symbols.maps import UserAddress
from profiler.symbols.stacks import Stack
from profiler.symbols.tables import Function
from profiler.vocabulary.timeline_events import CpuTopology, TimelineEvents

TIMES = SampledTimes(
    "cpu-clock", {("idle", "idle"): 1.5}, {("tool", "user"): 2.0}, 3, 0, {("rest", UserAddress("/bin/x", 3)): 2.0}, 1,
    [Stack("server_app", "ipc", "[kernel]", ("entry", "send"), 2.0)],
)  # fmt: skip


FUNCTIONS = UserFunctions(
    [
        SampledFunction("client_sidecar", Function("/bin/x", 3, "f"), Function("/bin/x", 3, None, ("a", None)), 1.5),
        SampledFunction("server_sidecar", None, None, 2.0),
    ],
    3,
    "envoy",
    "1.30.1",
)

TOPOLOGY = CpuTopology({0: 0, 1: 0}, {0: 0})


class Callee:
    """What is served: the kinds of values that instruments have."""

    def __init__(self) -> None:
        self.roles: dict[int, str] = {}

    def set_roles(self, roles: Mapping[int, str], probed: bool = True) -> None:
        self.roles = {pid: f"{role} {probed}" for pid, role in roles.items()}

    def events(self) -> TimelineEvents:
        count = np.arange(3, dtype=np.int64)
        return TimelineEvents(count, count + 1, count + 2, count + 3, count + 4, {7: "client_app"}, 2, TOPOLOGY)

    def samples(self) -> SampledTimes:
        return TIMES

    def functions(self) -> UserFunctions:
        return FUNCTIONS

    def reading(self) -> CpuAccount:
        return CpuAccount(CpuTimes({("rest", "user"): 5}, {}, 9), 1.25)

    def fail(self) -> None:
        raise ProbeError("sys_enter: not attached")

    def _hidden(self) -> int:
        return 1
