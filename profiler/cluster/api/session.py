"""One connection to a cluster. Objects are plain dicts, as they stand in YAML; every failure is one line.

Requests that find the API server away are tried again for about a minute: it may be restarting. What is created has a
fixed name, so a creation that got through although its answer was lost is recognised by its labels.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Self, TypeVar

from profiler.cluster.api.errors import ClusterError, ConflictError, TransientError, client_errors
from profiler.cluster.names import IN_POD
from profiler.errors import UsageError
from profiler.files.json_text import parse_json
from profiler.files.reading import read_text
from profiler.files.yaml_text import load_yaml
from profiler.text import error_line, one_line

Object = dict[str, Any]
"""A Kubernetes object."""

_T = TypeVar("_T")
_FIRST_CONTACT_S: Final = (4.0, 10.0)
_REQUEST_S: Final = (5.0, 30.0)
"""Time limits to connect and to answer."""
_ATTEMPTS: Final = 10
_LONGEST_PAUSE_S: Final = 8
_BUSY: Final = (429, 502, 503, 504)
_EXEC_POLL_S: Final = 5.0
_STDIN_BYTES: Final = 1 << 15
_LARGEST_LOG: Final = 1 << 20
_LONGEST_LINE: Final = 1 << 24
"""Of what a pod prints, which is not trusted. What `attach` found is one line."""


class Session:
    """A connected client. Close it, or use it as a context manager."""

    def __init__(self, configuration: Any, context: str) -> None:
        from kubernetes import client, dynamic
        from urllib3.util import Retry

        # Half of the client has types, and not all of them are right.
        make_client: Any = client.ApiClient
        make_dynamic: Any = dynamic.DynamicClient
        self.context = context
        self.server: str = configuration.host
        self._folder = TemporaryDirectory(prefix="meshinsight-")
        try:
            configuration.retries = Retry(1, backoff_factor=0.2)
            first = make_client(configuration)
            try:
                with client_errors("first contact", self.server):
                    self.version: str = _get_version(first)
            finally:
                _close(first)
            configuration.retries = _patient()
            self._client = make_client(configuration)
            with client_errors("discovery", self.server):
                self._dynamic = make_dynamic(self._client, cache_file=str(Path(self._folder.name) / "discovery.json"))
        except BaseException:
            self._folder.cleanup()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        _close(self._client)
        self._folder.cleanup()

    def get(self, kind: str, name: str, namespace: str | None = None, api_version: str = "v1") -> Object | None:
        """The object, None when there is none."""
        resource = self._resource(api_version, kind)
        found = self._unless_missing(
            f"get {kind} {name}",
            lambda: resource.get(name=name, namespace=namespace, _request_timeout=_REQUEST_S),
        )
        return None if found is None else _plain(found)

    def find(self, kind: str, namespace: str | None = None, *, selector: str = "", fields: str = "",
             api_version: str = "v1") -> list[Object]:  # fmt: skip
        """Objects by label selector and field selector; in all namespaces without one."""
        resource = self._resource(api_version, kind)
        with client_errors(f"list {resource.name}", self.server):
            found = resource.get(
                namespace=namespace,
                label_selector=selector or None,
                field_selector=fields or None,
                _request_timeout=_REQUEST_S,
            )
        return [{**item, "kind": kind, "apiVersion": api_version} for item in _plain(found)["items"]]

    def create(self, wanted: Mapping[str, Any], *, dry_run: bool = False) -> Object:
        """Create an object.

        Raises:
            ConflictError: another of that name is there, without the labels of this one.
        """
        kind, name = wanted["kind"], wanted["metadata"]["name"]
        namespace = wanted["metadata"].get("namespace")
        resource = self._resource(wanted["apiVersion"], kind)
        try:
            with client_errors(f"create {kind} {name}", self.server):
                made = resource.create(
                    body=dict(wanted),
                    namespace=namespace,
                    dry_run="All" if dry_run else None,
                    field_manager="meshinsight",
                    _request_timeout=_REQUEST_S,
                )
            return _plain(made)
        except ConflictError:
            there = self.get(kind, name, namespace, wanted["apiVersion"])
            if there is not None and _same_labels(there, wanted):
                return there
            raise

    def apply(self, wanted: Mapping[str, Any], *, dry_run: bool = False) -> Object:
        """Server-side apply."""
        kind, name = wanted["kind"], wanted["metadata"]["name"]
        resource = self._resource(wanted["apiVersion"], kind)
        with client_errors(f"apply {kind} {name}", self.server):
            return _plain(
                resource.server_side_apply(
                    body=dict(wanted),
                    name=name,
                    namespace=wanted["metadata"].get("namespace"),
                    field_manager="meshinsight",
                    dry_run="All" if dry_run else None,
                    _request_timeout=_REQUEST_S,
                )
            )

    def delete(self, kind: str, name: str, namespace: str | None = None, *, api_version: str = "v1",
               uid: str = "") -> bool:  # fmt: skip
        """Delete an object and what it owns; with `uid` only that very one. False when it is gone already."""
        options: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        if uid:
            options["preconditions"] = {"uid": uid}
        resource = self._resource(api_version, kind)
        found = self._unless_missing(
            f"delete {kind} {name}",
            lambda: resource.delete(name=name, namespace=namespace, body=options, _request_timeout=_REQUEST_S),
        )
        return found is not None

    def allowed(self, verb: str, group: str, resource: str, namespace: str | None = None) -> bool:
        """Whether the user may do this. `resource` may have a subresource: `pods/log`."""
        name, _, subresource = resource.partition("/")
        attributes = {"verb": verb, "group": group, "resource": name, "subresource": subresource}
        if namespace:
            attributes["namespace"] = namespace
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "metadata": {"name": ""},
            "spec": {"resourceAttributes": attributes},
        }
        return bool(self.create(review)["status"]["allowed"])

    def serves(self, api_version: str, kind: str) -> bool:
        """Whether the cluster knows this kind of object."""
        try:
            self._resource(api_version, kind)
        except ClusterError:
            return False
        return True

    @property
    def core(self) -> Any:
        """The generated client of the core API."""
        from kubernetes.client import CoreV1Api

        return CoreV1Api(self._client)

    def log(self, namespace: str, pod: str, container: str, *, lines: int | None = None) -> str:
        """What a container has printed, or the last `lines` of it; at most 1 MiB."""
        extra = {} if lines is None else {"tail_lines": lines}
        with client_errors(f"log of {pod}/{container}", self.server):
            answer = self.core.read_namespaced_pod_log(
                pod, namespace, container=container, limit_bytes=_LARGEST_LOG, _preload_content=False,
                _request_timeout=_REQUEST_S, **extra,
            )  # fmt: skip
            return bytes(answer.data).decode(errors="replace")

    def follow_log(self, namespace: str, pod: str, container: str, *, silence_s: float = 60.0) -> Iterator[str]:
        """Lines as they are printed, until the connection or the container ends.

        Raises TransientError when it breaks, also after `silence_s` without any line; ClusterError for an endless line.
        """
        with client_errors(f"log of {pod}/{container}", self.server):
            answer = self.core.read_namespaced_pod_log(
                pod, namespace, container=container, follow=True, _preload_content=False,
                _request_timeout=(_REQUEST_S[0], silence_s),
            )  # fmt: skip
            rest = b""
            try:
                for piece in answer.stream(amt=None):
                    *whole, rest = (rest + piece).split(b"\n")
                    yield from (line.decode(errors="replace") for line in whole)
                    if len(rest) > _LONGEST_LINE:
                        raise ClusterError(f"pod {pod}: prints a line of more than {_LONGEST_LINE} bytes; run it again")
            finally:
                answer.close()
                answer.release_conn()
            if rest:
                yield rest.decode(errors="replace")

    def execute(
        self, namespace: str, pod: str, container: str, argv: list[str], *, given: bytes = b"", silence_s: float = 120.0
    ) -> Iterator[bytes]:
        """Run a command in a container; yields its output as it comes.

        `given` is its standard input, which stays open: the command has to know the length.

        Raises:
            ClusterError: it exits with another status than 0; the message has the last line of its errors.
            TransientError: the connection broke, or nothing came for `silence_s`.
        """
        from kubernetes.client import ApiClient, CoreV1Api
        from kubernetes.stream import stream

        # A client of its own: a stream exchanges the client's way of calling while it is opened.
        with ApiClient(self._client.configuration) as client, client_errors(f"exec in {pod}", self.server):
            channel = stream(
                CoreV1Api(client).connect_get_namespaced_pod_exec,
                pod, namespace, container=container, command=argv, stdin=bool(given), stdout=True, stderr=True,
                tty=False, binary=True, _preload_content=False, _request_timeout=_REQUEST_S[1],
            )  # fmt: skip
            yield from _output(channel, f"{pod}: {_shown(argv)}", given, silence_s)

    def _resource(self, api_version: str, kind: str) -> Any:
        from kubernetes.dynamic.exceptions import ResourceNotFoundError

        try:
            with client_errors(f"look up {kind}", self.server):
                return self._dynamic.resources.get(api_version=api_version, kind=kind)
        except ResourceNotFoundError as error:
            raise ClusterError(
                f"the cluster does not know {kind} of {api_version}; what brings it (a mesh?) is not installed there"
            ) from error

    def _unless_missing(self, doing: str, request: Callable[[], _T]) -> _T | None:
        from kubernetes.client.exceptions import ApiException

        with client_errors(doing, self.server):
            try:
                return request()
            except ApiException as error:
                if error.status == 404:
                    return None
                raise


def connect(kubeconfig: str | None = None, context: str | None = None) -> Session:
    """Connect as kubectl would: by `kubeconfig`, else $KUBECONFIG, else the one at home, else the pod's own account.

    Raises:
        UsageError: no such file or context.
        ClusterError: the server cannot be reached, or refuses the credentials.
    """
    from kubernetes import client
    from yaml import YAMLError

    loading = _loading()
    configuration = client.Configuration()
    paths = kubeconfig or os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    if not any(Path(path).expanduser().is_file() for path in paths.split(os.pathsep)):
        if kubeconfig is None and context is None and "KUBERNETES_SERVICE_HOST" in os.environ:
            loading.load_incluster_config(client_configuration=configuration)
            return Session(configuration, "in-cluster")
        raise UsageError(f"--kubeconfig {paths}: no such file; give the kubeconfig of your cluster")
    _check_kubeconfig(paths)
    try:
        name = _check_context(paths, context)
        loading.load_kube_config(
            config_file=paths, context=name, client_configuration=configuration, persist_config=False
        )
    # The client expects a sound file: what it raises for others is anything that a wrong type leads to.
    except (loading.ConfigException, YAMLError, TypeError, ValueError, LookupError, AttributeError, OSError) as error:
        raise UsageError(f"--kubeconfig {paths}: cannot be used: {error_line(error)}") from error
    return Session(configuration, name)


def _check_kubeconfig(paths: str) -> None:
    """Refuse what the client's own reader of YAML would not get to the end of. Raises UsageError."""
    for path in (Path(name).expanduser() for name in paths.split(os.pathsep) if name):
        if path.is_file():
            origin = f"--kubeconfig {path}"
            text = read_text(path, "give the kubeconfig of your cluster", origin=f"{origin}: cannot be used")
            if not isinstance(load_yaml(text, f"{origin}: cannot be used: {path.name}"), dict):
                raise UsageError(f"{origin}: cannot be used: it is no mapping; give the kubeconfig of your cluster")


def _check_context(paths: str, context: str | None) -> str:
    contexts, current = _loading().list_kube_config_contexts(config_file=paths)
    known = [entry["name"] for entry in contexts]
    if context is None:
        return str(current["name"])
    if context not in known:
        raise UsageError(f"--context {context}: no such context in {paths}; it has {', '.join(known) or 'none'}")
    return context


def _close(client: Any) -> None:
    """Close a client with its connections, which its own `close` leaves open."""
    client.close()
    client.rest_client.pool_manager.clear()


def _loading() -> Any:
    """The client's reading of kubeconfigs, which has no types."""
    from kubernetes import config

    return config


def _get_version(client: Any) -> str:
    """The server's version. Anybody may ask for it, so a question that needs credentials is asked besides."""
    from kubernetes.client import AuthorizationV1Api, V1SelfSubjectRulesReview, V1SelfSubjectRulesReviewSpec, VersionApi

    version = VersionApi(client).get_code(_request_timeout=_FIRST_CONTACT_S).git_version
    review = V1SelfSubjectRulesReview(spec=V1SelfSubjectRulesReviewSpec(namespace="default"))
    AuthorizationV1Api(client).create_self_subject_rules_review(review, _request_timeout=_FIRST_CONTACT_S)
    return str(version)


def _patient() -> Any:
    """Tries again while the server is away, for about a minute. Creations too: see the module's docstring."""
    from urllib3.util import Retry

    return Retry(
        _ATTEMPTS,
        backoff_factor=0.5,
        backoff_max=_LONGEST_PAUSE_S,
        status_forcelist=_BUSY,
        allowed_methods=None,
        raise_on_status=False,
    )


def _output(channel: Any, command: str, given: bytes, silence_s: float) -> Iterator[bytes]:
    """Standard output of a command over an open exec channel, once it was given its input."""
    complaint = b""
    heard_s = time.monotonic()
    try:
        for start in range(0, len(given), _STDIN_BYTES):
            channel.write_stdin(given[start : start + _STDIN_BYTES])
        while channel.is_open():
            channel.update(timeout=_EXEC_POLL_S)
            if output := channel.read_channel(1):
                heard_s = time.monotonic()
                yield bytes(output)
            complaint = (complaint + bytes(channel.read_channel(2)))[-4096:]
            if time.monotonic() - heard_s > silence_s:
                raise TransientError(f"{command}: nothing was heard for {silence_s:g} s")
        if output := channel.read_channel(1):
            yield bytes(output)
        status = channel.read_channel(3)
    finally:
        channel.close()
        channel.sock.shutdown()  # also where the other side has closed first
    if not status:
        raise TransientError(f"{command}: the connection broke before the command had ended")
    check_status(bytes(status), complaint, command)


def check_status(status: bytes, complaint: bytes, command: str) -> None:
    """Raise ClusterError unless the status that the kubelet sends at the end says success."""
    said = parse_json(status, command, "check the cluster", ClusterError)
    if not isinstance(said, dict) or said.get("status") != "Success":
        lines = complaint.decode(errors="replace").strip().splitlines()
        last = lines[-1] if lines else said.get("message") if isinstance(said, dict) else ""
        raise ClusterError(f"{command}: {one_line(str(last or 'failed'), 400)}")


def _shown(argv: list[str]) -> str:
    """What a command is called in messages: ours by its name."""
    return " ".join(argv[len(IN_POD) :][:1] if tuple(argv[: len(IN_POD)]) == IN_POD else argv[:4])


def _plain(answer: Any) -> Object:
    made: Object = answer.to_dict()
    return made


def _same_labels(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    labels = wanted["metadata"].get("labels") or {}
    return bool(labels) and labels.items() <= (there["metadata"].get("labels") or {}).items()
