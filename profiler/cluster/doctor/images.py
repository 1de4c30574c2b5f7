"""The image of a run's pods, as far as nodes say which images they have."""

from collections.abc import Sequence
from typing import Final

from profiler.cluster.api.session import Object
from profiler.doctor.check import CLUSTER, Check

REMEDY: Final = (
    "build one in a checkout by `podman build -t REGISTRY/meshinsight . && podman push REGISTRY/meshinsight`, REGISTRY "
    "being your own that the nodes pull from, and give --image REGISTRY/meshinsight"
)
"""How to get an image that nodes can pull: none is published."""


def image(nodes: Sequence[Object], name: str, default: str) -> Check:
    """Where the image is already; empty `name`: none was given, so it is `default`."""
    wanted = name or default
    there = [node["metadata"]["name"] for node in nodes if _has(node, wanted)]
    if there:
        return Check("image", "ok", f"{wanted} is on {', '.join(there[:3])}{' and others' if len(there) > 3 else ''}")
    if name:
        return Check("image", "ok", f"{wanted}: no node reports to have it; it is pulled when a run starts")
    return Check("image", "warn", f"no --image, and no node reports to have {wanted}", (CLUSTER,), REMEDY)


def _has(node: Object, wanted: str) -> bool:
    """Whether a node reports the image. The runtime writes short names in full: docker.io/library/NAME:latest."""
    last = wanted.rpartition("/")[2]
    full = wanted if ":" in last or "@" in last else f"{wanted}:latest"
    names = [name for entry in node["status"].get("images") or [] for name in entry.get("names") or []]
    return any(name == full or name.endswith(f"/{full}") for name in names)
