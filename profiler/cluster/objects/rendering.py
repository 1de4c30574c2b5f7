"""Every object of a run, in the order in which they are created; `--dry-run` prints them."""

import base64
import tempfile
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Final

from profiler.cluster.api.session import Object
from profiler.cluster.names import ASSISTANT, PROFILER, WORKLOAD
from profiler.cluster.objects import objects
from profiler.cluster.objects.plan import ClusterPlan
from profiler.testbed.certificates import make_role_certificates
from profiler.testbed.tokens import make_token

UNKNOWN_UID: Final = "known-when-created"
Secrets = Mapping[str, Mapping[str, str]]
"""Contents of the run's secrets by role and file, in base64."""
TOKEN, JWKS = "token", "jwks.json"
_FILES: Final = {
    WORKLOAD: ("chain.pem", "key.pem", "authority.pem", JWKS),
    PROFILER: ("chain.pem", "key.pem", "authority.pem", TOKEN, JWKS),
    ASSISTANT: ("chain.pem", "key.pem", "authority.pem"),
}
"""What the pods of each role get: sidecars check the token, and only the profiler sends it."""
_HIDDEN: Final = base64.b64encode(b"made for the run").decode()


def render(plan: ClusterPlan, *, owner_uid: str = UNKNOWN_UID, secrets: Secrets | None = None) -> list[Object]:
    """All objects of the run. Pure.

    Args:
        plan: what the run needs.
        owner_uid: of the ConfigMap that owns the rest; known once that is created.
        secrets: as `make_secrets` returns them; without them their values are left open.
    """
    roles = objects.secret_roles(plan)
    contents = secrets or {role: dict.fromkeys(_FILES[role], _HIDDEN) for role in roles}
    first: list[Object] = []
    if plan.own_namespace:
        first.append(_labelled(plan, objects.namespace(plan), annotate=True))
    first.append(_inside(plan, _labelled(plan, objects.owner(plan), annotate=True)))
    rest = [
        *objects.accounts(plan),
        objects.reaper(plan),
        *objects.network_policies(plan),
        *(objects.secret(plan, role, contents[role]) for role in roles),
        *objects.mesh_objects(plan),
        *(objects.service(plan, hop) for hop in dict.fromkeys(plan.hops)),
        *(objects.workload_pod(plan, pod) for pod in plan.pods()),
        *(objects.profiler_pod(plan, number) for number in range(len(plan.profiler_nodes()))),
    ]
    reference = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": f"{plan.prefix}-run",
        "uid": owner_uid,
        "blockOwnerDeletion": False,
    }
    return [*first, *(_owned(reference, _inside(plan, _labelled(plan, made))) for made in rest)]


def make_secrets(plan: ClusterPlan) -> Secrets | None:
    """Certificates, a key for each role, and a token for the run's own pods; None when it needs none."""
    roles = objects.secret_roles(plan)
    if not roles:
        return None
    token = make_token()
    common = {TOKEN: token.token.encode(), JWKS: token.jwks.encode()}
    with tempfile.TemporaryDirectory(prefix="meshinsight-") as folder:
        made = {}
        for role, files in make_role_certificates(Path(folder), roles).items():
            paths = (files.chain, files.key, files.authority)
            texts = {**common, **{path.name: path.read_bytes() for path in paths}}
            made[role] = {name: base64.b64encode(texts[name]).decode() for name in _FILES[role]}
    return made


def _labelled(plan: ClusterPlan, made: Object, *, annotate: bool = False) -> Object:
    metadata = made["metadata"]
    labels = {**objects.run_labels(plan), **(metadata.get("labels") or {})}
    annotations = {**(metadata.get("annotations") or {}), **(objects.run_annotations(plan) if annotate else {})}
    metadata = {**metadata, "labels": labels, "annotations": annotations}
    return {**made, "metadata": {key: value for key, value in metadata.items() if value}}


def _inside(plan: ClusterPlan, made: Object) -> Object:
    return {**made, "metadata": {**made["metadata"], "namespace": plan.namespace_name}}


def _owned(reference: Object, made: Object) -> Object:
    # A copy each: YAML would print one object that stands in several places as a reference.
    return {**made, "metadata": {**made["metadata"], "ownerReferences": [deepcopy(reference)]}}
