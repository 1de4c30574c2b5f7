"""A profile run on a cluster as a user starts it, how far it is, and whether it leaves anything."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from profiler.cluster.api.pod_state import is_ready
from profiler.cluster.api.session import Object, Session
from profiler.cluster.names import MANAGED_BY, MANAGED_LABEL, PROFILER, RUN_LABEL
from profiler.errors import MeshInsightError

IMAGE: Final = os.environ.get("MESHINSIGHT_TEST_IMAGE", "")
COMMAND: Final = (sys.executable, "-m", "meshinsight")
SMALL: Final = ("--protocol=http1", "--topology=both", "--temperature=hot", "--rounds=3", "--duration=300ms")
UNSTEADY: Final = "events|events.events.k8s.io|leases.coordination.k8s.io|componentstatuses"
"""What a cluster writes automatically at any time, and what is no object at all."""
_WITHIN_S: Final = 120.0
_POLL_S: Final = 0.1


class Profile:
    """A profile run in a separate process."""

    def __init__(self, cluster: Session, out: Path, *options: str, small: tuple[str, ...] = SMALL) -> None:
        self._cluster = cluster
        self._known = namespaces(cluster)
        argv = [*COMMAND, "profile", "--cluster", f"--image={IMAGE}", *small, f"--out={out}", *options]
        self.process = subprocess.Popen(
            argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    def namespace(self) -> Object | None:
        """The run's own, once it is there."""
        new = [name for name in namespaces(self._cluster) if name not in self._known]
        found = self._cluster.get("Namespace", new[0]) if new else None
        labels = (found["metadata"].get("labels") or {}) if found else {}
        return found if labels.get(MANAGED_LABEL) == MANAGED_BY else None

    def find(self, kind: str) -> list[Object]:
        """Its objects of a kind."""
        where = self.namespace()
        return self._cluster.find(kind, where["metadata"]["name"], selector=RUN_LABEL) if where else []

    def output(self) -> str:
        """What the profiler has printed so far."""
        pods = [pod for pod in self.find("Pod") if pod["metadata"]["name"].endswith(PROFILER)]
        try:
            where = pods[0]["metadata"] if pods else None
            return self._cluster.log(where["namespace"], where["name"], PROFILER) if where else ""
        except MeshInsightError:
            return ""

    def await_(self, there: Callable[["Profile"], object]) -> None:
        """Wait until the run has come so far."""
        deadline_s = time.monotonic() + _WITHIN_S
        while not there(self):
            assert self.process.poll() is None, self.errors()
            assert time.monotonic() < deadline_s
            time.sleep(_POLL_S)

    def end(self, within_s: float = 300.0) -> int:
        """Wait for its end; its exit status."""
        return self.process.wait(within_s)

    def errors(self) -> str:
        """What it said on standard error, once it has ended."""
        assert self.process.stderr is not None
        return self.process.stderr.read()

    def kill(self) -> None:
        """Kill it outright, if it still runs."""
        self.process.kill()
        self.process.wait()


def cleanup() -> str:
    """Remove what killed runs have left; what that printed."""
    done = subprocess.run([*COMMAND, "cleanup", "--cluster"], capture_output=True, text=True, check=True)
    return done.stdout


def namespaces(cluster: Session) -> list[str]:
    """Names of all namespaces."""
    return [one["metadata"]["name"] for one in cluster.find("Namespace")]


def objects() -> list[str]:
    """Every object in the cluster, as kind/namespace/name."""
    kinds = subprocess.run(
        ["kubectl", "api-resources", "--verbs=list", "--output=name"], capture_output=True, text=True, check=True
    ).stdout.split()
    steady = [kind for kind in kinds if not re.fullmatch(UNSTEADY, kind)]
    columns = "custom-columns=K:.kind,N:.metadata.namespace,M:.metadata.name"
    listing = ["kubectl", "get", ",".join(steady), "--all-namespaces", "--no-headers", f"--output={columns}"]
    return sorted(subprocess.run(listing, capture_output=True, text=True, check=True).stdout.splitlines())


def require_as_before(before: list[str], within_s: float = 60.0) -> None:
    """Fail unless the list of all objects soon is the one from before."""
    deadline_s = time.monotonic() + within_s
    while (now := objects()) != before and time.monotonic() < deadline_s:
        time.sleep(1.0)
    assert now == before


def all_ready(run: Profile) -> bool:
    """Whether all its pods but the reaper's are."""
    pods = [pod for pod in run.find("Pod") if "reaper" not in pod["metadata"]["name"]]
    return bool(pods) and all(map(is_ready, pods))


def is_being_removed(run: Profile) -> bool:
    """Whether its namespace is."""
    there = run.namespace()
    return there is not None and "deletionTimestamp" in there["metadata"]


POINTS: Final[dict[str, Callable[[Profile], object]]] = {
    "namespace": lambda run: run.namespace(),
    "owner": lambda run: run.find("ConfigMap"),
    "reaper": lambda run: run.find("Job"),
    "pod": lambda run: run.find("Pod"),
    "all ready": all_ready,
    "setting up": lambda run: "setting up" in run.output(),
    "measuring": lambda run: "round 1 of" in run.output(),
    "last round": lambda run: "round 3 of" in run.output(),
    "result": lambda run: '"result"' in run.output(),
    "removing": is_being_removed,
}
"""How far a run can be; each is seen from outside."""
