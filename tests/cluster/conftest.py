"""The cluster of tests/cluster/local_cluster.py for tests that need more of it than any KUBECONFIG offers."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from profiler.cluster.api.session import Session, connect
from tests.cluster.local_cluster import STATE, LocalCluster, running_cluster
from tests.cluster.runs import SMALL, Profile, cleanup

FIXTURE = "local_cluster"
LIFECYCLE = "MESHINSIGHT_CLUSTER_LIFECYCLE"
"""Set to run the tests that start and stop clusters."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out lifecycle tests unless asked for; and when KUBECONFIG names another cluster, those of this one."""
    chosen = os.environ.get("KUBECONFIG")
    elsewhere = chosen is not None and not Path(chosen).is_relative_to(STATE)
    left_out = [
        item
        for item in items
        if (item.path.name == "test_lifecycle.py" and not os.environ.get(LIFECYCLE))
        or (elsewhere and FIXTURE in getattr(item, "fixturenames", ()))
    ]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def local_cluster() -> LocalCluster:
    cluster = running_cluster()
    assert cluster is not None, (
        "the local cluster does not run whole; see: python -m tests.cluster.local_cluster status"
    )
    return cluster


@pytest.fixture
def session() -> Iterator[Session]:
    with connect() as connected:
        yield connected


@pytest.fixture
def profile(session: Session, tmp_path: Path) -> Iterator[Callable[..., Profile]]:
    """Starts runs into the test's folder `out`, and removes what is left of them."""
    started: list[Profile] = []

    def start(*options: str, small: tuple[str, ...] = SMALL) -> Profile:
        started.append(Profile(session, tmp_path / "out", *options, small=small))
        return started[-1]

    yield start
    for one in started:
        one.kill()
        if one.process.stderr:
            one.process.stderr.close()
    cleanup()
