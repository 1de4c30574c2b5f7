"""`meshinsight cleanup`: remove what killed runs left on this machine, and nothing else."""

from typing import TYPE_CHECKING, Annotated

import typer

from meshinsight.console import print_line
from meshinsight.on_cluster import cleanup_cluster
from meshinsight.options.cluster import Cluster, ClusterOptions, Context, Kubeconfig
from profiler.errors import UsageError

if TYPE_CHECKING:
    from profiler.testbed.leftovers import Leftover


def register(app: typer.Typer) -> None:
    """Add `cleanup` to the command line."""
    app.command(name="cleanup")(cleanup)


def cleanup(
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only say what would be removed.")] = False,
    cluster: Cluster = False,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Only in this namespace, prepared for runs; with --cluster."),
    ] = None,
    run_id: Annotated[
        str | None, typer.Option("--run", metavar="ID", help="This run, whatever it does; with --cluster.")
    ] = None,
) -> None:
    """Remove what killed runs left behind: processes, namespaces, rules, files; with --cluster, objects."""
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
