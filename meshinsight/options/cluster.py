"""Which cluster, and where on it."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

import typer

from meshinsight.options.panels import CLUSTER
from profiler.errors import UsageError

Cluster = Annotated[
    bool,
    typer.Option("--cluster", help="Use a Kubernetes cluster instead of this machine.", rich_help_panel=CLUSTER),
]
Kubeconfig = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="File of the cluster's address and user, as for kubectl.", rich_help_panel=CLUSTER
    ),
]
Context = Annotated[
    str | None, typer.Option(metavar="NAME", help="Context in that file, as for kubectl.", rich_help_panel=CLUSTER)
]
Image = Annotated[
    str | None,
    typer.Option(metavar="IMAGE", help="MeshInsight's image, by the name that nodes pull it.", rich_help_panel=CLUSTER),
]


@dataclass(frozen=True)
class ClusterOptions:
    """What the command line says of the cluster; None where it says nothing."""

    kubeconfig: Kubeconfig = None
    context: Context = None
    namespace: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Namespace for the run, instead of a new one.", rich_help_panel=CLUSTER),
    ] = None
    allow_foreign_namespace: Annotated[
        bool,
        typer.Option(
            "--allow-foreign-namespace",
            help="Use a --namespace that was not prepared for runs.",
            rich_help_panel=CLUSTER,
        ),
    ] = False
    node: Annotated[str | None, typer.Option(metavar="NAME", help="Node to measure on.", rich_help_panel=CLUSTER)] = (
        None
    )
    server_node: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Node of the servers, if not that of --node.", rich_help_panel=CLUSTER),
    ] = None
    mesh: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Sidecars: builtin (MeshInsight's), istio, linkerd, or a mesh file.",
            rich_help_panel=CLUSTER,
            show_default="builtin",
        ),
    ] = None
    image: Image = None

    def require_cluster(self, by: str = "--cluster") -> None:
        """Raise UsageError for options that have no meaning without the option `by`, which asks for a cluster."""
        given = [field.name for field in fields(self) if getattr(self, field.name) not in (None, False)]
        if given:
            raise UsageError(f"--{given[0].replace('_', '-')}: is for runs on a cluster; add {by}")
