"""The user time of a cell by source, from made-up readings of its rungs."""

import numpy as np
import pytest

from profiler.evaluation.readings import Readings, request_of
from profiler.evaluation.user_split import UserSplits
from profiler.evaluation.windows import CpuWindow
from profiler.host.accounting import Noise
from profiler.planning.cells import ANCHOR_SCENE, Cell, ladder
from profiler.probes.cputime import CpuTimes
from profiler.symbols.histogram import SampledFunction, UserFunctions
from profiler.symbols.tables import Function
from profiler.vocabulary.components import CLIENT_SIDECAR
from profiler.vocabulary.cpu_states import USER
from profiler.vocabulary.hop import Hop

CELL = Cell(Hop("http1", "both"), ANCHOR_SCENE)
CODEC = Function("/usr/local/bin/envoy", 16, "Envoy::Http::Http1::ConnectionImpl::dispatch")


def readings(proxy: str | None = "envoy", version: str = "1.30.1") -> Readings:
    """Each rung takes 1000 ns more than the one before it, in one function."""
    found = Readings()
    nameless = CODEC._replace(name=None)
    for number, rung in enumerate(ladder(CELL.hop), 1):
        times = CpuTimes({(CLIENT_SIDECAR, USER): number * 1000 * 10}, {}, 0)
        window = CpuWindow(10, 10.0, 0.0, times, 10, 0.0, 0.0, None, 0.0, 0.0, Noise(0.0, None))
        found.cpu[rung.hop, CELL.scene].append(window)
        weights = [SampledFunction(CLIENT_SIDECAR, CODEC, nameless, 100.0)]
        found.functions[rung.hop, request_of(CELL.scene.load)] = UserFunctions(weights, 100, proxy, version)
    return found


def test_three_sources_share_out_the_same_time() -> None:
    split = UserSplits(readings()).split(CELL)
    total_ns = 1000.0 * len(ladder(CELL.hop))
    assert set(split) == {"symbols", "eh_frame", "ladder"}
    for source in split.values():
        assert np.isclose(sum(source.cpu_ns_per_request.values()) + source.unresolved_ns, total_ns)


@pytest.mark.parametrize(
    ("proxy", "version"), [("envoy", "0.9"), ("envoy", "edge-24.1"), ("envoy", ""), (None, "1.30.1"), (None, "")]
)
def test_names_tell_only_what_is_known_of_the_sidecars_own_program_and_version(proxy: str | None, version: str) -> None:
    assert set(UserSplits(readings(proxy, version)).split(CELL)) == {"eh_frame", "ladder"}


def test_rungs_that_were_not_sampled_tell_nothing() -> None:
    found = readings()
    found.functions.clear()
    assert UserSplits(found).split(CELL) == {}
