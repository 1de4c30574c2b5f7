"""Test tiers: what each needs, the rule that a tier this machine can run is not skipped quietly, and how many tests may
be tried again.

A test without a tier marker runs everywhere. A marked one is skipped only for a reason this file worked out from the
machine, and the reason is shown. Under MESHINSIGHT_REQUIRE_TIERS=1 (`make test`) any other skip fails the session.

A test marked `timing` that fails is tried again, since other processes take this machine's CPU for seconds. Such tests
are listed at the end; too many of them fail the session, as then the tests cannot be trusted.
"""

import functools
import math
import os
import shutil
import subprocess
from collections.abc import Callable, Generator, Mapping
from typing import Final

import hypothesis
import pytest

from predictor.predict import own_error
from profiler.errors import MissingError
from profiler.probes.bpf import require_bcc

IMAGE: Final = "MESHINSIGHT_TEST_IMAGE"
"""Names the image of MeshInsight that the nodes of the cluster have; without one, tests that need it are left out."""
REQUIRE_TIERS: Final = "MESHINSIGHT_REQUIRE_TIERS"
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
TIMING: Final = "timing"
AGAIN: Final = 2
"""How often a failed test with the marker `timing` is tried again: what is really broken fails each time."""
MOST_TRIED_AGAIN: Final = 0.01
"""The share of all tests run that may have been tried again."""
FEW_TRIED_AGAIN: Final = 3
"""So many may be in any session: of a hundred tests, one per cent is a single one."""
WRONGLY_SKIPPED: Final = pytest.StashKey[list[str]]()
RUN: Final = pytest.StashKey[set[str]]()
TRIED_AGAIN: Final = pytest.StashKey[list[str]]()

# How fast examples are made says nothing on a machine whose CPU others take away.
hypothesis.settings.register_profile(
    "shared-machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("shared-machine")


def kernel_gap() -> str | None:
    try:
        require_bcc()
    except MissingError as error:
        return str(error)
    return None


def cluster_gap() -> str | None:
    if shutil.which("kubectl") is None:
        return "kubectl is not installed"
    try:
        answer = _asked_for_nodes()
    except subprocess.TimeoutExpired:
        return "no Kubernetes cluster answers within 10 s"
    last = (answer.stderr.strip().splitlines() or ["kubectl failed"])[-1]
    return None if answer.returncode == 0 else f"no Kubernetes cluster: {last}"


def two_nodes_gap() -> str | None:
    if gap := cluster_gap():
        return gap
    count = len(_asked_for_nodes().stdout.split())
    return None if count > 1 else "the cluster has one node only"


@functools.cache
def _asked_for_nodes() -> subprocess.CompletedProcess[str]:
    argv = ["kubectl", "get", "nodes", "--output=name"]
    return subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)


def browser_gap() -> str | None:
    if not any(map(shutil.which, BROWSERS)):
        return f"none of {', '.join(BROWSERS)} is installed"
    return None if shutil.which("npm") else "npm, which installs axe-core, is not installed"


def go_program() -> str | None:
    """Go, on PATH or where its own archive puts it."""
    return shutil.which("go", path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/go/bin"]))


def go_gap() -> str | None:
    return None if go_program() else "Go, whose pprof reads exports, is not installed"


GAPS: Final[dict[str, Callable[[], str | None]]] = {
    "kernel": functools.cache(kernel_gap),
    "cluster": functools.cache(cluster_gap),
    "two_nodes": functools.cache(two_nodes_gap),
    "browser": functools.cache(browser_gap),
    "go": functools.cache(go_gap),
}
"""For each tier, what this machine lacks to run it; None when nothing."""


def tiers(item: pytest.Item) -> list[str]:
    return [name for name in GAPS if item.get_closest_marker(name)]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[WRONGLY_SKIPPED] = []
    config.stash[RUN] = set()
    config.stash[TRIED_AGAIN] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    _leave_out_what_needs_an_image(config, items)
    for item in items:
        if item.get_closest_marker(TIMING):
            item.add_marker(pytest.mark.flaky(reruns=AGAIN))
        for tier in tiers(item):
            if gap := GAPS[tier]():
                item.add_marker(pytest.mark.skip(reason=f"{tier} tier: {gap}"))


def _leave_out_what_needs_an_image(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get(IMAGE):
        return
    left_out = [item for item in items if item.get_closest_marker("needs_image")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    runnable = not any(GAPS[tier]() for tier in tiers(item))
    if report.skipped and runnable and not hasattr(report, "wasxfail"):
        item.config.stash[WRONGLY_SKIPPED].append(item.nodeid)
    if not report.skipped and (report.when == "call" or report.failed):
        item.config.stash[RUN].add(item.nodeid)
    if report.when == "setup" and getattr(item, "execution_count", 1) == AGAIN:  # once for each test
        item.config.stash[TRIED_AGAIN].append(item.nodeid)
    return report


def too_many_tried_again(config: pytest.Config) -> bool:
    """Whether more tests were tried again than chance explains."""
    most = max(FEW_TRIED_AGAIN, MOST_TRIED_AGAIN * len(config.stash[RUN]))
    return len(config.stash[TRIED_AGAIN]) > most


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if report.skipped:  # a whole module: nobody can see any more which tiers it held
        collector.config.stash[WRONGLY_SKIPPED].append(f"{collector.nodeid} (skip tests by tier marker, not modules)")
    return report


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    skipped = bool(os.environ.get(REQUIRE_TIERS) and session.config.stash[WRONGLY_SKIPPED])
    if exitstatus == pytest.ExitCode.OK and (skipped or too_many_tried_again(session.config)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if os.environ.get(REQUIRE_TIERS) and (skipped := config.stash[WRONGLY_SKIPPED]):
        terminalreporter.section("skipped, although this machine can run them", red=True, bold=True)
        for nodeid in skipped:
            terminalreporter.write_line(nodeid)
    if again := config.stash[TRIED_AGAIN]:
        bad = too_many_tried_again(config)
        allowed = f"more than {MOST_TRIED_AGAIN:.0%} and more than {FEW_TRIED_AGAIN}" if bad else "within the limit"
        title = f"{len(again)} of {len(config.stash[RUN])} tests were tried again: {allowed}"
        terminalreporter.section(title, red=bad, yellow=not bad, bold=True)
        for nodeid in again:
            terminalreporter.write_line(nodeid)


@pytest.fixture
def own_errors(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[str, float]], None]:
    """Sets the model's own error, whatever is shipped: factors at 95 % by figure; those at 80 % are their roots."""

    def put(factors: Mapping[str, float]) -> None:
        known = {
            name: {
                "graphs": 20.0,
                own_error.key(0.95): math.log(factor),
                own_error.key(0.8): math.log(factor) / 2.0,
            }
            for name, factor in factors.items()
        }
        monkeypatch.setattr(own_error, "_known", lambda: known)

    return put


@pytest.fixture
def no_own_error(own_errors: Callable[[Mapping[str, float]], None]) -> None:
    """Intervals are those of the profile, and all percentiles are known."""
    own_errors(dict.fromkeys(own_error.FIGURES, 1.0))
