import socket
from pathlib import Path

import pytest

from profiler.errors import MissingError, ProcessError
from profiler.host.netns import Namespace, namespace_names
from profiler.host.programs import run_tool
from profiler.testbed.run import Run


@pytest.fixture
def namespace(run: Run) -> Namespace:
    return run.add_namespace("a")


def test_a_tool_that_fails_shows_its_own_words() -> None:
    with pytest.raises(ProcessError, match=r"`sh -c .*` failed with exit status 4: first \| second"):
        run_tool(["sh", "-c", "echo first >&2; echo second >&2; exit 4"])


def test_a_tool_that_hangs_is_given_up() -> None:
    with pytest.raises(ProcessError, match=r"`sleep 1000` did not end within 0\.05 s"):
        run_tool(["sleep", "1000"], timeout_s=0.05)


def test_a_missing_tool_is_named() -> None:
    with pytest.raises(MissingError, match="no-such-tool"):
        run_tool(["no-such-tool"])


@pytest.mark.kernel
def test_a_namespace_has_loopback_and_nothing_else(namespace: Namespace) -> None:
    lines = namespace.run(["ip", "-oneline", "link"]).splitlines()
    assert [line.split()[1] for line in lines] == ["lo:"]
    assert "LOWER_UP" in lines[0]


@pytest.mark.kernel
def test_a_callable_runs_inside_and_its_socket_stays_there(namespace: Namespace) -> None:
    listener = namespace.call(lambda: socket.create_server(("127.0.0.1", 8080)))
    with listener, namespace.call(lambda: socket.create_connection(("127.0.0.1", 8080), timeout=10)):
        assert "127.0.0.1:8080" in namespace.run(["ss", "-Hltn"])


@pytest.mark.kernel
def test_the_calling_thread_stays_outside(namespace: Namespace) -> None:
    def here() -> int:
        return Path("/proc/thread-self/ns/net").stat().st_ino

    before = here()
    assert namespace.call(here) == namespace.path.stat().st_ino != before
    assert here() == before


@pytest.mark.kernel
def test_an_error_inside_a_callable_comes_out(namespace: Namespace) -> None:
    with pytest.raises(ZeroDivisionError):
        namespace.call(lambda: 1 // 0)


@pytest.mark.kernel
def test_a_missing_command_is_named_and_not_taken_for_a_failure(namespace: Namespace) -> None:
    with pytest.raises(MissingError, match="no-such-tool"):
        namespace.run(["no-such-tool"])


@pytest.mark.kernel
def test_a_taken_name_is_refused(namespace: Namespace) -> None:
    with pytest.raises(ProcessError, match="File exists"):
        namespace.create()


@pytest.mark.kernel
def test_deleting_twice_is_fine(namespace: Namespace) -> None:
    namespace.delete()
    namespace.delete()
    assert namespace_names(namespace.name) == []


@pytest.mark.kernel
def test_a_name_left_by_a_killed_ip_is_deleted(run: Run) -> None:
    namespace = Namespace(f"mi-{run.id}-half")
    namespace.path.touch()  # `ip netns add` makes the file first and mounts the namespace on it then
    namespace.delete()
    assert not namespace.path.exists()


def test_a_tool_has_its_own_group_so_that_the_terminals_interrupt_passes_it_by() -> None:
    own_pid, group = run_tool(["sh", "-c", "echo $$; cut -d' ' -f5 /proc/$$/stat"]).split()
    assert own_pid == group
