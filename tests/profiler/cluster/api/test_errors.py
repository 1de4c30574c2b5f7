"""What the API server says, as one line."""

import json
import ssl

import pytest

from profiler.cluster.api.errors import (
    ClusterError,
    ConflictError,
    ForbiddenError,
    TransientError,
    api_error,
    connection_error,
)

FORBIDDEN = 'pods is forbidden: User "ann" cannot create resource "pods" in API group "" in the namespace "shop"'


def error(code: int, message: str) -> ClusterError:
    return api_error("create Pod a", "https://api:6443", code, "", json.dumps({"message": message}))


def test_a_refusal_names_verb_resource_namespace_and_the_rule_to_add() -> None:
    found = error(403, FORBIDDEN)
    assert isinstance(found, ForbiddenError)
    assert str(found) == (
        "create Pod a: ann may not create pods in namespace shop; "
        "give --namespace of one that an administrator prepared for runs (docs/how-to/cluster.md), or let one add "
        "the rule "
        '{apiGroups: [""], resources: ["pods"], verbs: ["create"]}'
    )


def test_a_certificate_that_has_expired_is_not_called_one_of_another_cluster() -> None:
    failure = ssl.SSLCertVerificationError(
        "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired (_ssl.c:1006)"
    )
    assert str(connection_error("https://api:6443", failure)) == (
        "https://api:6443: its certificate has expired; renew it on the control plane, and check the clock of this "
        "machine"
    )


def test_a_refusal_of_something_without_a_namespace_names_none() -> None:
    said = (
        'namespaces is forbidden: User "ann" cannot create resource "namespaces" in API group "" at the cluster scope'
    )
    assert "ann may not create namespaces; give --namespace" in str(error(403, said))


@pytest.mark.parametrize(
    ("code", "message", "expected"),
    [
        (401, "Unauthorized", "expired or invalid"),
        (403, 'pods is forbidden: User "system:anonymous" cannot list resource "pods"', "expired or invalid"),
        (
            403,
            'pods "a" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1',
            "quota: q, req",
        ),
        (
            403,
            'pods "a" is forbidden: violates PodSecurity "restricted:latest": host namespaces',
            "one of the run's own",
        ),
        (
            403,
            'pods "a" is forbidden: unable to create new content in namespace x because it is being terminated',
            "wait",
        ),
        (409, 'pods "a" already exists', 'pods "a" already exists'),
        (422, 'Pod "a" is invalid: spec: Required value', r"refused .* \(422\): Pod"),
        (503, "apiserver is shutting down", "restarts or is overloaded"),
        (
            500,
            'Internal error occurred: failed calling webhook "object.sidecar-injector.istio.io": failed to call '
            'webhook: Post "https://istiod.istio-system.svc:443/inject?timeout=10s": dial tcp 10.0.0.1:443: connect: '
            "connection refused",
            r"^create Pod a: webhook object\.sidecar-injector\.istio\.io cannot be called: .*refused; if it is that of",
        ),
        (
            403,
            'admission webhook "pods.policy.example" denied the request: no pods with hostPID here',
            r"^create Pod a: webhook pods\.policy\.example refuses it: no pods with hostPID here$",
        ),
        (500, "etcdserver: leader changed", "try again"),
    ],
)
def test_every_status_is_one_line_with_what_to_do(code: int, message: str, expected: str) -> None:
    with pytest.raises(ClusterError, match=expected) as caught:
        raise error(code, message)
    assert "\n" not in str(caught.value)


def test_a_conflict_can_be_told_from_other_failures() -> None:
    assert isinstance(error(409, "exists"), ConflictError)
    assert isinstance(error(429, "slow down"), TransientError)


def test_the_answer_to_a_refused_exec_is_found_in_the_handshake() -> None:
    body = json.dumps({"kind": "Status", "message": FORBIDDEN.replace("create", "get").replace("pods", "pods/exec")})
    found = api_error(
        "exec in a", "https://api", 0, f"Handshake status 403 Forbidden -+-+- {{}} -+-+- {body.encode()!r}", None
    )
    assert "ann may not get pods/exec in namespace shop" in str(found)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("[Errno 111] Connection refused", "refused"),
        ("Failed to resolve 'api' (NameResolutionError)", "cannot be resolved"),
        ("ConnectTimeoutError(timed out)", "in time"),
    ],
)
def test_a_server_that_cannot_be_reached_is_named(said: str, expected: str) -> None:
    found = connection_error("https://api:6443", OSError(said))
    assert "cannot reach the API server https://api:6443: " in str(found)
    assert expected in str(found)


def test_a_certificate_of_another_cluster_is_no_passing_failure() -> None:
    found = connection_error("https://api", OSError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate"))
    assert not isinstance(found, TransientError)
    assert "kubeconfig is of another cluster" in str(found)


@pytest.mark.parametrize(
    "body", ["[" * 5000, "{" * 5000, '{"message": 7}', "null", "\n\n", "Handshake status 403 -+-+- " + "(" * 5000]
)
@pytest.mark.parametrize("code", [0, 403, 500])
def test_an_answer_of_any_content_is_one_line(code: int, body: str) -> None:
    assert "\n" not in str(api_error("create Pod a", "https://api:6443", code, body, body))


def test_a_webhook_that_does_not_answer_is_not_taken_for_an_api_server_that_restarts() -> None:
    found = error(500, 'Internal error occurred: failed calling webhook "a.b": no endpoints available for service "b"')
    assert not isinstance(found, TransientError)
