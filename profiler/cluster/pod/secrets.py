"""Where the run's secret is in its containers."""

from pathlib import Path
from typing import Final

from profiler.proxies.base import Certificates

SECRETS: Final = Path("/etc/meshinsight/secrets")


def certificates_in(folder: Path = SECRETS) -> Certificates:
    """Those that were made for the run."""
    return Certificates(folder / "chain.pem", folder / "key.pem", folder / "authority.pem")
