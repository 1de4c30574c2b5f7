from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from profiler.errors import MissingError, UsageError
from profiler.proxies import nginx
from profiler.proxies.base import Filter, Listener
from profiler.proxies.nginx import PROXY
from profiler.testbed.certificates import make_certificates
from profiler.testbed.run import Run
from profiler.vocabulary.addresses import SERVER_NAME, Address, Certificates
from tests.profiler.passable import passable_folder
from tests.profiler.proxies.contract import (
    LINKS,
    SERVER,
    EchoServer,
    answers_of_captured_requests,
    chain,
    check_a_client_without_certificate_is_refused,
    check_a_large_body_passes_by_http2,
    check_a_server_of_another_authority_is_refused,
    check_bodies_of_all_sizes_pass,
    check_clients_share_connections_upstream,
    check_http2_passes_with_its_trailers,
    check_no_session_is_resumed_by_clients,
    check_no_session_is_resumed_upstream,
    check_no_stream_is_refused_under_load,
    config,
    free_port,
    post,
    sidecar,
    sidecar_directory,
    status_with_headers,
)


@pytest.fixture
def run() -> Iterator[Run]:
    with passable_folder() as state_dir, Run.start(state_dir) as run:
        yield run


def lines(protocol: str, **changes: object) -> list[str]:
    """The rendered configuration, without indentation and comments."""
    text = PROXY.render(config(protocol, **changes), Path("/sidecar"))
    return [line.split(" #")[0].strip() for line in text.splitlines()]


def test_connections_go_on_to_the_destination_that_was_given() -> None:
    text = lines("tcp")
    assert text.count("server 10.0.0.9:8080 max_fails=0;") == 2
    assert "listen 0.0.0.0:15001 backlog=65535;" in text
    assert "listen 0.0.0.0:15006 backlog=65535;" in text


def test_a_given_upstream_comes_before_the_destination() -> None:
    listener = Listener("outbound", Address("0.0.0.0", 15001), SERVER, upstream=Address("10.0.0.7", 15006))  # noqa: S104
    assert "server 10.0.0.7:15006 max_fails=0;" in lines("http1", listeners=(listener,))


@pytest.mark.parametrize(
    ("protocol", "passes"),
    [("tcp", "proxy_pass outbound;"), ("http1", "proxy_pass http://outbound;"), ("grpc", "grpc_pass grpc://outbound;")],
)
def test_listeners_proxy_as_the_protocol_says(protocol: str, passes: str) -> None:
    text = lines(protocol)
    assert passes in text
    assert (f"load_module {nginx.STREAM_MODULE};" in text) == (protocol == "tcp")


@pytest.mark.parametrize(
    ("protocol", "passes"), [("http1", "proxy_pass https://outbound;"), ("grpc", "grpc_pass grpcs://outbound;")]
)
def test_tls_upstream_is_said_in_the_scheme(protocol: str, passes: str) -> None:
    listener = replace(config(protocol).listeners[0], connect_tls=True)
    files = make_paths()
    assert passes in lines(protocol, listeners=(listener,), certificates=files)


@pytest.mark.parametrize(("protocol", "prefix"), [("tcp", "proxy"), ("http1", "proxy"), ("grpc", "grpc")])
def test_the_peers_certificate_is_checked(protocol: str, prefix: str) -> None:
    listener = replace(config(protocol).listeners[0], connect_tls=True)
    text = lines(protocol, listeners=(listener,), certificates=make_paths())
    assert {f"{prefix}_ssl_verify on;", f"{prefix}_ssl_name {SERVER_NAME};"} <= set(text)
    assert f"{prefix}_ssl_session_reuse off;" in text


def make_paths() -> Certificates:
    return Certificates(Path("/c/chain.pem"), Path("/c/key.pem"), Path("/c/authority.pem"))


def test_unix_sockets_are_named() -> None:
    inner, outer = Address(socket=Path("/s/in.sock")), Address(socket=Path("/s/out.sock"))
    text = lines("tcp", listeners=(Listener("outbound", inner, SERVER, upstream=outer),))
    assert {"listen unix:/s/in.sock backlog=65535;", "server unix:/s/out.sock max_fails=0;"} <= set(text)


def test_every_file_is_below_the_directory() -> None:
    paths = [word.rstrip(";") for line in lines("http1") for word in line.split() if word.startswith("/")]
    assert len(paths) == 7 + 2  # temporary paths, pid and lock; "location /" of both listeners
    assert {path for path in paths if not path.startswith("/sidecar/")} == {"/"}


def test_filters_are_refused() -> None:
    listener = replace(config("http1").listeners[0], filters=(Filter("fault", {}),))
    with pytest.raises(ValueError, match="fault"):
        PROXY.render(config("http1", listeners=(listener,)), Path("/sidecar"))


@pytest.mark.parametrize(
    ("said", "added"),
    [
        ("", "daemon off; master_process off;"),
        ("daemon off;\n", "master_process off;"),
        ("daemon off;\nmaster_process off;\n", None),
    ],
)
def test_a_bootstrap_runs_as_one_process_in_the_foreground(tmp_path: Path, said: str, added: str | None) -> None:
    argv = PROXY.argv(config("http1", bootstrap=said), tmp_path)
    assert (tmp_path / "nginx.conf").read_text() == said
    assert (argv[argv.index("-g") + 1] if "-g" in argv else None) == added


def test_a_bootstrap_runs() -> None:
    address = Address("127.0.0.1", free_port())
    text = f"pid nginx.pid;\nevents {{}}\nhttp {{ server {{ listen {address}; return 204; }} access_log off;\n"
    text += "".join(f"{kind}_temp_path {kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    listeners = (Listener("outbound", address, SERVER),)
    with (
        passable_folder() as directory,
        sidecar(PROXY, config("http1", listeners=listeners, bootstrap=text + "}"), directory, "own") as pid,
    ):
        assert post(address.port, b"").status == 204
        assert Path(f"/proc/{pid}/task/{pid}/children").read_text() == ""


def test_the_limit_of_open_files_is_raised_as_far_as_it_goes(tmp_path: Path) -> None:
    launcher, limit, *rest = PROXY.argv(config("http1"), tmp_path)
    soft, hard = limit.removeprefix("--nofile=").split(":")
    assert (Path(launcher).name, soft) == ("prlimit", hard)
    assert rest[0] == str(PROXY.executable())


@pytest.mark.parametrize("protocol", PROXY.protocols)
@pytest.mark.parametrize("tls", [False, True])
def test_nginx_accepts_the_configuration(protocol: str, tls: bool) -> None:
    with passable_folder() as directory:
        listeners = tuple(replace(entry, accept_tls=tls, connect_tls=tls) for entry in config(protocol).listeners)
        files = make_certificates(directory) if tls else None
        wanted = config(protocol, listeners=listeners, certificates=files)
        PROXY.validate(wanted, sidecar_directory(directory, "sidecar"))


def test_nginxs_own_words_say_what_is_wrong() -> None:
    said = r'^nginx refuses the configuration: unknown directive "nonsense" in /.*/nginx.conf:2$'
    with passable_folder() as directory, pytest.raises(UsageError, match=said):
        PROXY.validate(config("tcp", bootstrap="events {}\nnonsense;\n"), directory)


def test_the_check_leaves_the_proxys_user_what_it_needs() -> None:
    with EchoServer() as server, passable_folder() as directory:
        upstream = Address("127.0.0.1", server.server_port)
        address = Address("127.0.0.1", free_port())
        wanted = config("http1", listeners=(Listener("outbound", address, upstream),))
        PROXY.validate(wanted, sidecar_directory(directory, "checked"))
        with sidecar(PROXY, wanted, directory, "running"):
            PROXY.validate(wanted, directory / "running")
            assert post(address.port, b"q").status == 200


def test_version_and_digest_are_told() -> None:
    found = PROXY.identify()
    assert found.version[0].isdigit()
    assert (found.build, len(found.binary_sha256)) == ("release", 64)


def test_a_build_without_optimisation_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nginx, "_build_options", lambda binary: "configure arguments: --with-cc-opt='-g -O0'")
    with pytest.raises(UsageError, match="without optimisation"):
        PROXY.identify()


def test_a_missing_nginx_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name, path: None)
    with pytest.raises(MissingError, match="apt-get install nginx"):
        PROXY.executable()


def test_a_missing_stream_module_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(nginx, "STREAM_MODULE", tmp_path / "ngx_stream_module.so")
    with pytest.raises(MissingError, match="apt-get install libnginx-mod-stream"):
        PROXY.argv(config("tcp"), tmp_path)


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("protocol", ["tcp", "http1"])
def test_bodies_of_all_sizes_pass(protocol: str, link: str) -> None:
    check_bodies_of_all_sizes_pass(PROXY, protocol, link)


@pytest.mark.parametrize("link", LINKS)
def test_grpc_passes_with_its_trailers(link: str) -> None:
    check_http2_passes_with_its_trailers(PROXY, "grpc", link)


def test_no_stream_is_refused_under_load() -> None:
    check_no_stream_is_refused_under_load(PROXY)


def test_a_large_body_passes_by_grpc() -> None:
    check_a_large_body_passes_by_http2(PROXY, "grpc")


def test_the_host_header_passes_as_it_is() -> None:
    with EchoServer() as server, chain(PROXY, "http1", server.server_port) as port:
        assert post(port, b"").headers["x-host"] == "its.own.name:81"


@pytest.mark.parametrize(("count", "size"), [(90, 650), (14, 4096)])
def test_many_and_large_headers_pass(count: int, size: int) -> None:
    with EchoServer() as server, chain(PROXY, "http1", server.server_port) as port:
        assert status_with_headers(port, count, size) == 200


def test_clients_share_connections_upstream() -> None:
    check_clients_share_connections_upstream(PROXY)


@pytest.mark.parametrize("protocol", ["tcp", "http1"])
def test_a_client_without_certificate_is_refused(protocol: str) -> None:
    check_a_client_without_certificate_is_refused(PROXY, protocol)


@pytest.mark.parametrize("protocol", ["tcp", "http1"])
def test_a_server_of_another_authority_is_refused(protocol: str) -> None:
    check_a_server_of_another_authority_is_refused(PROXY, protocol)


def test_no_session_is_resumed_by_clients() -> None:
    check_no_session_is_resumed_by_clients(PROXY)


@pytest.mark.parametrize("protocol", ["tcp", "http1"])
def test_no_session_is_resumed_upstream(protocol: str) -> None:
    check_no_session_is_resumed_upstream(PROXY, protocol)


@pytest.mark.kernel
@pytest.mark.parametrize("protocol", ["tcp", "http1"])
def test_captured_connections_reach_the_destination(run: Run, protocol: str) -> None:
    assert [port for port, _ in answers_of_captured_requests(run, PROXY, protocol)] == ["8080"] * 2
