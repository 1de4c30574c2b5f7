"""`echo`: write the configuration of a server of the echo pod, and become that server."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from profiler.workload.base import Answers, Server
from profiler.workload.servers.haproxy import HaproxyServer
from profiler.workload.servers.nghttpd import NghttpdServer

_SERVERS: Final[dict[str, type[Server]]] = {"haproxy": HaproxyServer, "nghttpd": NghttpdServer}


def main(arguments: Sequence[str]) -> None:
    """Does not return: the process is the server's then."""
    parser = argparse.ArgumentParser(prog="echo")
    parser.add_argument("--server", choices=_SERVERS, required=True)
    parser.add_argument("--sizes", type=parse_sizes, required=True, help="answers: <bytes>x<messages>, by commas")
    parser.add_argument("--largest-request", type=int, required=True, help="bytes")
    parser.add_argument("--directory", type=Path, default=Path("/run"))
    given = parser.parse_args(arguments)
    directory = given.directory / given.server
    directory.mkdir(exist_ok=True)
    server: Server = _SERVERS[given.server]()
    argv = server.argv(directory, Answers(given.sizes, given.largest_request))
    os.execv(argv[0], argv)  # noqa: S606 - a program by its full path, no shell


def parse_sizes(text: str) -> tuple[tuple[int, int], ...]:
    """(bytes, messages) of each answer. Raises ValueError."""
    pairs = (entry.partition("x") for entry in text.split(","))
    return tuple((int(size), int(messages)) for size, _, messages in pairs)
