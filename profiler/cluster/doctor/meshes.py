"""The meshes of a cluster: control planes by their Deployments, versions, and the namespaces whose pods they inject."""

from collections.abc import Iterator, Sequence
from typing import Final

from profiler.cluster.api.errors import ForbiddenError
from profiler.cluster.api.session import Object, Session
from profiler.cluster.objects.mesh import INJECTED, Installation, Mesh, load_mesh, mesh_names, revisions_of
from profiler.doctor.check import CLUSTER, Check
from profiler.text import first_of

_VERSION: Final = "app.kubernetes.io/version"
_APPS: Final = "apps/v1"
_DEFAULT: Final = "default"
"""The revision of a control plane that was installed without one, and of pods that ask for none."""
_MOST_NAMES: Final = 5


def meshes(session: Session, asked: Mesh, namespace: str) -> list[Check]:
    """A check for each control plane found, and for the mesh that a run in `namespace` asks for (empty: a new one).

    Raises ClusterError.
    """
    known = {name: load_mesh(name) for name in mesh_names()} | {asked.name: asked}
    found = [check for mesh in known.values() for check in _of_mesh(session, mesh, mesh.name == asked.name, namespace)]
    if asked.sidecar != INJECTED:
        found.insert(0, Check(asked.name, "ok", "needs no mesh on the cluster"))
    return found


def _of_mesh(session: Session, mesh: Mesh, asked: bool, namespace: str) -> Iterator[Check]:
    if mesh.installation is None:
        if asked and mesh.sidecar == INJECTED:
            yield Check(mesh.name, "warn", "not looked for: its file has no key installation", (CLUSTER,))
        return
    planes = _control_planes(session, mesh, mesh.installation.deployments)
    if planes is None:
        detail = "not looked for: you may not list deployments, which a run does not need"
        yield Check(mesh.name, "warn" if asked else "ok", detail, (CLUSTER,) if asked else ())
        return
    if not planes and asked:
        remedy = "install it first, or use --mesh builtin, which needs none"
        yield Check(mesh.name, "missing", "not installed: no control plane was found", (CLUSTER,), remedy)
    if planes:
        injected = _injected(session, mesh.installation.namespaces)
        yield from (_control_plane(mesh, plane, injected, asked) for plane in planes)
    if planes and asked:
        yield from _kinds(session, mesh)
        yield from _injection(session, mesh.installation, namespace, revisions_of(planes, mesh.installation))


def _control_planes(session: Session, mesh: Mesh, selector: str) -> list[Object] | None:
    """Deployments of its control plane: of the cluster or, without the right to that, of its usual namespaces."""
    for where in filter(None, ((None,), mesh.control_plane)):
        try:
            return [
                one
                for inside in where
                for one in session.find("Deployment", inside, selector=selector, api_version=_APPS)
            ]
        except ForbiddenError:
            continue
    return None


def _control_plane(mesh: Mesh, plane: Object, injected: str, asked: bool) -> Check:
    metadata = plane["metadata"]
    place = f"{metadata['namespace']}/{metadata['name']}"
    if not (plane.get("status") or {}).get("availableReplicas"):
        remedy = f"see `kubectl describe deployment --namespace {metadata['namespace']} {metadata['name']}`"
        detail = f"{place} has no pod that is ready"
        if asked:
            return Check(mesh.name, "missing", detail, (CLUSTER,), remedy)
        return Check(mesh.name, "warn", detail, (), remedy)
    return Check(mesh.name, "ok", f"version {_version(plane)}, {place}; {injected}")


def _injection(
    session: Session, installation: Installation, namespace: str, revisions: Sequence[str]
) -> Iterator[Check]:
    """What speaks against sidecars in a run's pods: labels of its namespace, and the revisions that there are."""
    found = session.get("Namespace", namespace) if namespace else None
    labels = (found["metadata"].get("labels") or {}) if found else {}
    for key, _, value in (mark.partition("=") for mark in installation.namespaces):
        if value and labels.get(key, value) != value:
            remedy = f"kubectl label --overwrite namespace {namespace} {key}={value}"
            detail = f"namespace {namespace} has {key}={labels[key]}, so that its pods get no sidecar"
            yield Check("injection", "missing", detail, (CLUSTER,), remedy)
    wanted = labels.get(installation.revision, _DEFAULT)
    if revisions and wanted not in revisions:
        detail = f"pods of revision {wanted} get a sidecar only by a tag of that name; there are {', '.join(revisions)}"
        remedy = f"choose another by the label {installation.revision} of a prepared namespace"
        yield Check("injection", "warn", detail, (CLUSTER,), remedy)


def _version(plane: Object) -> str:
    """The version of its label, else that of its image's tag."""
    if label := (plane["metadata"].get("labels") or {}).get(_VERSION):
        return str(label)
    image = str(plane["spec"]["template"]["spec"]["containers"][0]["image"]).partition("@")[0]
    return image.rpartition("/")[2].partition(":")[2] or "unknown"


def _injected(session: Session, marks: Sequence[str]) -> str:
    """Namespaces whose pods are injected, in words."""
    try:
        known = session.find("Namespace")
    except ForbiddenError:
        return "injected namespaces unknown: you may not list namespaces"
    names = sorted(one["metadata"]["name"] for one in known if any(_marked(one, mark) for mark in marks))
    if not names:
        return "injects no namespace by default"
    return f"injects {first_of(names, _MOST_NAMES)}"


def _marked(namespace: Object, mark: str) -> bool:
    key, equals, value = mark.partition("=")
    metadata = namespace["metadata"]
    marks = {**(metadata.get("annotations") or {}), **(metadata.get("labels") or {})}
    return key in marks and (not equals or marks[key] == value)


def _kinds(session: Session, mesh: Mesh) -> Iterator[Check]:
    """Kinds of objects by which a run chooses a mode of mutual TLS, where the cluster does not know them."""
    objects = [made for mode in mesh.tls.values() for made in mode.objects]
    for version, kind in dict.fromkeys((made["apiVersion"], made["kind"]) for made in objects):
        if not session.serves(version, kind):
            remedy = f"install the definitions (CRDs) of {mesh.name} of a release that has it"
            yield Check(kind, "missing", f"the cluster does not know it in {version}", (CLUSTER,), remedy)
