"""A fake cluster, a session to it, and plans."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from profiler.cluster.api.session import Session, connect
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
