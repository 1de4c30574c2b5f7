"""What containers are given: arguments, environment, ConfigMaps and Secrets, mounted files. Pure."""

import base64
import binascii
import re
from collections import ChainMap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from predictor.importers.manifests.objects import Body, Object, Objects, listing, mapping, mappings, text_of, texts
from predictor.importers.manifests.workloads import Workload

LONGEST: Final = 2**20
"""Characters of one setting that are looked at: as much as a ConfigMap holds."""

_LONGEST_EXPANDED: Final = 2**16
_LONGEST_VALUE: Final = 2**10
_VARIABLE: Final = re.compile(r"\$\((\w{1,200})\)|\$\{(\w{1,200})\}|\$(\w{1,200})")


@dataclass(frozen=True, slots=True)
class Setting:
    """One text. `key` is the variable or flag that it is for; `is_file`, `is_secret`: where it comes from."""

    key: str
    text: str
    is_file: bool = False
    is_secret: bool = False


@dataclass(slots=True)
class SettingsReader:
    """Reads the settings of workloads; `missing` are ConfigMaps and Secrets that they name and the files lack."""

    objects: Objects
    missing: dict[tuple[str, str, str], str]

    def of(self, workload: Workload, variables: dict[str, str]) -> Iterator[tuple[list[Setting], Mapping[str, str]]]:
        """The settings of each container with its environment, variables replaced, and then the mounted files."""
        for container in workload.containers():
            environment: ChainMap[str, str] = ChainMap({}, variables)
            settings: list[Setting] = []
            for setting in self._environment(container, workload):
                text = expanded(setting.text, environment)
                environment[setting.key] = text
                settings.append(Setting(setting.key, text, is_secret=setting.is_secret))
            settings += _arguments(container, environment)
            yield settings, environment
        files = list(self._files(workload))
        if files:
            yield files, {}

    def _environment(self, container: Body, workload: Workload) -> Iterator[Setting]:
        for source in mappings(container, "envFrom"):
            prefix = text_of(source, "prefix")
            for kind, reference in _references(source):
                for key, text in self._values(kind, reference, workload).items():
                    yield Setting(prefix + key, text, is_secret=kind == "Secret")
        for entry in mappings(container, "env"):
            name, value = text_of(entry, "name"), text_of(entry, "value")
            if value:
                yield Setting(name, value[:LONGEST])
            for kind, reference in _references(mapping(entry, "valueFrom")):
                values = self._values(kind, reference, workload)
                if text := values.get(text_of(reference, "key"), ""):
                    yield Setting(name, text, is_secret=kind == "Secret")

    def _files(self, workload: Workload) -> Iterator[Setting]:
        for volume in mappings(workload.pod, "volumes"):
            for source in (volume, *mappings(mapping(volume, "projected"), "sources")):
                for kind, field in (("ConfigMap", "configMap"), ("Secret", "secret")):
                    reference = mapping(source, field)
                    if reference:
                        for key, text in self._values(kind, reference, workload).items():
                            yield Setting(key, text, is_file=True, is_secret=kind == "Secret")

    def _values(self, kind: str, reference: Body, workload: Workload) -> dict[str, str]:
        name = text_of(reference, "name") or text_of(reference, "secretName")
        found = self.objects.found.get(("", kind, workload.namespace, name))
        if found is None:
            if name and reference.get("optional") is not True:
                self.missing.setdefault((kind, workload.namespace, name), workload.name)
            return {}
        return _data(found)


def _references(source: Body) -> Iterator[tuple[str, Body]]:
    for kind, fields in (("ConfigMap", ("configMapRef", "configMapKeyRef")), ("Secret", ("secretRef", "secretKeyRef"))):
        for field in fields:
            if reference := mapping(source, field):
                yield kind, reference


def _data(item: Object) -> dict[str, str]:
    """The texts in a ConfigMap or Secret; a Secret's `data` is base64."""
    if item.kind == "ConfigMap":
        return {key: text[:LONGEST] for key, text in texts(mapping(item.body, "data")).items()}
    found = {key: _decoded(text) for key, text in texts(mapping(item.body, "data")).items()}
    return found | {key: text[:LONGEST] for key, text in texts(mapping(item.body, "stringData")).items()}


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text[: 2 * LONGEST], validate=True).decode("utf-8")[:LONGEST]
    except (binascii.Error, ValueError):
        return ""


def _arguments(container: Body, environment: Mapping[str, str]) -> Iterator[Setting]:
    """Command and arguments; `--host=x` and `--host x` are for `--host`."""
    before = ""
    for given in (*listing(container, "command"), *listing(container, "args")):
        if not isinstance(given, str):
            before = ""
            continue
        text = expanded(given[:LONGEST], environment)
        flag, equals, value = text.partition("=")
        is_flag = text.startswith("-")
        yield Setting(flag, value) if is_flag and equals else Setting(before, text)
        before = text if is_flag and not equals else ""


def expanded(text: str, environment: Mapping[str, str]) -> str:
    """Text with `$(NAME)`, `${NAME}` and `$NAME` replaced where the environment has them.

    Long texts and long values stay as they are: no address needs them, and replacing could multiply them.
    """
    if "$" not in text or len(text) > _LONGEST_EXPANDED:
        return text

    def value(found: re.Match[str]) -> str:
        known = environment.get(found[1] or found[2] or found[3], found[0])
        return known if len(known) <= _LONGEST_VALUE else found[0]

    return _VARIABLE.sub(value, text)
