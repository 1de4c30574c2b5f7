"""Which side of a process its sockets are on."""

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from profiler.attach.sockets import ACCEPTED, MADE, NO_SOCKET, UNKNOWN, Sockets


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def connected(stack: ExitStack, family: int, address: tuple[str, int] | str) -> tuple[socket.socket, socket.socket]:
    """A connection to a listener: our end, and the one that was accepted."""
    listener = stack.enter_context(socket.socket(family))
    listener.bind(address)
    listener.listen()
    ours = stack.enter_context(socket.socket(family))
    ours.connect(listener.getsockname())
    theirs, _ = listener.accept()
    return ours, stack.enter_context(theirs)


@pytest.mark.parametrize(
    ("family", "address"), [(socket.AF_INET, ("127.0.0.1", 0)), (socket.AF_INET6, ("::1", 0))], ids=["IPv4", "IPv6"]
)
def test_tcp_connections_are_accepted_or_made(stack: ExitStack, family: int, address: tuple[str, int]) -> None:
    ours, theirs = connected(stack, family, address)
    found = Sockets(os.getpid()).sides([ours.fileno(), theirs.fileno()])
    assert found == {ours.fileno(): MADE, theirs.fileno(): ACCEPTED}


def test_unix_connections_are_accepted_or_made(stack: ExitStack) -> None:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    ours, theirs = connected(stack, socket.AF_UNIX, str(folder / "socket"))
    found = Sockets(os.getpid()).sides([ours.fileno(), theirs.fileno()])
    assert found == {ours.fileno(): MADE, theirs.fileno(): ACCEPTED}


def test_files_are_no_sockets_and_closed_ones_are_not_known() -> None:
    with Path(os.devnull).open("rb") as file:
        assert Sockets(os.getpid()).sides([file.fileno(), 99_999]) == {file.fileno(): NO_SOCKET, 99_999: UNKNOWN}


def test_a_process_that_has_ended_has_no_sockets_that_are_known() -> None:
    assert Sockets(4_194_303).sides([3]) == {3: UNKNOWN}


def test_sockets_with_names_of_any_bytes_do_not_hide_the_others(tmp_path: Path) -> None:
    net = tmp_path / "7" / "net"
    net.mkdir(parents=True)
    (tmp_path / "7" / "fd").mkdir()
    (tmp_path / "7" / "fd" / "3").symlink_to("socket:[12]")
    odd = b"0000: 00000002 00000000 x 0001 03 11 @\xff\xfe\x85 y\n"
    (net / "unix").write_bytes(b"Num RefCount\n" + odd + b"0000: 00000002 00000000 00000000 0001 03 12 /a\n")
    assert Sockets(7, tmp_path).sides([3]) == {3: ACCEPTED}
