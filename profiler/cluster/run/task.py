"""What the profiler's pod has to do: the settings of a run, and where the run's hops are. A versioned value."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import msgspec

from profiler.cluster.objects.mesh import Reading
from profiler.errors import MeshInsightError
from profiler.planning.settings import ProfileSettings
from profiler.text import error_line, one_line

FORMAT: Final = "meshinsight-cluster-task"
VERSION: Final = 4
ASSISTANT_PORT: Final = 15443
"""Where the profiler on the servers' node listens."""


@dataclass(frozen=True)
class SidecarPlace:
    """A sidecar's container as the API server reports it: its id and image.

    The other fields are the mesh's version, the proxy's configuration and the version of its program where the pod's
    object tells them; empty where they have to be asked.
    """

    container: str
    image: str
    version: str = ""
    configuration: str = ""
    program_version: str = ""


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
    """The mesh's proxy: the name of its process, and how versions and configuration are asked of it.

    `version` is the mesh's, `program_version` that of the proxy's program.
    """

    process: str
    version: Reading | None = None
    configuration: Reading | None = None
    program_version: Reading | None = None


@dataclass(frozen=True)
class Task:
    """A run for the profiler's pod. `places` are by hop name; `cluster` is noted in the profile as it is.

    `assistant` is the address of the profiler on the servers' node, where that is another one. `begun` is what must be
    the same when the run is continued; `finished` are the files of its journal, where it is.
    """

    settings: ProfileSettings
    command: tuple[str, ...]
    version: str
    proxy: MeshProxy
    places: Mapping[str, HopPlace]
    cluster: Mapping[str, Any] = field(default_factory=dict)
    assistant: str | None = None
    begun: Mapping[str, str] = field(default_factory=dict)
    finished: Mapping[str, str] = field(default_factory=dict)

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
            "begun": dict(self.begun),
            "finished": dict(self.finished),
        }

    @classmethod
    def from_json(cls, document: Any) -> "Task":
        """The task of `to_json`. Raises MeshInsightError for that of another version, or a damaged one."""
        given = (document.get("format"), document.get("version")) if isinstance(document, Mapping) else (None, None)
        if given != (FORMAT, VERSION):
            raise MeshInsightError(
                f"the image understands tasks of version {VERSION}, this is {one_line(f'{given[0]} {given[1]}')}; "
                "use the image of the same release as the command line"
            )
        try:
            found = msgspec.convert(document, _Document)
            settings = ProfileSettings.from_json(found.settings)
        except (msgspec.ValidationError, ValueError) as error:
            raise MeshInsightError(f"the task cannot be used: {error_line(error)}") from error
        return cls(
            settings=settings,
            command=found.command,
            version=found.meshinsight_version,
            proxy=found.proxy,
            places=found.places,
            cluster=found.cluster,
            assistant=found.assistant,
            begun=found.begun,
            finished=found.finished,
        )


@dataclass(frozen=True)
class _Document:
    """A task as it is sent."""

    settings: dict[str, Any]
    command: tuple[str, ...]
    meshinsight_version: str
    proxy: MeshProxy
    places: dict[str, HopPlace]
    cluster: dict[str, Any]
    assistant: str | None
    begun: dict[str, str]
    finished: dict[str, str]
