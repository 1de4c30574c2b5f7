from profiler.evaluation.cells import _window_warnings
from profiler.evaluation.windows import CpuWindow
from profiler.host.accounting import Noise
from profiler.probes.cputime import CpuTimes
from profiler.profile import types as profile
from profiler.testbed.neighbour import too_coarse


def test_neighbours_with_a_coarse_clock_are_a_warning_of_the_cell_once() -> None:
    problem, times = too_coarse(4200), CpuTimes({}, {}, 1)
    window = CpuWindow(10, 10.0, 0.0, times, 10, 0.0, 0.0, None, 0.0, 0.0, Noise(0.0, None), problem)
    found = _window_warnings([], [window, window], profile.Noise(steal_ratio=0.0, psi_cpu_some_ratio=None), False)
    assert found.count(problem) == 1
    assert "the scheduler's account instead" in problem
