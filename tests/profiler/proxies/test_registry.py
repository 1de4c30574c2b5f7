import pytest

from profiler.errors import UsageError
from profiler.proxies.base import Proxy
from profiler.proxies.registry import find_proxy, proxies
from profiler.vocabulary.protocols import PROTOCOLS


def test_every_proxy_is_found_by_its_name() -> None:
    assert list(proxies()) == ["envoy", "haproxy", "nginx"]
    assert all(find_proxy(name).name == name for name in proxies())


def test_an_unknown_proxy_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="--proxy: expected one of envoy, haproxy, nginx; found 'squid'"):
        find_proxy("squid")


@pytest.mark.parametrize("proxy", proxies().values(), ids=lambda proxy: str(proxy.name))
def test_a_proxy_says_nothing_of_itself_that_the_testbed_does_not_know(proxy: Proxy) -> None:
    assert set(proxy.tls_protocols) <= set(proxy.protocols) <= set(PROTOCOLS)
    assert proxy.most_workers >= 1
