"""What the profiler's pod is told to do: the settings of a run, and where the run's hops are. A versioned value."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import msgspec

from profiler.campaign.settings import ProfileSettings
from profiler.cluster.mesh import Reading
from profiler.errors import MeshInsightError

FORMAT: Final = "meshinsight-cluster-task"
VERSION: Final = 3
ASSISTANT_PORT: Final = 15443
"""Where the profiler on the servers' node listens."""


@dataclass(frozen=True)
class SidecarPlace:
    """A sidecar's container as the API server reports it: its id and image.

    `version` and `configuration` are the proxy's where the pod's object tells them; empty where they have to be asked.
    """

    container: str
    image: str
    version: str = ""
    configuration: str = ""


@dataclass(frozen=True)
class HopPlace:
    """Where a hop runs: its server's address, and the ids of containers as the API server reports them."""

    address: str
    port: int
    load: str
    server: str
    client_sidecar: SidecarPlace | None = None
    server_sidecar: SidecarPlace | None = None


@dataclass(frozen=True)
class MeshProxy:
    """The mesh's proxy: the name of its process, and how its version and configuration are asked of it."""

    process: str
    version: Reading | None = None
    configuration: Reading | None = None


@dataclass(frozen=True)
class Task:
    """A run for the profiler's pod. `places` are by hop name; `cluster` is noted in the profile as it is.

    `assistant` is the address of the profiler on the servers' node, where that is another one.
    """

    settings: ProfileSettings
    command: tuple[str, ...]
    version: str
    proxy: MeshProxy
    places: Mapping[str, HopPlace]
    cluster: Mapping[str, Any] = field(default_factory=dict)
    assistant: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The task as plain JSON values."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "settings": self.settings.as_json(),
            "command": list(self.command),
            "meshinsight_version": self.version,
            "proxy": asdict(self.proxy),
            "places": {name: asdict(place) for name, place in self.places.items()},
            "cluster": dict(self.cluster),
            "assistant": self.assistant,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Task":
        """The task of `to_json`. Raises MeshInsightError for that of another version."""
        if (document.get("format"), document.get("version")) != (FORMAT, VERSION):
            raise MeshInsightError(
                f"the image understands tasks of version {VERSION}, this is {document.get('format')} "
                f"{document.get('version')}; use the image of the same release as the command line"
            )
        return cls(
            settings=ProfileSettings.from_json(document["settings"]),
            command=tuple(document["command"]),
            version=document["meshinsight_version"],
            proxy=msgspec.convert(document["proxy"], MeshProxy),
            places=msgspec.convert(document["places"], dict[str, HopPlace]),
            cluster=document["cluster"],
            assistant=document["assistant"],
        )
