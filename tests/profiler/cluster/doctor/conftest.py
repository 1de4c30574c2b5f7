"""A fake cluster with a node, and meshes to put on it."""

from typing import Any

import pytest

from tests.profiler.cluster.fake_api import FakeApi

Object = dict[str, Any]


def node(name: str, *, ready: str = "True", **changes: Any) -> Object:
    """A node that can take a run's pods, but for the changes of its `nodeInfo`, `spec` and `labels`."""
    info = {
        "operatingSystem": "linux",
        "kernelVersion": "6.1.0-18-amd64",
        "architecture": "amd64",
        "containerRuntimeVersion": "containerd://1.7.0",
        **changes.get("info", {}),
    }
    return {
        "kind": "Node",
        "metadata": {"name": name, "labels": changes.get("labels", {})},
        "spec": changes.get("spec", {}),
        "status": {
            "nodeInfo": info,
            "conditions": [{"type": "Ready", "status": ready}],
            "images": [{"names": changes.get("images", [])}],
        },
    }


def add(api: FakeApi, plural: str, made: Object) -> None:
    metadata = made["metadata"]
    metadata.setdefault("uid", f"uid-of-{metadata['name']}")
    api.objects[plural, metadata.get("namespace", ""), metadata["name"]] = made


def control_plane(namespace: str, name: str, labels: dict[str, str], image: str, available: int = 1) -> Object:
    return {
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"template": {"spec": {"containers": [{"name": "it", "image": image}]}}},
        "status": {"availableReplicas": available},
    }


def namespace(name: str, **labels: str) -> Object:
    return {"kind": "Namespace", "metadata": {"name": name, "labels": labels}}


@pytest.fixture
def api(api: FakeApi) -> FakeApi:
    """A cluster of one node."""
    add(api, "nodes", node("worker-1"))
    return api
