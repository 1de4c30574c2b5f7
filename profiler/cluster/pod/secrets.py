"""The run's secret, as its containers have it."""

from pathlib import Path
from typing import Final

from profiler.testbed.tokens import Token

SECRETS: Final = Path("/etc/meshinsight/secrets")


def token_in(folder: Path) -> Token:
    """The token that filters check."""
    return Token((folder / "token").read_text(), (folder / "jwks.json").read_text())
