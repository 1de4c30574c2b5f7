"""Every object of a run, in the order in which they are created; `--dry-run` prints them."""

import base64
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from profiler.cluster import objects
from profiler.cluster.plan import ClusterPlan
from profiler.cluster.session import Object
from profiler.testbed.certificates import make_certificates
from profiler.testbed.tokens import make_token

UNKNOWN_UID: Final = "known-when-created"
CHAIN, KEY, AUTHORITY, TOKEN, JWKS = "chain.pem", "key.pem", "authority.pem", "token", "jwks.json"
"""Files of the run's secret."""
_HIDDEN: Final = dict.fromkeys((CHAIN, KEY, AUTHORITY, TOKEN, JWKS), base64.b64encode(b"made for the run").decode())


def render(
    plan: ClusterPlan, *, owner_uid: str = UNKNOWN_UID, secrets: Mapping[str, str] | None = None
) -> list[Object]:
    """All objects of the run. Pure.

    Args:
        plan: what the run needs.
        owner_uid: of the ConfigMap that owns the rest; known once that is created.
        secrets: as `make_secrets` returns them; without them their values are left open.
    """
    first: list[Object] = []
    if plan.own_namespace:
        first.append(_labelled(plan, objects.namespace(plan), annotate=True))
    first.append(_inside(plan, _labelled(plan, objects.owner(plan), annotate=True)))
    rest = [
        *objects.accounts(plan),
        objects.reaper(plan),
        *objects.network_policies(plan),
        *([objects.secret(plan, secrets or _HIDDEN)] if objects.needs_secret(plan) else []),
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


def make_secrets(plan: ClusterPlan) -> dict[str, str] | None:
    """Certificates and a token for the run's own pods, in base64 by file; None when it needs none."""
    if not objects.needs_secret(plan):
        return None
    with tempfile.TemporaryDirectory(prefix="meshinsight-") as folder:
        files = make_certificates(Path(folder))
        contents = {CHAIN: files.chain, KEY: files.key, AUTHORITY: files.authority}
        texts = {name: path.read_bytes() for name, path in contents.items()}
    token = make_token()
    texts |= {TOKEN: token.token.encode(), JWKS: token.jwks.encode()}
    return {name: base64.b64encode(text).decode() for name, text in texts.items()}


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
    return {**made, "metadata": {**made["metadata"], "ownerReferences": [json.loads(json.dumps(reference))]}}
