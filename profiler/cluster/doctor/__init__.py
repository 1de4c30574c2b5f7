"""Inspects a cluster before anything is created there: whether a run can work on it. Every check only reads."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from profiler.cluster.api.errors import ClusterError, ForbiddenError
from profiler.cluster.api.session import Object, Session
from profiler.cluster.doctor import images, meshes, namespaces, nodes, rights
from profiler.cluster.doctor.findings import parted
from profiler.cluster.objects.mesh import load_mesh
from profiler.cluster.run.continuing import Where
from profiler.doctor.check import CLUSTER, Check, Diagnosis

API_SERVER = "API server"


@dataclass(frozen=True)
class ClusterDiagnosis(Diagnosis):
    """What was found about the cluster of a context."""

    wanted: tuple[str, ...] = (CLUSTER,)
    context: str = ""

    @property
    def summary(self) -> str:
        """One line: whether a run can work, and what stops it."""
        cluster = f"on the cluster of context {self.context}" if self.context else "on this cluster"
        (feature,) = self.features
        if not feature.works:
            return f"A run cannot work {cluster}: {', '.join(feature.lacks)}."
        return f"A run can work {cluster}{'; see the warnings' if feature.limits else ''}."


def diagnose_cluster(connect: Callable[[], Session], where: Where, default_image: str) -> ClusterDiagnosis:
    """Check the cluster that `connect` reaches for a run there, which has `default_image` where none is chosen.

    Raises:
        UsageError: there is no such kubeconfig, context or mesh.
    """
    mesh = load_mesh(where.mesh)
    try:
        session = connect()
    except ClusterError as error:
        return ClusterDiagnosis((Check(API_SERVER, "missing", *parted(error), area=API_SERVER),))
    with session:
        found = Check(API_SERVER, "ok", f"{session.version} at {session.server}", area=API_SERVER)
        place, of_namespace = namespaces.decided(session, where)
        known = _nodes(session)
        areas: dict[str, Callable[[], Sequence[Check]]] = {
            "namespace": lambda: of_namespace,
            "rights": lambda: rights.rights(session, where, mesh, place),
            "nodes": lambda: nodes.nodes(known, where),
            "mesh": lambda: meshes.meshes(session, mesh, where.namespace),
            "image": lambda: [images.image(known or [], where.image, default_image)],
        }
        checks = [check.of_area(area) for area, look in areas.items() for check in _checks(area, look)]
        return ClusterDiagnosis((found, *checks), context=session.context)


def _nodes(session: Session) -> list[Object] | None:
    """All nodes; None where the user may not list them."""
    try:
        return session.find("Node")
    except ForbiddenError:
        return None


def _checks(area: str, look: Callable[[], Sequence[Check]]) -> Iterator[Check]:
    try:
        yield from look()
    except ClusterError as error:
        yield Check(area, "missing", *parted(error))
