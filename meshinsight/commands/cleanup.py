"""`meshinsight cleanup`: remove what killed runs left on this machine, and nothing else."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from meshinsight.application import examples
from meshinsight.console import print_line
from meshinsight.on_cluster import cleanup_cluster
from meshinsight.options.cluster import Cluster, ClusterOptions, Context, Kubeconfig
from meshinsight.options.panels import CLUSTER
from profiler.errors import UsageError

if TYPE_CHECKING:
    from profiler.testbed.leftovers import Leftover

_EXAMPLES: Final = examples(
    "sudo meshinsight cleanup --dry-run",
    "meshinsight cleanup --cluster --namespace meshinsight",
)


def register(app: typer.Typer) -> None:
    """Add `cleanup` to the command line."""
    app.command(name="cleanup", epilog=_EXAMPLES)(cleanup)


def cleanup(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Print what would be removed; remove nothing.")
    ] = False,
    cluster: Cluster = False,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Only in this namespace, which was prepared for runs.", rich_help_panel=CLUSTER
        ),
    ] = None,
    run_id: Annotated[
        str | None,
        typer.Option("--run", metavar="ID", help="This run, even if it still measures.", rich_help_panel=CLUSTER),
    ] = None,
) -> None:
    """Remove what killed runs left behind, and nothing else.

    Processes, network namespaces, rules and files of this machine; with --cluster, objects of a cluster.
    """
    options = ClusterOptions(kubeconfig=kubeconfig, context=context, namespace=namespace)
    if cluster:
        cleanup_cluster(options, run_id, dry_run=dry_run)
        return
    options.require_cluster()
    if run_id is not None:
        raise UsageError("--run: is for runs on a cluster; add --cluster")
    from profiler.testbed.leftovers import find_leftovers, remove_leftovers

    found = find_leftovers() if dry_run else remove_leftovers()
    for leftover in found:
        print_line(f"run {leftover.run_id}: {'would remove' if dry_run else 'removed'} {describe(leftover)}")
    if not found:
        print_line("nothing to clean up: no killed run left anything here")


def describe(leftover: "Leftover") -> str:
    """What there is of a run, such as `3 processes, 2 namespaces, 1 file`. Rules go with their namespace."""
    counts = {
        "process": ("processes", len(leftover.processes)),
        "namespace": ("namespaces", len(leftover.namespaces)),
        "file": ("files", len(leftover.files) + 1),  # its directory
    }
    return ", ".join(f"{number} {one if number == 1 else many}" for one, (many, number) in counts.items() if number)
