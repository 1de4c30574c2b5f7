"""What `profile --cluster`, `attach --pod` and `cleanup --cluster` do on a cluster."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from meshinsight.console import print_line, write_document
from meshinsight.options.cluster import ClusterOptions
from profiler.host.extras import CLUSTER, require

if TYPE_CHECKING:
    from profiler.attach.results import Attached
    from profiler.cluster.api.session import Session
    from profiler.cluster.run.running import Where
    from profiler.measuring.profiling import Outcome
    from profiler.planning.settings import ProfileSettings


def print_objects(settings: "ProfileSettings", options: ClusterOptions) -> None:
    """Print what a run would create."""
    require(CLUSTER, "work on a cluster")
    from profiler.cluster.objects.rendering import render
    from profiler.cluster.objects.templates import as_yaml
    from profiler.cluster.run.running import cluster_plan

    write_document(as_yaml(render(cluster_plan(settings, _where(options)))), sys.stdout)


def profile_on_cluster(settings: "ProfileSettings", options: ClusterOptions, directory: Path) -> "Outcome":
    """Measure on the cluster into `directory`."""
    from meshinsight import __version__
    from meshinsight.progress import Progress
    from profiler.cluster.run.running import ClusterRun

    with connected(options) as session, Progress() as progress:
        command = ("meshinsight", *sys.argv[1:])
        return ClusterRun(session, settings, _where(options), command, __version__).run(directory, progress.update)


def _where(options: ClusterOptions) -> "Where":
    from profiler.cluster.run.running import Where

    return Where(
        image=options.image or default_image(),
        mesh=options.mesh or "builtin",
        namespace=options.namespace or "",
        node=options.node or "",
        server_node=options.server_node or "",
        allow_foreign=options.allow_foreign_namespace,
    )


def cleanup_cluster(options: ClusterOptions, run_id: str | None, *, dry_run: bool) -> None:
    """Remove what killed runs, or the run of that id, left on the cluster, and say so."""
    from profiler.cluster.run.leftovers import find_leftovers, find_runs, remove_leftovers

    with connected(options) as session:
        if dry_run:
            inside = options.namespace
            found = find_leftovers(session, inside) if run_id is None else find_runs(session, inside)
            runs = [run for run in found if run_id in (None, run.run_id)]
        else:
            runs = remove_leftovers(session, run_id, inside=options.namespace)
    for run in runs:
        what = f"namespace {run.namespace}" if run.own_namespace else f"its objects in namespace {run.namespace}"
        print_line(f"run {run.run_id}: {'would remove' if dry_run else 'removed'} {what}")
    if not runs:
        print_line("nothing to clean up: no killed run left anything on the cluster")


def attach_to_pods(
    options: ClusterOptions,
    pods: Sequence[str],
    selector: str | None,
    namespace: str,
    container: str | None,
    duration_s: float,
    max_ratio: float,
    say: Callable[[str], None],
) -> "list[Attached]":
    """Look at the sidecars of pods; what was found on each of their nodes."""
    from profiler.cluster.run.attaching import attach_on_cluster, find_sidecars

    with connected(options) as session:
        sidecars = find_sidecars(session, pods, selector, namespace, container)
        image, place = options.image or default_image(), options.namespace or ""
        return attach_on_cluster(session, sidecars, image, duration_s, max_ratio, say, place)


def connected(options: ClusterOptions) -> "Session":
    """A session as the options say. Raises UsageError, ClusterError."""
    require(CLUSTER, "work on a cluster")
    from profiler.cluster.api.session import connect

    return connect(str(options.kubeconfig) if options.kubeconfig else None, options.context)


def default_image() -> str:
    """The image of this release."""
    from meshinsight import __version__

    return f"meshinsight:{__version__}"
