"""What the profiler's pod is told to do: the settings of a run, and where the run's hops are. A versioned value."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from profiler.campaign.settings import ProfileSettings
from profiler.errors import MeshInsightError

FORMAT: Final = "meshinsight-cluster-task"
VERSION: Final = 1


@dataclass(frozen=True)
class HopPlace:
    """Where a hop runs: its server's address, and the ids of containers as the API server reports them.

    A side without a sidecar has an empty id.
    """

    address: str
    port: int
    load: str
    server: str
    client_sidecar: str = ""
    server_sidecar: str = ""


@dataclass(frozen=True)
class Task:
    """A run for the profiler's pod. `places` are by hop name, `proxy_process` is the name of the mesh's proxies."""

    settings: ProfileSettings
    command: tuple[str, ...]
    version: str
    proxy_process: str
    places: Mapping[str, HopPlace]

    def to_json(self) -> dict[str, Any]:
        """The task as plain JSON values."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "settings": self.settings.as_json(),
            "command": list(self.command),
            "meshinsight_version": self.version,
            "proxy_process": self.proxy_process,
            "places": {name: asdict(place) for name, place in self.places.items()},
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
            proxy_process=document["proxy_process"],
            places={name: HopPlace(**place) for name, place in document["places"].items()},
        )
