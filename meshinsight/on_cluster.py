"""What `profile --cluster`, `attach --pod`, `doctor --cluster` and `cleanup --cluster` do on a cluster."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from meshinsight.console import print_line, print_note, write_document
from meshinsight.options.cluster import ClusterOptions
from profiler.host.extras import CLUSTER, require

if TYPE_CHECKING:
    from profiler.attach.results import Attached
    from profiler.cluster.api.session import Session
    from profiler.cluster.doctor import ClusterDiagnosis
    from profiler.cluster.run.continuing import Where
    from profiler.measuring.profiling import Outcome
    from profiler.planning.settings import ProfileSettings


YAML: Final = "yaml"
"""The output format of a dry run that prints the objects."""


def print_plan(settings: "ProfileSettings", options: ClusterOptions, output: str) -> None:
    """Print what a run would do and create, in one of `FORMATS`, or its objects as YAML. No cluster is asked."""
    require(CLUSTER, "work on a cluster")
    from meshinsight.reports.formats import FORMATS
    from meshinsight.reports.subjects.cluster_plan import ClusterRunPlan, report
    from profiler.cluster.objects.rendering import render
    from profiler.cluster.objects.templates import as_yaml
    from profiler.cluster.run.permissions import needed
    from profiler.cluster.run.running import cluster_plan
    from profiler.measuring.profiling import Schedule

    plan = cluster_plan(settings, _where(options))
    objects = render(plan)
    if output == YAML:
        write_document(as_yaml(objects), sys.stdout)
        return
    schedule = Schedule(settings)
    run = ClusterRunPlan(plan, objects, schedule.listing(), schedule.settings, needed(plan))
    FORMATS[output](report(run), sys.stdout)


def profile_on_cluster(settings: "ProfileSettings", options: ClusterOptions, directory: Path) -> "Outcome":
    """Measure on the cluster into `directory`."""
    from meshinsight import __version__
    from meshinsight.progress import Progress
    from profiler.cluster.run.running import ClusterRun

    with connected(options) as session, Progress() as progress:
        command = ("meshinsight", *sys.argv[1:])
        return ClusterRun(session, settings, _where(options), command, __version__).run(directory, progress.update)


def resume_on_cluster(settings: "ProfileSettings", options: ClusterOptions, directory: Path) -> "Outcome":
    """Measure on the cluster what is missing in `directory`, with the image, mesh and nodes of its run."""
    from meshinsight import __version__
    from meshinsight.progress import Progress
    from profiler.cluster.run.continuing import continued
    from profiler.cluster.run.running import ClusterRun
    from profiler.measuring.journal import Journal

    begun = Journal(directory).facts()
    with connected(options) as session, Progress() as progress:
        where = continued(directory, begun, session, _given(options))
        command = ("meshinsight", *sys.argv[1:])
        return ClusterRun(session, settings, where, command, __version__, begun).run(directory, progress.update)


def _where(options: ClusterOptions) -> "Where":
    given = _given(options)
    return replace(given, image=_image(options), mesh=given.mesh or "builtin")


def _given(options: ClusterOptions) -> "Where":
    """What the options say; empty where they say nothing."""
    from profiler.cluster.run.continuing import Where

    return Where(
        image=options.image or "",
        mesh=options.mesh or "",
        namespace=options.namespace or "",
        node=options.node or "",
        server_node=options.server_node or "",
        allow_foreign=options.allow_foreign_namespace,
    )


def diagnose_on_cluster(options: ClusterOptions) -> "ClusterDiagnosis":
    """What a run as the options say would find on the cluster."""
    require(CLUSTER, "work on a cluster")
    from profiler.cluster.doctor import diagnose_cluster

    where = _given(options)
    return diagnose_cluster(lambda: connected(options), replace(where, mesh=where.mesh or "builtin"), default_image())


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
        image, place = _image(options), options.namespace or ""
        return attach_on_cluster(session, sidecars, image, duration_s, max_ratio, say, place)


def connected(options: ClusterOptions) -> "Session":
    """A session as the options say. Raises UsageError, ClusterError."""
    require(CLUSTER, "work on a cluster")
    from profiler.cluster.api.session import connect

    return connect(str(options.kubeconfig) if options.kubeconfig else None, options.context)


def _image(options: ClusterOptions) -> str:
    """The image of a run; where none is given, a note says how to get one."""
    if options.image:
        return options.image
    from profiler.cluster.doctor.images import REMEDY

    print_note(f"no --image: the nodes must have {default_image()}; {REMEDY}")
    return default_image()


def default_image() -> str:
    """The image of this release."""
    from meshinsight import __version__

    return f"meshinsight:{__version__}"
