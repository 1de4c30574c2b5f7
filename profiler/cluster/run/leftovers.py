"""Runs that were left behind on a cluster, and their removal: by label and run id, and by nothing else.

A run names the process that it belongs to. On the same machine that process is looked up; a run of another machine may
be alive until its deadline, at which it removes itself. Only a run id given by name overrides that.
"""

import hashlib
import os
import platform
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from profiler.cluster.api.errors import ClusterError
from profiler.cluster.api.session import Session
from profiler.cluster.names import DEADLINE_ANNOTATION, MANAGED_BY, MANAGED_LABEL, OWNER_ANNOTATION, RUN_LABEL
from profiler.cluster.run.lifecycle import GONE_WITHIN_S, remove_run
from profiler.host.process import read_stat
from profiler.testbed.locks import Owner

_RUN_ID: Final = re.compile(r"[0-9a-f]{8}")
_MACHINE_ID: Final = Path("/etc/machine-id")
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class FoundRun:
    """A run that has objects on the cluster. `deadline_s` is Unix time, 0 when it is not known."""

    run_id: str
    namespace: str
    own_namespace: bool
    deadline_s: float
    started_by: str

    def may_be_alive(self, now_s: float) -> bool:
        """Whether the process that it belongs to may still need it."""
        if self.deadline_s and now_s > self.deadline_s:
            return False
        machine, _, process = self.started_by.partition("/")
        boot, _, rest = process.partition("/")
        if machine != _machine():
            return True
        return boot == _boot() and _lives(rest)


def this_process() -> str:
    """How a run names the process that it belongs to: machine, boot, pid, start. The machine's id is not given away."""
    stat = read_stat(os.getpid())
    return f"{_machine()}/{_boot()}/{os.getpid()}.{stat.start_time_ticks if stat else 0}"


def find_runs(session: Session, inside: str | None = None) -> list[FoundRun]:
    """All runs with objects on the cluster, living and dead; or those in the prepared namespace `inside`.

    Raises ClusterError.
    """
    selector = f"{MANAGED_LABEL}={MANAGED_BY},{RUN_LABEL}"
    found: dict[tuple[str, str], FoundRun] = {}
    for owner in session.find("ConfigMap", inside, selector=selector):
        metadata = owner["metadata"]
        if metadata["name"] == f"mi-{metadata['labels'][RUN_LABEL]}-run":
            found[metadata["labels"][RUN_LABEL], metadata["namespace"]] = _run(metadata, metadata["namespace"], False)
    for namespace in session.find("Namespace", selector=selector) if inside is None else ():
        metadata = namespace["metadata"]
        found[metadata["labels"][RUN_LABEL], metadata["name"]] = _run(metadata, metadata["name"], True)
    return sorted((run for run in found.values() if _RUN_ID.fullmatch(run.run_id)), key=lambda run: run.run_id)


def find_leftovers(session: Session, inside: str | None = None) -> list[FoundRun]:
    """Runs that nothing needs any more."""
    now_s = time.time()
    return [run for run in find_runs(session, inside) if not run.may_be_alive(now_s)]


def remove_leftovers(
    session: Session, run_id: str | None = None, *, inside: str | None = None, within_s: float = GONE_WITHIN_S
) -> list[FoundRun]:
    """Remove the runs that nothing needs any more, or the one of that id whatever it does, and return them.

    Raises:
        ClusterError: there is no run of that id, or something does not go; the others are removed all the same.
    """
    if run_id is None:
        runs = find_leftovers(session, inside)
    else:
        runs = [run for run in find_runs(session, inside) if run.run_id == run_id]
        if not runs:
            raise ClusterError(f"run {run_id}: has no objects on the cluster of context {session.context}")
    failed: list[str] = []
    for run in runs:
        try:
            remove_run(session, run.run_id, run.namespace, own_namespace=run.own_namespace, within_s=within_s)
        except ClusterError as error:
            failed.append(str(error))
    if failed:
        raise ClusterError("; ".join(failed))
    return runs


def _run(metadata: Mapping[str, Any], namespace: str, own: bool) -> FoundRun:
    annotations = metadata.get("annotations") or {}
    deadline_s = 0.0
    with suppress(ValueError):
        deadline_s = datetime.fromisoformat(annotations.get(DEADLINE_ANNOTATION, "")).timestamp()
    return FoundRun(metadata["labels"][RUN_LABEL], namespace, own, deadline_s, annotations.get(OWNER_ANNOTATION, ""))


def _machine() -> str:
    known = _MACHINE_ID.read_text().strip() if _MACHINE_ID.is_file() else ""
    return hashlib.sha256(f"meshinsight {known or platform.node()}".encode()).hexdigest()[:12]


def _boot() -> str:
    return _BOOT_ID.read_text().strip()[:8] if _BOOT_ID.is_file() else "-"


def _lives(process: str) -> bool:
    pid, _, ticks = process.partition(".")
    if not (pid.isdigit() and ticks.isdigit()):
        return False
    if int(ticks):
        return Owner(int(pid), int(ticks)).is_alive()
    try:  # a system without /proc
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
