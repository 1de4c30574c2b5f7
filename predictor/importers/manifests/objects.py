"""The objects in manifest files: documents, lists, JSON. What is no object is counted, templates are refused."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from predictor.graph.fields import shown
from predictor.graph.types import Assumption
from predictor.importers.streams import input_files, read_text
from profiler.errors import UsageError
from profiler.files.yaml_text import parse_documents
from profiler.text import one_line

ENDINGS: Final = (".yaml", ".yml", ".json")
REMEDY: Final = "give Kubernetes manifests, with Services and Deployments"
DEFAULT_NAMESPACE: Final = "default"

_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._:-]{0,251}[A-Za-z0-9])?\Z")
_TEMPLATE: Final = re.compile(r"\{\{")
_CLUSTER_WIDE: Final = ("Namespace",)
_MOST_OBJECTS: Final = 200_000

Body = dict[str, Any]
Key = tuple[str, str]
"""Namespace and name of an object of a known kind."""


@dataclass(frozen=True, slots=True)
class Object:
    """One object; `group` is that of its apiVersion, empty for the core group."""

    kind: str
    group: str
    namespace: str
    name: str
    body: Body

    @property
    def key(self) -> Key:
        return self.namespace, self.name

    @property
    def is_placed(self) -> bool:
        """Whether the manifest says the namespace; else it is the one that somebody applies it to."""
        return bool(mapping(self.body, "metadata").get("namespace"))

    @property
    def spec(self) -> Body:
        return mapping(self.body, "spec")

    @property
    def labels(self) -> dict[str, str]:
        return texts(mapping(mapping(self.body, "metadata"), "labels"))

    @property
    def annotations(self) -> dict[str, str]:
        return texts(mapping(mapping(self.body, "metadata"), "annotations"))


@dataclass(slots=True)
class Objects:
    """All objects by kind, namespace and name, in the order of the files; the later of two with one name counts."""

    found: dict[tuple[str, str, str, str], Object] = field(default_factory=dict)
    remarks: list[Assumption] = field(default_factory=list)
    others: int = 0

    def of(self, *kinds: str) -> Iterator[Object]:
        return (item for item in self.found.values() if item.kind in kinds)


def read_objects(inputs: Sequence[Path]) -> tuple[Objects, str]:
    """The objects of all files, and the first file's name for messages. Raises `UsageError`, one line."""
    objects = Objects()
    files = input_files(inputs, ENDINGS)
    for path in files:
        text = read_text(path, REMEDY)
        for body in _bodies(text, path):
            _note(objects, body, text, path)
    if objects.others:
        why = f"{objects.others} documents without kind and name left out: no Kubernetes objects"
        objects.remarks.append(Assumption("services.*", why))
    return objects, str(files[0])


def _bodies(text: str, path: Path) -> Iterator[Body]:
    try:
        for document in parse_documents(text, str(path)):
            if document.value is not None and not isinstance(document.value, dict | list):
                what = f"expected a Kubernetes object, found {shown(document.value)}; {REMEDY}"
                raise UsageError(f"{document.at(())}: {what}")
            yield from _unfolded(document.value, path)
    except UsageError as error:
        if _TEMPLATE.search(text):
            raise _is_template(text, path) from error
        raise


def _is_template(text: str, path: Path) -> UsageError:
    found = _TEMPLATE.search(text)
    line = text.count("\n", 0, found.start()) + 1 if found else 1
    return UsageError(f"{path}:{line}: this is a Helm template; run `helm template` and give what it prints")


def _unfolded(document: Any, path: Path) -> Iterator[Body]:
    """The objects of a document, those in lists too."""
    waiting, seen = [document], 0
    while waiting:
        item = waiting.pop()
        seen += 1
        if seen > _MOST_OBJECTS:
            raise UsageError(f"{path}: more than {_MOST_OBJECTS} objects in one document; split it")
        if isinstance(item, list):
            waiting += reversed(item)
        elif isinstance(item, dict):
            if isinstance(item.get("items"), list):
                waiting += reversed(item["items"])
            else:
                yield item


def _note(objects: Objects, body: Body, text: str, path: Path) -> None:
    metadata = mapping(body, "metadata")
    kind, name, namespace = body.get("kind"), metadata.get("name"), metadata.get("namespace") or DEFAULT_NAMESPACE
    if not isinstance(kind, str) or not isinstance(name, str) or not name or not isinstance(namespace, str):
        objects.others += 1
        return
    for what in (name, namespace):
        if "{{" in what:
            raise _is_template(text, path)
        if not _NAME.match(what) and kind in KNOWN:
            raise UsageError(
                f"{path}: {kind} {one_line(what, 60)!r}: no name of Kubernetes; render the manifests first"
            )
    group = str(body.get("apiVersion") or "").rpartition("/")[0]
    item = Object(kind, group, "" if kind in _CLUSTER_WIDE else namespace, name, body)
    identity = (item.group, kind, *item.key)
    if identity in objects.found and kind in KNOWN:
        why = "is in the files twice; the later one counts"
        objects.remarks.append(Assumption(f"services.{name}", f"{kind} {name} of namespace {namespace} {why}"))
    objects.found[identity] = item


KNOWN: Final = frozenset(
    ("Service", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Rollout", "Pod",
     "Job", "CronJob", "ConfigMap", "Secret", "Namespace", "Ingress", "VirtualService", "Gateway", "HTTPRoute",
     "GRPCRoute", "TCPRoute", "TLSRoute", "PeerAuthentication", "DestinationRule", "ServiceEntry",
     "HorizontalPodAutoscaler")
)  # fmt: skip
"""The kinds that are looked at."""


def mapping(value: Any, key: str) -> Body:
    """The mapping in a field; an empty one where there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def mappings(value: Any, key: str) -> list[Body]:
    """The mappings in a list."""
    return [item for item in listing(value, key) if isinstance(item, dict)]


def listing(value: Any, key: str) -> list[Any]:
    """The list in a field; an empty one where there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def text_of(value: Any, key: str) -> str:
    """The text or number in a field as text; an empty one where there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""


def texts(values: Body) -> dict[str, str]:
    """Labels or annotations; `true` without quotes is taken as the text."""
    return {
        str(key): (str(value).lower() if isinstance(value, bool) else str(value))
        for key, value in values.items()
        if isinstance(value, str | int | float)
    }


def selects(selector: dict[str, str], labels: dict[str, str]) -> bool:
    """Whether a selector that is not empty fits."""
    return bool(selector) and selector.items() <= labels.items()
