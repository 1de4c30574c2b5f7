"""Tokens of a run, verified by PyJWT as a service would."""

import json
import time
from typing import Any

import jwt
import pytest

from profiler.testbed.tokens import Token, make_token


@pytest.fixture(scope="module")
def token() -> Token:
    return make_token()


def key_of(token: Token) -> Any:
    return jwt.PyJWKSet.from_json(token.jwks)["run"].key


def test_the_key_set_verifies_the_token(token: Token) -> None:
    claims = jwt.decode(token.token, key_of(token), algorithms=["RS256"], issuer="meshinsight")
    assert claims["sub"] == "load"


def test_the_token_names_its_key_and_algorithm(token: Token) -> None:
    assert jwt.get_unverified_header(token.token) == {"alg": "RS256", "kid": "run", "typ": "JWT"}


def test_the_token_outlives_any_run(token: Token) -> None:
    claims = jwt.decode(token.token, options={"verify_signature": False})
    assert claims["exp"] - time.time() > 6 * 24 * 3600


def test_the_key_set_holds_nothing_private(token: Token) -> None:
    (key,) = json.loads(token.jwks)["keys"]
    assert set(key) <= {"kty", "key_ops", "n", "e", "kid", "alg", "use"}


def test_the_token_of_another_run_is_refused(token: Token) -> None:
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(make_token().token, key_of(token), algorithms=["RS256"])
