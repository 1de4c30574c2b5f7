"""An API server over HTTP that keeps objects in memory: the boundary at which unit tests replace the cluster."""

import json
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import yaml

KINDS: Final = {
    "v1": {
        "Namespace": "namespaces",
        "ConfigMap": "configmaps",
        "ServiceAccount": "serviceaccounts",
        "Service": "services",
        "Secret": "secrets",
        "Pod": "pods",
        "Event": "events",
        "Node": "nodes",
    },
    "apps/v1": {"Deployment": "deployments"},
    "batch/v1": {"Job": "jobs"},
    "networking.k8s.io/v1": {"NetworkPolicy": "networkpolicies"},
    "rbac.authorization.k8s.io/v1": {"Role": "roles", "RoleBinding": "rolebindings"},
    "authorization.k8s.io/v1": {
        "SelfSubjectAccessReview": "selfsubjectaccessreviews",
        "SelfSubjectRulesReview": "selfsubjectrulesreviews",
    },
}
CLUSTER_SCOPED: Final = ("Namespace", "Node", "SelfSubjectAccessReview", "SelfSubjectRulesReview")
_ITEM: Final = re.compile(
    r"(?:/api/v1|/apis/[^/]+/v1)(?:/namespaces/(?P<namespace>[^/]+))?/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?"
)

Answer = tuple[int, Any]


class FakeApi:
    """Its state, open to tests.

    Attributes: `objects` by (plural, namespace, name); `denied` (verb, resource) pairs; `answers` are given instead, by
    regular expression of "METHOD path", each a list used up from its front; `requests` that came; `on_create` may
    change what is stored.
    """

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.denied: set[tuple[str, str]] = set()
        self.answers: dict[str, list[Answer]] = {}
        self.logs: dict[str, str] = {}
        self.requests: list[str] = []
        self.kinds: dict[str, dict[str, str]] = {version: dict(kinds) for version, kinds in KINDS.items()}
        self.on_create: Callable[[dict[str, Any]], None] = lambda made: None
        self.url = ""

    def answer(self, method: str, url: str, body: Any) -> Answer:
        parts = urlsplit(url)
        path, query = parts.path.rstrip("/"), {key: values[0] for key, values in parse_qs(parts.query).items()}
        self.requests.append(f"{method} {path}")
        for pattern, given in self.answers.items():
            if given and re.fullmatch(pattern, f"{method} {path}"):
                return given.pop(0)
        if path == "/version":
            return 200, {"major": "1", "minor": "34", "gitVersion": "v1.34.0", "gitCommit": "", "gitTreeState": "",
                         "buildDate": "", "goVersion": "", "compiler": "", "platform": ""}  # fmt: skip
        if path in {"/apis", "/api/v1"} or re.fullmatch(r"/apis/[^/]+/v1", path):
            return self._discovery(path)
        if path.endswith("/log"):
            return 200, self.logs.get(path.split("/")[-2], "")
        found = _ITEM.fullmatch(path)
        if found is None:
            return 404, status(404, f"no such path {path}")
        return self._on_objects(method, found["plural"], found["namespace"] or "", found["name"], body, query)

    def _discovery(self, path: str) -> Answer:
        if path == "/apis":
            groups = [version.split("/")[0] for version in self.kinds if "/" in version]
            entries = [{"groupVersion": f"{group}/v1", "version": "v1"} for group in groups]
            return 200, {"kind": "APIGroupList", "groups": [
                {"name": group, "versions": [entry], "preferredVersion": entry}
                for group, entry in zip(groups, entries, strict=True)
            ]}  # fmt: skip
        version = path.removeprefix("/apis/").removeprefix("/api/")
        resources = [
            {
                "name": plural,
                "kind": kind,
                "namespaced": kind not in CLUSTER_SCOPED,
                "singularName": "",
                "verbs": ["get"],
            }
            for kind, plural in self.kinds.get(version, {}).items()
        ]
        return 200, {"kind": "APIResourceList", "groupVersion": version, "resources": resources}

    def _on_objects(
        self, method: str, plural: str, namespace: str, name: str | None, body: Any, query: dict[str, str]
    ) -> Answer:
        if plural == "selfsubjectrulesreviews":
            return 201, {**body, "status": {"incomplete": False, "resourceRules": [], "nonResourceRules": []}}
        if plural == "selfsubjectaccessreviews":
            asked = body["spec"]["resourceAttributes"]
            resource = "/".join(part for part in (asked["resource"], asked["subresource"]) if part)
            return 201, {**body, "status": {"allowed": (asked["verb"], resource) not in self.denied}}
        if method == "POST":
            return self._create(plural, namespace, body)
        if name is None:
            matching = [
                made
                for (kind, where, _), made in self.objects.items()
                if kind == plural and namespace in ("", where) and _matches(made, query.get("labelSelector", ""))
            ]
            return 200, {"kind": "List", "apiVersion": "v1", "metadata": {}, "items": matching}
        found = self.objects.get((plural, namespace, name))
        if found is None:
            return 404, status(404, f'{plural} "{name}" not found')
        if method == "DELETE":
            if (body or {}).get("preconditions", {}).get("uid", found["metadata"]["uid"]) != found["metadata"]["uid"]:
                return 409, status(409, "the UID in the precondition does not match")
            self._delete(plural, namespace, name)
        return 200, found

    def _create(self, plural: str, namespace: str, body: Any) -> Answer:
        key = (plural, namespace, body["metadata"]["name"])
        if key in self.objects:
            return 409, status(409, f'{plural} "{key[2]}" already exists')
        body["metadata"]["uid"] = str(uuid.uuid4())
        self.on_create(body)
        self.objects[key] = body
        return 201, body

    def _delete(self, plural: str, namespace: str, name: str) -> None:
        uid = self.objects.pop((plural, namespace, name))["metadata"]["uid"]
        for key, made in list(self.objects.items()):
            owners = {owner["uid"] for owner in made["metadata"].get("ownerReferences", [])}
            if uid in owners or (plural == "namespaces" and key[1] == name):
                del self.objects[key]


def status(code: int, message: str) -> dict[str, Any]:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}


def write_kubeconfig(path: Path, server: str, *, context: str = "test") -> Path:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "clusters": [{"name": "it", "cluster": {"server": server}}],
        "users": [{"name": "me", "user": {"token": "secret"}}],
        "contexts": [{"name": context, "context": {"cluster": "it", "user": "me"}}],
    }
    path.write_text(yaml.safe_dump(config))
    return path


@contextmanager
def serving(api: FakeApi) -> Iterator[FakeApi]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65_536  # one packet an answer

        def _reply(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            code, content = api.answer(self.command, self.path, body)
            text = content if isinstance(content, str) else json.dumps(content)
            self.send_response(code)
            self.send_header("Content-Type", "text/plain" if isinstance(content, str) else "application/json")
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_DELETE = do_PATCH = _reply  # noqa: N815 - names of http.server

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    api.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _matches(made: dict[str, Any], selector: str) -> bool:
    labels = made["metadata"].get("labels") or {}
    for term in filter(None, selector.split(",")):
        key, negated, value = term.partition("!=")
        if negated:
            if labels.get(key) == value:
                return False
            continue
        key, equals, value = term.partition("=")
        if key not in labels or (equals and labels[key] != value):
            return False
    return True
