"""Addresses in texts that people write: URLs, `host:port`, names of the cluster. Pure, linear in the text.

A word alone is an address only where its variable or flag is for one, such as DB_HOST.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from predictor.importers.manifests.settings import Setting

_HOST: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})(?:\.[A-Za-z0-9_-]{1,63}){0,9}\.?"
_URL: Final = re.compile(
    rf"(?<![A-Za-z0-9+.-])([A-Za-z][A-Za-z0-9+.-]{{0,20}})://(?:[^\s/@\"'<>]{{0,256}}@)?"
    rf"({_HOST}(?::\d{{1,5}})?(?:,{_HOST}(?::\d{{1,5}})?){{0,99}})"
)
_WITH_PORT: Final = re.compile(rf"(?<![\w./-])({_HOST}):(\d{{1,5}})(?![\w@-]|\.\w)")
_IN_CLUSTER: Final = re.compile(
    r"(?<![\w./:-])((?:[A-Za-z0-9_-]{1,63}\.){2,3}svc(?:\.[A-Za-z0-9_-]{1,63}){0,9}|"
    r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63}){1,2})\.?(?![\w:.-])"
)
_WORD: Final = re.compile(rf"\s*({_HOST}(?:\s*,\s*{_HOST}){{0,99}})\s*\Z")
_FOR_ADDRESS: Final = re.compile(
    r"(?:host(?:name)?s?|addr(?:ess)?(?:es)?|ur[il]s?|endpoints?|servers?|upstreams?|backends?|brokers?|dsn|fqdn)"
    r"[_.-]?\d{0,3}\Z",
    re.IGNORECASE,
)
_NO_HOST: Final = re.compile(r"localhost\Z|[\d.]+\Z")
_MOST_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class Address:
    """A host name with the port and the URL's scheme where they are given."""

    host: str
    port: str = ""
    scheme: str = ""
    is_word: bool = False
    """The whole setting is this name, and nothing says that it is meant as an address."""
    is_dotted: bool = False
    """A name with dots and nothing else: an address only if it is exactly one of the cluster."""

    @property
    def is_local(self) -> bool:
        """Whether it is this pod, or a number that names nobody."""
        return bool(_NO_HOST.match(self.host))


def addresses(setting: Setting, environment: Mapping[str, str]) -> Iterator[Address]:
    """The addresses in a setting; words that are none are marked."""
    text = setting.text
    for found in _URL.finditer(text):
        for part in found[2].split(","):
            host, _, port = part.partition(":")
            yield Address(host, port, found[1].lower().rpartition("+")[2])
    rest = _URL.sub(lambda found: " " * len(found[0]), text)
    for found in _WITH_PORT.finditer(rest):
        if 0 < int(found[2]) <= _MOST_PORT:
            yield Address(found[1], found[2])
    for found in _IN_CLUSTER.finditer(rest):
        yield Address(found[1], is_dotted=".svc" not in found[1])
    word = None if setting.is_file else _WORD.match(rest)
    if word:
        for_address = _FOR_ADDRESS.search(setting.key)
        port = _port_next_to(setting.key, for_address, environment) if for_address else ""
        for name in word[1].split(","):
            yield Address(name.strip(), port, is_word=for_address is None)


def _port_next_to(key: str, found: re.Match[str], environment: Mapping[str, str]) -> str:
    """The value of DB_PORT for DB_HOST."""
    stem = key[: found.start()]
    for name in (f"{stem}PORT", f"{stem}port", f"{stem}Port"):
        if environment.get(name, "").isdecimal():
            return environment[name]
    return ""
