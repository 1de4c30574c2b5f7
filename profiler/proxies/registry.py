"""Finding a proxy by its name: every module of this package that defines `PROXY` is one."""

from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import profiler.proxies
from profiler.errors import UsageError
from profiler.proxies.base import Proxy
from profiler.text import not_one_of
from profiler.vocabulary.hop import Hop


@cache
def proxies() -> dict[str, Proxy]:
    """Every proxy by name, in alphabetical order."""
    modules = (import_module(f"profiler.proxies.{entry.name}") for entry in iter_modules(profiler.proxies.__path__))
    found: list[Proxy] = [module.PROXY for module in modules if hasattr(module, "PROXY")]
    return {proxy.name: proxy for proxy in sorted(found, key=lambda proxy: proxy.name)}


def find_proxy(name: str) -> Proxy:
    """The proxy called `name`. Raises UsageError for an unknown one."""
    if name not in proxies():
        raise UsageError(f"--proxy: {not_one_of(name, proxies())}")
    return proxies()[name]


def proxy_of(hop: Hop) -> Proxy:
    """The proxy of a hop, with the program that its variant has. Raises UsageError for an unknown one."""
    proxy = find_proxy(hop.proxy)
    return proxy.with_program(Path(hop.variant.binary)) if hop.variant.binary else proxy
