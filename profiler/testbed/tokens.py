"""A signed token and the key set that verifies it, made for one run."""

import json
import time
from dataclasses import dataclass
from typing import Final

_KEY_BITS: Final = 2048
_VALID_S: Final = 7 * 24 * 3600


@dataclass(frozen=True)
class Token:
    """An RS256 token, and the JSON Web Key Set to verify it with."""

    token: str
    jwks: str


def make_token() -> Token:
    """Make a key and a token signed with it, good for a week."""
    import jwt
    from cryptography.hazmat.primitives.asymmetric import rsa
    from jwt.algorithms import RSAAlgorithm

    key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    claims = {"iss": "meshinsight", "sub": "load", "exp": int(time.time()) + _VALID_S}
    public = json.loads(RSAAlgorithm.to_jwk(key.public_key()))
    jwks = {"keys": [{**public, "kid": "run", "alg": "RS256", "use": "sig"}]}
    return Token(jwt.encode(claims, key, algorithm="RS256", headers={"kid": "run"}), json.dumps(jwks))
