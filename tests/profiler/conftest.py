"""The fixtures of runs, for the tests of what a run is made of."""

from tests.profiler.testbed.conftest import run, state_dir

__all__ = ["run", "state_dir"]
