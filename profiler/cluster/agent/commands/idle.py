"""`idle`: hold the container until it is stopped."""

import signal
from collections.abc import Sequence


def main(arguments: Sequence[str]) -> None:
    """Wait for SIGTERM, to which process 1 of a container is deaf otherwise."""
    ending = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    signal.sigwait(ending)
