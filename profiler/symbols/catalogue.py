"""What a proxy's function names mean: data beside the proxies, one file per proxy, by range of versions.

`profiler/proxies/<proxy>.symbols.yaml` is a list of ranges. Each has rules, of which the first that fits a function
decides: by `symbols` (regular expressions that match from the beginning of the demangled name), by `dsos` (regular
expressions that match the whole name of the file), or by both together. A rule with `dsos` alone holds for functions
without names too. `neighbours: true` lets a nameless function be what the named ones around it are, and `regions` say
what is between two names, `after` one and `before` the other, that are not of the same component, by the static
functions of the source files that meet there.

Beside the components, a rule may say `per_stream`: work like taking memory or choosing a server, whose name does not
tell on whose behalf it is done. It is there even in a plain TCP proxy, but once per connection, not once per request.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import PurePosixPath
from typing import Any, Final

from profiler.errors import ProfileError, UsageError
from profiler.files.yaml_text import load_yaml
from profiler.text import one_line
from profiler.vocabulary.components import PROXY_CORE

PER_STREAM: Final = "per_stream"
"""What a proxy does once per stream: a plain TCP proxy per connection, an HTTP proxy per request."""

_COMPONENT: Final = rf"proxy_core|parsing|tls|runtime|{PER_STREAM}|filter:[A-Za-z0-9_.\-]+"
_TEXTS: Final = {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1}
_RULE: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "component": {"type": "string", "pattern": f"^({_COMPONENT})$"},
        "symbols": _TEXTS,
        "dsos": _TEXTS,
    },
    "required": ["component"],
    "anyOf": [{"required": ["symbols"]}, {"required": ["dsos"]}],
    "additionalProperties": False,
}
_NAME: Final = {"type": "string", "minLength": 1}
_REGION: Final = {
    "type": "object",
    "properties": {"component": _RULE["properties"]["component"], "after": _NAME, "before": _NAME},
    "required": ["component", "after", "before"],
    "additionalProperties": False,
}
_SCHEMA: Final = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "properties": {
            "versions": {"type": "string"},
            "neighbours": {"type": "boolean"},
            "regions": {"type": "array", "items": _REGION},
            "rules": {"type": "array", "items": _RULE, "minItems": 1},
        },
        "required": ["versions", "rules"],
        "additionalProperties": False,
    },
}


@dataclass(frozen=True)
class Rule:
    """Functions of one component: whose name begins as one of `symbols`, in a file that is one of `dsos`."""

    component: str
    symbols: tuple[re.Pattern[str], ...] = ()
    dsos: tuple[re.Pattern[str], ...] = ()

    def fits(self, file_name: str, symbol: str | None) -> bool:
        """Whether the rule holds for a function."""
        if self.dsos and not any(pattern.fullmatch(file_name) for pattern in self.dsos):
            return False
        return not self.symbols or (symbol is not None and any(pattern.match(symbol) for pattern in self.symbols))


@dataclass(frozen=True)
class Catalogue:
    """The rules for one range of a proxy's versions; the first that fits decides.

    `neighbours` says whether a nameless function between two named ones of the same component is of it too; `regions`
    are the components of nameless ones between two names that do not agree.
    """

    versions: str
    rules: tuple[Rule, ...]
    neighbours: bool = False
    regions: Mapping[tuple[str | None, str | None], str] = field(default_factory=dict)

    def component_between(self, dso: str, before: str | None, after: str | None) -> str | None:
        """The component of a nameless function by the names of those before and after it; None if they do not tell."""
        if region := self.regions.get((before, after)):
            return region
        around = {self.component(dso, name) for name in (before, after) if name is not None}
        around = {PROXY_CORE if component == PER_STREAM else component for component in around}
        return around.pop() if self.neighbours and len(around) == 1 else None

    def component(self, dso: str, symbol: str | None) -> str | None:
        """The component of a function by its file's path and its name; None if nothing tells."""
        key = PurePosixPath(dso).name, symbol
        if key not in self._known:
            self._known[key] = next((rule.component for rule in self.rules if rule.fits(*key)), None)
        return self._known[key]

    @cached_property
    def _known(self) -> dict[tuple[str, str | None], str | None]:
        return {}


def load_catalogue(proxy: str, version: str) -> Catalogue:
    """The catalogue that is shipped for a version of a proxy.

    Raises:
        UsageError: there is none for this proxy or this version.
        ProfileError: the file is damaged.
    """
    name = f"{proxy}.symbols.yaml"
    file = resources.files("profiler.proxies").joinpath(name)
    if not file.is_file():
        raise UsageError(f"{proxy} has no catalogue of symbols; add profiler/proxies/{name}")
    catalogues = parse_catalogues(file.read_text(encoding="utf-8"), name)
    return for_version(catalogues, version, name)


def for_version(catalogues: Sequence[Catalogue], version: str, origin: str) -> Catalogue:
    """The first catalogue whose range holds a version. Raises UsageError if there is none."""
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion, Version

    number = re.match(
        r"[0-9]{1,9}(\.[0-9]{1,9}){0,5}(?![0-9])", version
    )  # distributions append their own: 2.6.12-1+deb12u4
    try:
        wanted = Version(number[0] if number else version)
    except (InvalidVersion, ValueError) as error:
        raise UsageError(f"{origin}: {one_line(version)!r} is no version; expected one such as 1.22.1") from error
    for catalogue in catalogues:
        if SpecifierSet(catalogue.versions).contains(wanted, prereleases=True):
            return catalogue
    ranges = " or ".join(catalogue.versions for catalogue in catalogues)
    raise UsageError(f"{origin} knows versions {ranges}, not {version}; add a range of versions to it")


def parse_catalogues(text: str, origin: str) -> list[Catalogue]:
    """The catalogues in the text of a file.

    Raises:
        ProfileError: with one line that begins with `origin`, which names the file.
    """
    document = load_yaml(text, origin, ProfileError)
    _check(document, origin)
    return [_catalogue(entry, f"{origin}: $[{index}]") for index, entry in enumerate(document)]


def _check(document: object, origin: str) -> None:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import relevance

    errors = sorted(Draft202012Validator(_SCHEMA).iter_errors(document), key=relevance, reverse=True)
    if errors:
        said = "neither symbols nor dsos" if errors[0].validator == "anyOf" else one_line(errors[0].message)
        raise ProfileError(f"{origin}: {errors[0].json_path}: {said}")


def _catalogue(entry: Mapping[str, Any], where: str) -> Catalogue:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        SpecifierSet(entry["versions"])
    except InvalidSpecifier as error:
        raise ProfileError(f"{where}.versions: {entry['versions']!r} is no range such as '>=1.30,<2'") from error
    rules = (_rule(rule, f"{where}.rules[{index}]") for index, rule in enumerate(entry["rules"]))
    regions = {(region["after"], region["before"]): region["component"] for region in entry.get("regions", ())}
    return Catalogue(entry["versions"], tuple(rules), entry.get("neighbours", False), regions)


def _rule(rule: Mapping[str, Any], where: str) -> Rule:
    return Rule(
        rule["component"],
        tuple(_pattern(text, where) for text in rule.get("symbols", ())),
        tuple(_pattern(text, where) for text in rule.get("dsos", ())),
    )


def _pattern(text: str, where: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ProfileError(f"{where}: {text!r} is no regular expression: {error}") from error
