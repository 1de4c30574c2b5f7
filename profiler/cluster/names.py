"""Labels, annotations and roles of the objects of a run, and the command of its pods. Pure."""

from typing import Final

MANAGED_BY: Final = "meshinsight"
MANAGED_LABEL: Final = "app.kubernetes.io/managed-by"
RUN_LABEL: Final = "meshinsight.io/run-id"
POD_LABEL: Final = "meshinsight.io/pod"
ROLE_LABEL: Final = "meshinsight.io/role"
DEADLINE_ANNOTATION: Final = "meshinsight.io/deadline"
OWNER_ANNOTATION: Final = "meshinsight.io/started-by"
ECHO, LOAD, PROFILER = "echo", "load", "profiler"
IN_POD: Final = ("python3", "-I", "-B", "-u", "-m", "profiler.cluster.agent")
"""What the commands of the run's containers begin with: an isolated interpreter, which imports nothing of the working
directory or of PYTHONPATH, writes no compiled files, and does not hold its output back."""
PREPARED_LABEL: Final = "meshinsight.io/prepared"
"""On a namespace that an administrator made for runs (manifests/namespace.yaml): the accounts of a run are there."""
WORKLOAD, ASSISTANT = "workload", "assistant"
"""With PROFILER, whose accounts and secrets there are."""
