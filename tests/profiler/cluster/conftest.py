"""A fake cluster, a session to it, and plans."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from profiler.cluster.session import Session, connect
from tests.profiler.cluster.fake_api import FakeApi, serving, write_kubeconfig


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with serving(FakeApi()) as fake:
        yield fake


@pytest.fixture
def session(api: FakeApi, tmp_path: Path) -> Iterator[Session]:
    with connect(str(write_kubeconfig(tmp_path / "kubeconfig", api.url))) as connected:
        yield connected


@pytest.fixture
def ready(api: FakeApi) -> FakeApi:
    """The fake cluster, on which every pod is ready at once."""

    def start(made: dict[str, Any]) -> None:
        if made["kind"] == "Pod":
            names = [container["name"] for container in made["spec"]["containers"]]
            made["status"] = {
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [{"name": name, "state": {"running": {}}} for name in names],
            }

    api.on_create = start
    return api


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs an image of MeshInsight on the cluster's nodes, unless one is named."""
    if os.environ.get("MESHINSIGHT_TEST_IMAGE"):
        return
    left_out = [item for item in items if item.get_closest_marker("needs_image")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
