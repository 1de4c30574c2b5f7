"""What the API server and the connection to it can say, each as one line with what to do.

ClusterError            exit status 1
├── ForbiddenError      RBAC refuses; names the rule that is missing
├── ConflictError       an object of that name exists already
└── TransientError      the server is away or overloaded; may pass
"""

import ast
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from profiler.errors import MeshInsightError
from profiler.files.json_text import decode_json
from profiler.text import one_line

_LONGEST: Final = 400
_REFUSED: Final = re.compile(
    r'User "(?P<user>[^"]*)" cannot (?P<verb>\S+) resource "(?P<resource>[^"]*)" in API group "(?P<group>[^"]*)"'
    r'(?: in the namespace "(?P<namespace>[^"]*)")?'
)
_WEBHOOK_AWAY: Final = re.compile(r'failed calling webhook "(?P<name>[^"\s]{1,253})":\s*(?P<why>.*)', re.DOTALL)
_WEBHOOK_REFUSES: Final = re.compile(
    r'admission webhook "(?P<name>[^"\s]{1,253})" denied the request:\s*(?P<why>.*)', re.DOTALL
)
_CREDENTIALS: Final = (
    "the credentials of the kubeconfig are expired or invalid; log in again, or choose another --context"
)
_ADMIN: Final = (
    "give --namespace of one that an administrator prepared for runs (docs/how-to/cluster.md), or let one add the rule"
)


class ClusterError(MeshInsightError):
    """Something on the cluster failed."""


class ForbiddenError(ClusterError):
    """The user may not do this."""


class ConflictError(ClusterError):
    """The object exists already, or was changed meanwhile."""


class TransientError(ClusterError):
    """The API server is away or overloaded."""


@contextmanager
def client_errors(doing: str, server: str) -> Iterator[None]:
    """Turn whatever the client raises while `doing` something into a ClusterError of one line."""
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError
    from websocket import WebSocketException

    try:
        yield
    except ApiException as error:
        raise api_error(doing, server, error.status or 0, error.reason or "", error.body) from error
    except HTTPError as error:
        raise connection_error(server, error) from error
    except WebSocketException as error:
        raise TransientError(f"{doing}: the connection to {server} broke: {_short(str(error))}") from error
    except OSError as error:
        raise connection_error(server, error) from error


def api_error(doing: str, server: str, status: int, reason: str, body: Any) -> ClusterError:
    """The error of an answer with this HTTP status. `body` is the answer as the client hands it over."""
    if status == 0:  # exec: the answer to the handshake is in the reason
        found = re.search(r"Handshake status (\d{3})", reason)
        if found is None:
            return TransientError(f"{doing}: the connection to {server} broke: {_short(reason)}")
        status, body = int(found[1]), _handshake_body(reason)
    said = _message(body) or reason
    if refused := _by_webhook(doing, said):
        return refused
    makers = {401: _unauthorized, 403: _forbidden, 409: _conflict, 404: _missing}
    if status in makers:
        return makers[status](doing, said)
    if status in (408, 429) or status >= 500:
        meaning = "it restarts or is overloaded; try again"
        return TransientError(f"{doing}: the API server {server} answers {status}: {_short(said)}; {meaning}")
    return ClusterError(f"{doing}: refused by the API server ({status}): {_short(said)}")


def connection_error(server: str, error: Exception) -> ClusterError:
    """The error of a connection that could not be made, or ended early."""
    text = f"{error!r} {error}"
    if "certificate has expired" in text:
        return ClusterError(
            f"{server}: its certificate has expired; renew it on the control plane, and check the clock of this machine"
        )
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate verify failed" in text:
        return ClusterError(
            f"{server}: its certificate is not signed by the authority of the kubeconfig; the kubeconfig is of another "
            "cluster, or outdated"
        )
    for part, meaning in (
        ("NameResolution", "its name cannot be resolved"),
        ("Name or service not known", "its name cannot be resolved"),
        ("refused", "the connection is refused"),
        ("No route", "there is no route to it"),
        ("unreachable", "its network is unreachable"),
        ("timed out", "it does not answer in time"),
        ("Timeout", "it does not answer in time"),
    ):
        if part in text:
            return TransientError(f"cannot reach the API server {server}: {meaning}; check the cluster and --context")
    return TransientError(f"the connection to the API server {server} failed: {_short(str(error))}; try again")


def _by_webhook(doing: str, said: str) -> ClusterError | None:
    """The error of an admission webhook, which the API server calls for what is created; None if there was none."""
    if found := _WEBHOOK_AWAY.search(said):
        return ClusterError(
            f"{doing}: webhook {found['name']} cannot be called: {_short(found['why'])}; if it is that of a mesh, see "
            "whether its control plane runs (`meshinsight doctor --cluster --mesh NAME`)"
        )
    if found := _WEBHOOK_REFUSES.search(said):
        return ClusterError(f"{doing}: webhook {found['name']} refuses it: {_short(found['why'])}")
    return None


def _unauthorized(doing: str, said: str) -> ClusterError:
    return ClusterError(f"{doing}: {_CREDENTIALS}")


def _forbidden(doing: str, said: str) -> ClusterError:
    if "system:anonymous" in said:
        return ClusterError(f"{doing}: {_CREDENTIALS}")
    if "exceeded quota" in said:
        return ClusterError(
            f"{doing}: {_short(said[said.index('exceeded quota') :])}; raise the quota, or measure less at a time"
        )
    if "being terminated" in said:
        return ConflictError(f"{doing}: {_short(said)}; wait until it is gone")
    if "violates PodSecurity" in said:
        return ForbiddenError(
            f"{doing}: {_short(said[said.index('violates') :])}; leave --namespace out for one of the run's own"
        )
    if found := _REFUSED.search(said):
        where = f" in namespace {found['namespace']}" if found["namespace"] else ""
        rule = rule_text(found["group"], found["resource"], found["verb"])
        return ForbiddenError(
            f"{doing}: {found['user']} may not {found['verb']} {found['resource']}{where}; {_ADMIN} {rule}"
        )
    return ForbiddenError(f"{doing}: not allowed: {_short(said)}")


def rule_text(group: str, resource: str, verb: str) -> str:
    """An RBAC rule as it stands in a Role."""
    return f'{{apiGroups: ["{group}"], resources: ["{resource}"], verbs: ["{verb}"]}}'


def _conflict(doing: str, said: str) -> ClusterError:
    return ConflictError(f"{doing}: {_short(said)}")


def _missing(doing: str, said: str) -> ClusterError:
    return ClusterError(f"{doing}: {_short(said)}")


def _handshake_body(reason: str) -> str:
    """The body of a refused handshake, which stands as a Python literal at the end of the client's message."""
    literal = reason.rpartition(" -+-+- ")[2].rstrip()
    try:
        body = ast.literal_eval(literal)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):  # as literal_eval documents
        return literal
    return body.decode(errors="replace") if isinstance(body, bytes) else str(body)


def _message(body: Any) -> str:
    """The message of a Status object, or the text itself."""
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body or "")
    try:
        status = decode_json(text)
    except ValueError:
        return text
    return str(status.get("message") or text) if isinstance(status, dict) else text


def _short(said: str) -> str:
    return one_line(said, _LONGEST)
