"""Meshes as data: how a pod gets its sidecar, where the proxy is, and which configurations it can be measured in.

A file in `meshes/` each, or one of the user's; `mesh.schema.json` says what may be in it. Texts may hold `${workers}`
(threads of the proxy), `${ports}` (the server's, separated by commas) and `${pod}` (the server's pod).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any, Final

from profiler.errors import UsageError
from profiler.files.checked_yaml import load_checked
from profiler.vocabulary.hop import BOTH, NONE, Hop

_OPTION: Final = "--mesh"
INJECTED, OWN, NO_SIDECAR = "injected", "own", "none"
_PLACEHOLDERS: Final = ("workers", "ports", "pod")


@dataclass(frozen=True)
class Inject:
    """Labels and annotations that a pod with a sidecar gets, and one that must not have any (`plain_…`)."""

    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    plain_labels: Mapping[str, str] = field(default_factory=dict)
    plain_annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ProxyPlace:
    """Where the proxy is found: container of the pod, and name of its process, which leads to its program."""

    container: str
    process: str


@dataclass(frozen=True)
class MeshProtocol:
    """How the mesh is told what a port carries. The port's name is `<port_name>-echo`."""

    port_name: str
    app_protocol: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    service_annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TlsMode:
    """What brings a mode about: objects for the server's pod. Some meshes cannot do all between two sidecars."""

    between_sidecars: bool = True
    objects: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Reading:
    """Where something is read: an annotation of the pod, the proxy's environment, or HTTP.

    HTTP goes to a port of the pod's 127.0.0.1, or to a socket in the proxy's container. `pattern` has the group
    `version`, where only that part is wanted.
    """

    annotation: str = ""
    port: int = 0
    socket: str = ""
    path: str = ""
    pattern: str = ""
    environment: bool = False

    @property
    def by_http(self) -> bool:
        """Whether it has to be asked of the pod, beyond what the API server knows."""
        return bool(self.port or self.socket)

    def of_interest(self, text: str) -> str:
        """That part of what was read which is wanted; empty if it is not there."""
        if not self.pattern:
            return text
        found = re.search(self.pattern, text)
        return found["version"] if found else ""


@dataclass(frozen=True)
class Installation:
    """How doctor finds the mesh: the label selector of its control plane's Deployments.

    `namespaces` are labels or annotations, `key` or `key=value`, of namespaces whose pods it injects. `revision` is the
    label that names the revision of a control plane, where there may be several.
    """

    deployments: str
    namespaces: tuple[str, ...] = ()
    revision: str = ""


@dataclass(frozen=True)
class Mesh:
    """One mesh, as its file describes it.

    `version` is what its releases are called by; `program_version` is the version of the proxy's program, where that is
    another one, by which its functions are known.
    """

    name: str
    description: str
    sidecar: str = INJECTED
    inject: Inject = Inject()
    proxy: ProxyPlace | None = None
    protocols: Mapping[str, MeshProtocol] = field(default_factory=dict)
    tls: Mapping[str, TlsMode] = field(default_factory=dict)
    version: Reading | None = None
    program_version: Reading | None = None
    configuration: Reading | None = None
    control_plane: tuple[str, ...] = ()
    installation: Installation | None = None

    def check(self, hop: Hop) -> None:
        """Raise UsageError unless the hop can be measured with this mesh."""
        if hop.topology == NONE:
            return
        if self.sidecar == NO_SIDECAR:
            raise UsageError(f"--mesh {self.name}: has no sidecars; use --topology none or another mesh")
        if hop.protocol not in self.protocols:
            raise UsageError(f"--mesh {self.name}: cannot proxy {hop.protocol}; it does {', '.join(self.protocols)}")
        mode = self.tls.get(hop.tls)
        if mode is None or (hop.topology == BOTH and not mode.between_sidecars):
            able = [name for name, one in self.tls.items() if one.between_sidecars]
            raise UsageError(
                f"--mesh {self.name}: --tls {hop.tls} is not possible between its sidecars; use {' or '.join(able)}"
            )
        if self.sidecar == INJECTED and hop.filters:
            raise UsageError(f"--mesh {self.name}: --filter needs our own sidecars; use --mesh builtin")


def mesh_names() -> tuple[str, ...]:
    """The meshes that there is data for."""
    folder = resources.files("profiler.cluster.objects").joinpath("meshes")
    return tuple(sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml")))


def load_mesh(name: str) -> Mesh:
    """A mesh by its name, or from a file of the user's.

    Raises:
        UsageError: unknown, or the file is wrong; the message names file, line and key.
    """
    if name in mesh_names():
        path = Path(str(resources.files("profiler.cluster.objects").joinpath("meshes", f"{name}.yaml")))
    else:
        path = Path(name)
        if not path.exists():
            raise UsageError(f"{_OPTION} {name}: no such mesh or file; known: {', '.join(mesh_names())}")
    content = load_checked(path, _OPTION, "profiler.cluster.objects", "mesh.schema.json")
    _check_texts(content, path)
    _check_patterns(content, path)
    mesh = _made(content)
    if mesh.sidecar != NO_SIDECAR and (mesh.proxy is None or not mesh.protocols or not mesh.tls):
        raise UsageError(f"{_OPTION} {path}: a mesh with sidecars needs the keys proxy, protocols and tls")
    return mesh


def filled(value: Any, **values: str) -> Any:
    """A value of a mesh's file, with its placeholders filled in."""
    if isinstance(value, Mapping):
        return {key: filled(child, **values) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [filled(child, **values) for child in value]
    return Template(value).substitute(values) if isinstance(value, str) else value


def said_by_object(reading: Reading | None, pod: Mapping[str, Any], container: str) -> str:
    """What a mesh's `version` or `configuration` finds in a pod's object; empty if it is not there.

    Args:
        reading: what the mesh says.
        pod: the object as the API server has it.
        container: the proxy's container.
    """
    if reading is None or reading.by_http:
        return ""
    if reading.annotation:
        return reading.of_interest(str((pod["metadata"].get("annotations") or {}).get(reading.annotation, "")))
    all_containers = [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]
    entries = [entry for one in all_containers if one["name"] == container for entry in one.get("env", [])]
    return reading.of_interest("\n".join(f"{entry['name']}={entry.get('value', '')}" for entry in entries))


def revisions_of(planes: Sequence[Mapping[str, Any]], installation: Installation) -> list[str]:
    """The revisions of control planes, by their Deployments; none where the mesh has no revisions."""
    labels = [plane["metadata"].get("labels") or {} for plane in planes]
    return sorted({found[installation.revision] for found in labels if installation.revision in found})


def _made(content: Mapping[str, Any]) -> Mesh:
    proxy, found = content.get("proxy"), content.get("installation")
    return Mesh(
        name=content["name"],
        description=content["description"],
        sidecar=content.get("sidecar", INJECTED),
        inject=Inject(**content.get("inject", {})),
        proxy=ProxyPlace(proxy["container"], proxy["process"]) if proxy else None,
        protocols={name: MeshProtocol(**entry) for name, entry in content.get("protocols", {}).items()},
        tls={
            name: TlsMode(entry.get("between_sidecars", True), tuple(entry.get("objects", ())))
            for name, entry in content.get("tls", {}).items()
        },
        version=Reading(**content["version"]) if "version" in content else None,
        program_version=Reading(**content["program_version"]) if "program_version" in content else None,
        configuration=Reading(**content["configuration"]) if "configuration" in content else None,
        control_plane=tuple(content.get("control_plane", ())),
        installation=(
            Installation(found["deployments"], tuple(found.get("namespaces", ())), found.get("revision", ""))
            if found
            else None
        ),
    )


def _check_texts(value: Any, path: Path, where: str = "") -> None:
    if isinstance(value, Mapping):
        for key, child in value.items():
            _check_texts(child, path, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list):
        for child in value:
            _check_texts(child, path, where)
    elif isinstance(value, str) and not where.endswith("pattern"):
        try:
            Template(value).substitute(dict.fromkeys(_PLACEHOLDERS, ""))
        except (KeyError, ValueError) as error:
            known = ", ".join(f"${{{name}}}" for name in _PLACEHOLDERS)
            raise UsageError(f"{_OPTION} {path}: {where}: unknown placeholder in {value!r}; known: {known}") from error


def _check_patterns(content: Mapping[str, Any], path: Path) -> None:
    for key in ("version", "program_version", "configuration"):
        pattern = content.get(key, {}).get("pattern")
        if pattern is None:
            continue
        try:
            groups = re.compile(pattern).groupindex
        except re.error as error:
            raise UsageError(f"{_OPTION} {path}: {key}.pattern: no regular expression: {error}") from error
        if "version" not in groups:
            raise UsageError(f"{_OPTION} {path}: {key}.pattern: has no group (?P<version>…)")
