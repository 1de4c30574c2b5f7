import socket
from pathlib import Path

import pytest

from profiler.errors import ProcessError, UsageError
from profiler.host.process import Process
from profiler.testbed.pods import Pod, PodNetwork
from profiler.testbed.run import Run
from tests.profiler.testbed.conftest import eventually, root_network

pytestmark = pytest.mark.kernel

NGINX = """\
daemon off; master_process off; pid {directory}/nginx.pid; error_log stderr;
events {{ }}
http {{ access_log off; client_body_temp_path {directory}; proxy_temp_path {directory}; fastcgi_temp_path {directory};
uwsgi_temp_path {directory}; scgi_temp_path {directory};
server {{ listen 8080; location / {{ return 200 "{text}"; }} }} }}
"""


def serve(run: Run, pod: Pod, text: str) -> Process:
    directory = run.add_directory(f"nginx-{pod.name}")
    (directory / "nginx.conf").write_text(NGINX.format(directory=directory, text=text))
    nginx = run.spawn(f"nginx-{pod.name}", ["nginx", "-c", str(directory / "nginx.conf")], netns=pod.namespace)
    assert eventually(lambda: "LISTEN" in pod.namespace.run(["ss", "-ltn"]))
    nginx.check()
    return nginx


def fetch(pod: Pod, address: str, timeout_s: int = 9) -> str:
    options = ["--silent", "--show-error", "--max-time", str(timeout_s)]
    return pod.namespace.run(["curl", *options, f"http://{address}:8080/"])


def test_pods_talk_http_both_ways(run: Run) -> None:
    network = PodNetwork(run)
    a, b = network.add_pod("a"), network.add_pod("b")
    serve(run, a, "this is a")
    serve(run, b, "this is b")
    assert (fetch(a, b.address), fetch(b, a.address)) == ("this is b", "this is a")


def test_a_new_pod_is_reachable_at_once(run: Run) -> None:
    network = PodNetwork(run)
    a = network.add_pod("a")
    b = network.add_pod("b")
    with pytest.raises(ConnectionRefusedError):  # answered, not dropped by a bridge port that is still learning
        a.namespace.call(lambda: socket.create_connection((b.address, 8080), timeout=5))


def test_the_root_namespace_stays_as_it_was(run: Run) -> None:
    before = root_network()
    PodNetwork(run).add_pod("a", capture=True)
    assert root_network() == before


def test_pods_of_two_runs_do_not_meet(run: Run, state_dir: Path) -> None:
    client = PodNetwork(run).add_pod("client")
    with Run.start(state_dir) as other:
        network = PodNetwork(other)
        network.add_pod("first")
        server = network.add_pod("server")
        serve(other, server, "not for you")
        with pytest.raises(ProcessError, match="curl"):
            fetch(client, server.address, timeout_s=1)


def test_a_pod_cannot_reach_out(run: Run) -> None:
    pod = PodNetwork(run).add_pod("a", capture=True)
    assert pod.namespace.run(["ip", "route", "show", "default"]) == ""


def test_pods_have_no_ipv6(run: Run) -> None:
    pod = PodNetwork(run).add_pod("a")
    assert pod.namespace.run(["ip", "-6", "address"]) == ""


@pytest.mark.parametrize("name", ["", "A", "a/b", "bridge", "-a", "taken", "x" * 33])
def test_bad_and_taken_names_are_refused(run: Run, name: str) -> None:
    network = PodNetwork(run)
    network.add_pod("taken")
    with pytest.raises(UsageError, match="pod name"):
        network.add_pod(name)
