"""Secrets are left out of kept configurations; everything else stays as it was written."""

import base64

import pytest
import yaml

from profiler.measuring.profiling import default_toolbox
from profiler.measuring.testbeds import LocalTestbed
from profiler.planning.settings import ProfileSettings
from profiler.proxies.filters import filter_names
from profiler.proxies.redaction import LEFT_OUT, without_secrets
from profiler.vocabulary.hop import Hop

KEY = "-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\n"
ENCODED = base64.b64encode(KEY.replace("SECRET", "hidden").encode()).decode()
WEB_TOKEN = ".".join(("eyJhbGciOiJ", "SECRETSECRET", "SECRETsig"))


@pytest.mark.parametrize(
    "text",
    [
        f"private_key: {{inline_string: {KEY!r}}}\n".replace("'", '"'),
        "private_key:\n  inline_string: |\n    " + KEY.replace("\n", "\n    ").rstrip() + "\n",
        "privateKey: {inlineBytes: U0VDUkVU-SECRET}",
        "tls_certificates:\n- private_key: {inline_bytes: SECRET}\n  password: {inline_string: SECRET}\n",
        "generic_secret: {secret: {inline_string: SECRET}}",
        "session_ticket_keys: {keys: [{inline_bytes: SECRET}, {inline_string: SECRET}]}",
        "data: {inline_string: SECRET}",
        "password: SECRET",
        "oauth: {token_secret: SECRET, hmac: {inline_bytes: SECRET}}",
        '{"client_secret": "SECRET", "x": 1}',
        "request_headers_to_add: [{header: {key: Authorization, value: Basic SECRETSECRET}}]",
        "headers: [{name: x-api-key, string_match: {exact: SECRET}}]",
        "x: &k SECRET\npassword: *k\n",
        'local_jwks: {inline_string: \'{"keys": [{"kty": "oct", "k": "SECRET"}]}\'}',
        "uri: https://user:SECRET@host/path",
        f"x: [{WEB_TOKEN}]",
        f"x: Bearer {WEB_TOKEN}",
        "defaults\n  stats auth admin:SECRET\n",
        "userlist u\n  user a insecure-password SECRET\n  user b password SECRET\n",
        'frontend x\n  http-request set-header Authorization "Basic SECRET"\n',
        "http { server { proxy_set_header X-Api-Key SECRET; } }",
        "http {\n  # " + KEY + "}\n",
        "a: [\n  password: SECRET\n",
        KEY.removesuffix("-----END PRIVATE KEY-----\n"),
    ],
)
def test_secrets_are_left_out(text: str) -> None:
    kept = without_secrets(text)
    assert "SECRET" not in kept
    assert LEFT_OUT in kept


def test_a_key_inside_of_a_certificates_bytes_is_left_out() -> None:
    assert ENCODED not in without_secrets(f"certificate_chain: {{inline_bytes: {ENCODED}}}")


@pytest.mark.parametrize(
    "text",
    [
        "# comment\nprivate_key: { filename: /etc/key.pem }\n",
        "token_bucket: {max_tokens: 10, tokens_per_fill: 3}\n",
        "default_source_code:\n  inline_string: |\n    function envoy_on_request(handle)\n    end\n",
        "trusted_ca: {inline_string: '-----BEGIN CERTIFICATE-----'}\n",
        "name: authorization\ntype: STATIC\n",
        "ä: é\n---\nb: 2\n",
        "worker_processes 1;\nevents {}\n",
    ],
)
def test_everything_else_stays_as_it_was_written(text: str) -> None:
    assert without_secrets(text) == text


@pytest.mark.parametrize("proxy", ["envoy", "haproxy", "nginx"])
def test_our_own_configurations_have_no_secrets(proxy: str) -> None:
    testbed = LocalTestbed(default_toolbox().servers, ProfileSettings())
    filters = filter_names(proxy)
    for hop in (Hop("http1", "server", proxy=proxy), *(Hop("http1", "server", filters=(name,)) for name in filters)):
        text = testbed.configuration(hop)
        assert without_secrets(text) == text


def test_what_is_left_is_the_same_document() -> None:
    kept = yaml.safe_load(without_secrets("a:\n- password: |\n    x\n    y\n- b: 1\n- {api_token: t, c: [2]}\n"))
    assert kept == {"a": [{"password": LEFT_OUT}, {"b": 1}, {"api_token": LEFT_OUT, "c": [2]}]}


def test_aliases_of_aliases_take_no_time() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40)]
    text = "\n".join(lines)
    assert without_secrets(text) == text


def test_deep_nesting_is_no_failure() -> None:
    without_secrets("[" * 100_000)
