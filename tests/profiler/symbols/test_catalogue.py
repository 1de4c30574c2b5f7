"""Catalogues: the shipped ones say what the proxies' sources say, and damaged ones are refused in one line."""

import pytest

from profiler.errors import ProfileError, UsageError
from profiler.symbols.catalogue import PER_STREAM, Catalogue, for_version, load_catalogue, parse_catalogues
from profiler.vocabulary.components import PARSING, PROXY_CORE

VERSIONS = {"nginx": "1.22.1", "haproxy": "2.6.12-1+deb12u4", "envoy": "1.40.0"}
LANGUAGES = {"go": "1.26", "rust": "1.90"}
LIBC, LIBSSL = "/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/libssl.so.3"


def only(text: str) -> Catalogue:
    (catalogue,) = parse_catalogues(text, "x.yaml")
    return catalogue


@pytest.mark.parametrize(
    ("proxy", "symbol", "component"),
    [
        ("nginx", "ngx_http_parse_request_line", PARSING),
        ("nginx", "ngx_http_v2_string_encode", PARSING),
        ("nginx", "ngx_hash_find_combined", PARSING),
        ("nginx", "ngx_ssl_handshake", "tls"),
        ("nginx", "ngx_http_ssl_servername", "tls"),
        ("nginx", "ngx_http_limit_req_handler", "filter:limit"),
        ("nginx", "ngx_http_gzip_body_filter", "filter:gzip"),
        ("nginx", "ngx_pnalloc", PER_STREAM),
        ("nginx", "ngx_epoll_process_events", PROXY_CORE),
        ("nginx", "ngx_stream_proxy_process", PROXY_CORE),
        ("haproxy", "h1_parse_msg_hdrs", PARSING),
        ("haproxy", "h2_io_cb", PARSING),
        ("haproxy", "hpack_decode_frame", PARSING),
        ("haproxy", "htx_add_header", PARSING),
        ("haproxy", "http_wait_for_request", PARSING),
        ("haproxy", "http_cache_io_handler", "filter:cache"),
        ("haproxy", "ssl_sock_handshake", "tls"),
        ("haproxy", "hlua_ctx_init", "filter:lua"),
        ("haproxy", "mux_pt_io_cb", PROXY_CORE),
        ("haproxy", "process_stream", PER_STREAM),
        ("haproxy", "run_tasks_from_lists", PROXY_CORE),
        ("haproxy", "raw_sock_to_buf", PROXY_CORE),
        ("envoy", "Envoy::Http::Http1::BalsaParser::execute(char const*, int)", PARSING),
        ("envoy", "quiche::BalsaFrame::ProcessHeaders(quiche::BalsaHeaders*)", PARSING),
        ("envoy", "http2::adapter::OgHttp2Session::ProcessBytes(std::string_view)", PARSING),
        ("envoy", "nghttp2_session_mem_recv", PARSING),
        ("envoy", "Envoy::Router::Filter::decodeHeaders(Envoy::Http::RequestHeaderMap&, bool)", PARSING),
        ("envoy", "std::__1::__function::__func<Envoy::Http::ConnectionManagerImpl::f()::$_0>::operator()()", PARSING),
        ("envoy", "bssl::tls_open_record(ssl_st*)", "tls"),
        ("envoy", "Envoy::Extensions::TransportSockets::Tls::SslSocket::doRead(Envoy::Buffer::Instance&)", "tls"),
        ("envoy", "Envoy::Extensions::HttpFilters::RBACFilter::RoleBasedAccessControlFilter::f()", "filter:rbac"),
        ("envoy", "Envoy::Extensions::HttpFilters::JwtAuthn::Filter::f()", "filter:jwt_authn"),
        ("envoy", "Envoy::Network::ConnectionImpl::onRead(Envoy::Http::Unlikely&)", PROXY_CORE),
        ("envoy", "event_base_loop", PROXY_CORE),
        ("envoy", "Envoy::TcpProxy::Filter::onData(Envoy::Buffer::Instance&, bool)", PROXY_CORE),
    ],
)
def test_a_function_is_of_the_component_its_name_tells(proxy: str, symbol: str, component: str) -> None:
    assert load_catalogue(proxy, VERSIONS[proxy]).component(f"/usr/bin/{proxy}", symbol) == component


@pytest.mark.parametrize(
    ("language", "symbol", "component"),
    [
        ("go", "crypto/internal/fips140/aes/gcm.gcmAesEnc", "tls"),
        ("go", "vendor/golang.org/x/crypto/chacha20poly1305.(*chacha20poly1305).seal", "tls"),
        ("go", "net/http.(*persistConn).readLoop", PARSING),
        ("go", "vendor/golang.org/x/net/http2/hpack.(*Decoder).Write", PARSING),
        ("go", "golang.org/x/net/http2.(*Framer).ReadFrame", PARSING),
        ("go", "github.com/traefik/traefik/v3/pkg/muxer/http.(*Muxer).ServeHTTP", PARSING),
        ("go", "github.com/traefik/traefik/v3/pkg/middlewares/accesslog.(*Handler).ServeHTTP", "filter:access_log"),
        ("go", "github.com/caddyserver/caddy/v2/modules/caddyhttp.RouteList.Compile.wrapRoute.func1.1", PARSING),
        ("go", "github.com/prometheus/client_golang/prometheus.(*histogram).Observe", "filter:stats"),
        ("go", "go.opentelemetry.io/otel/sdk/metric.(*meter).Int64Counter", "filter:stats"),
        ("go", "go.opentelemetry.io/otel/trace.SpanFromContext", "filter:tracing"),
        ("go", "internal/poll.(*FD).Read", PROXY_CORE),
        ("go", "internal/runtime/syscall/linux.Syscall6", PROXY_CORE),
        ("go", "syscall.write", PROXY_CORE),
        ("go", "net.(*conn).Read", PROXY_CORE),
        ("go", "runtime.netpoll", PROXY_CORE),
        ("go", "main.handle", PROXY_CORE),
        ("go", "runtime.mallocgc", "runtime"),
        ("go", "runtime.scanobject", "runtime"),
        ("go", "internal/runtime/gc/scan.scanSpanPackedAVX512", "runtime"),
        ("go", "gcWriteBarrier", "runtime"),
        ("go", "runtime.memmove", PER_STREAM),
        ("go", "internal/runtime/maps.(*Iter).Next", PER_STREAM),
        ("go", "sync.(*Pool).Get", PER_STREAM),
        ("rust", "rustls::conn::ConnectionCore<Data>::process_msg", "tls"),
        ("rust", "aws_lc_0_38_0_aes_hw_encrypt", "tls"),
        ("rust", "hyper::proto::h1::conn::Conn<tokio_rustls::client::TlsStream<T>, B, R>::poll_read_head", PARSING),
        ("rust", "<hyper[1a2b]::body::Body as core[4]::future::Future>::poll", PARSING),
        ("rust", "h2::proto::streams::streams::Streams<B,P>::send_request", PARSING),
        ("rust", "httparse::simd::runtime::match_uri_vectored", PARSING),
        ("rust", "core::ptr::drop_in_place<http::header::map::HeaderMap>", PARSING),
        ("rust", "tokio::runtime::task::harness::Harness<T,S>::poll", "runtime"),
        ("rust", "__rust_dealloc", "runtime"),
        ("rust", "_rjem_je_arena_malloc", "runtime"),
        ("rust", "<tokio::net::tcp::stream::TcpStream as tokio::io::async_write::AsyncWrite>::poll_write", PROXY_CORE),
        ("rust", "mio::poll::Poll::poll", PROXY_CORE),
        ("rust", "core::fmt::write", PER_STREAM),
        ("rust", "ztunnel::proxy::outbound::run", PROXY_CORE),
    ],
)
def test_a_function_of_a_language_is_of_the_component_its_package_tells(
    language: str, symbol: str, component: str
) -> None:
    assert load_catalogue(language, LANGUAGES[language]).component("/usr/bin/proxy", symbol) == component


@pytest.mark.parametrize("proxy", VERSIONS)
def test_libraries_are_known_by_their_file(proxy: str) -> None:
    catalogue = load_catalogue(proxy, VERSIONS[proxy])
    found = [catalogue.component(dso, None) for dso in (LIBSSL, LIBC, f"/usr/sbin/{proxy}")]
    assert found == ["tls", PROXY_CORE, None]


def test_the_first_rule_that_fits_decides() -> None:
    text = "[{versions: '>=1', rules: [{component: tls, symbols: [ab]}, {component: parsing, symbols: [a]}]}]"
    assert [only(text).component("/x", name) for name in ("abc", "acb", "bab")] == ["tls", PARSING, None]


def test_a_rule_with_both_needs_both() -> None:
    catalogue = only("[{versions: '>=1', rules: [{component: tls, symbols: [a], dsos: ['lib.*']}]}]")
    assert [catalogue.component(*key) for key in (("/x/libz", "a"), ("/x/z", "a"), ("/x/libz", None))] == [
        "tls",
        None,
        None,
    ]


NEIGHBOURS = (
    "[{versions: '>=1', %s rules: [{component: parsing, symbols: [h_]}, {component: proxy_core, symbols: [.]}]}]"
)


@pytest.mark.parametrize(
    ("option", "before", "after", "component"),
    [
        ("neighbours: true,", "h_1", "h_2", PARSING),
        ("neighbours: true,", "h_1", None, PARSING),
        ("neighbours: true,", "h_1", "x", None),
        ("neighbours: true,", None, None, None),
        ("", "h_1", "h_2", None),
        ("regions: [{component: tls, after: h_1, before: x}],", "h_1", "x", "tls"),
        ("regions: [{component: tls, after: h_1, before: x}],", "x", "h_1", None),
    ],
)
def test_names_around_a_nameless_function_tell_where_the_catalogue_says_so(
    option: str, before: str | None, after: str | None, component: str | None
) -> None:
    assert only(NEIGHBOURS % option).component_between("/x", before, after) == component


def test_the_range_that_holds_the_version_is_taken() -> None:
    rules = "rules: [{component: tls, symbols: [a]}]"
    catalogues = parse_catalogues(f"[{{versions: '<2', {rules}}}, {{versions: '>=2,<3', {rules}}}]", "x.yaml")
    assert for_version(catalogues, "2.6.12-1+deb12u4", "x.yaml").versions == ">=2,<3"
    with pytest.raises(UsageError, match=r"^x\.yaml knows versions <2 or >=2,<3, not 3\.0; add a range"):
        for_version(catalogues, "3.0", "x.yaml")


def test_a_proxy_without_a_catalogue_is_told_what_to_add() -> None:
    with pytest.raises(UsageError, match=r"add profiler/proxies/squid\.symbols\.yaml"):
        load_catalogue("squid", "1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "invalid YAML"),
        ("{}", r"\$: .* is not of type 'array'"),
        ("[{versions: '>=1'}]", r"\$\[0\]: 'rules' is a required property"),
        ("[{versions: '>=1', rules: [{component: tls}]}]", r"rules\[0\]: neither symbols nor dsos"),
        ("[{versions: '>=1', rules: [{component: magic, symbols: [a]}]}]", r"component: 'magic' does not match"),
        (
            "[{versions: '>=1', rules: [{component: tls, symbols: ['(']}]}]",
            r"rules\[0\]: '\(' is no regular expression",
        ),
        ("[{versions: new, rules: [{component: tls, symbols: [a]}]}]", r"\$\[0\].versions: 'new' is no range"),
    ],
)
def test_a_damaged_catalogue_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(ProfileError, match=said) as caught:
        parse_catalogues(text, "x.yaml")
    assert str(caught.value).startswith("x.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("version", ["9" * 5000, "", "x", "\n"])
def test_a_version_that_is_none_is_refused_in_one_line(version: str) -> None:
    with pytest.raises(UsageError, match=r"^haproxy\.symbols\.yaml: [^\n]{0,200} is no version;[^\n]*$"):
        load_catalogue("haproxy", version)


@pytest.mark.parametrize("pattern", ["a{99999999999}", "(", "(" * 5000])
def test_an_expression_that_does_not_compile_is_refused(pattern: str) -> None:
    with pytest.raises(ProfileError, match="is no regular expression"):
        only(f"- versions: '>=1'\n  rules: [{{component: tls, symbols: ['{pattern}']}}]\n")
