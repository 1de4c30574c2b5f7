"""Which cluster, and where on it."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

import typer

from profiler.errors import UsageError

Cluster = Annotated[bool, typer.Option("--cluster", help="On a Kubernetes cluster instead of this machine.")]
Kubeconfig = Annotated[Path | None, typer.Option(metavar="FILE", help="The cluster, as for kubectl.")]
Context = Annotated[str | None, typer.Option(metavar="NAME", help="The cluster, as for kubectl.")]
Image = Annotated[str | None, typer.Option(metavar="IMAGE", help="On a cluster: MeshInsight's image, as nodes get it.")]


@dataclass(frozen=True)
class ClusterOptions:
    """What the command line says of the cluster; None where it says nothing."""

    kubeconfig: Kubeconfig = None
    context: Context = None
    namespace: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --cluster: instead of one that is made for the run.")
    ] = None
    allow_foreign_namespace: Annotated[
        bool, typer.Option("--allow-foreign-namespace", help="Use a --namespace that was there before.")
    ] = False
    node: Annotated[str | None, typer.Option(metavar="NAME", help="With --cluster: where to measure.")] = None
    server_node: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --cluster: where servers are, if not on --node.")
    ] = None
    mesh: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="With --cluster: builtin (our own sidecars), istio, linkerd, or a file."),
    ] = None
    image: Image = None

    def require_cluster(self, by: str = "--cluster") -> None:
        """Raise UsageError for options that mean nothing without that which asks for a cluster."""
        given = [field.name for field in fields(self) if getattr(self, field.name) not in (None, False)]
        if given:
            raise UsageError(f"--{given[0].replace('_', '-')}: is for runs on a cluster; add {by}")
