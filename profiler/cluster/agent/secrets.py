"""The secret of the container's role, as the container has it."""

from pathlib import Path
from typing import Final

from profiler.testbed.tokens import Token

SECRETS: Final = Path("/etc/meshinsight/secrets")


def token_in(folder: Path) -> Token:
    """The token that filters check. Empty in a sidecar, which has the keys to check it by and nothing else."""
    token = folder / "token"
    return Token(token.read_text() if token.exists() else "", (folder / "jwks.json").read_text())
