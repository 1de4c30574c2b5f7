"""The variants that lists of programs, versions, filters and configurations make: every combination is one."""

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Protocol

from profiler.errors import UsageError
from profiler.vocabulary.variant import WITHOUT, Variant, distinct_names, variant_name


class Given(Protocol):
    """The options as they were given, None where they were not."""

    @property
    def proxy_binary(self) -> str | None: ...

    @property
    def proxy_version(self) -> str | None: ...

    @property
    def filter_file(self) -> list[str] | None: ...

    @property
    def proxy_config(self) -> str | None: ...


Part = tuple[str, dict[str, str]]
"""The name of a value, and the fields of a variant that it gives."""


def variants_of(given: Given) -> tuple[Variant, ...]:
    """The variants, the first of which the others are compared with; one program alone is a variant without a name.

    Raises UsageError for an empty part of a list, and for two lists of filters.
    """
    programs = [(version, {"version": version}) for version in _parts("--proxy-version", given.proxy_version)]
    programs += [_program(text) for text in _parts("--proxy-binary", given.proxy_binary)]
    lists = [text for text in given.filter_file or () if "," in text]
    if len(lists) > 1:
        raise UsageError("--filter-file: two lists; give one list, whose files are compared")
    filters = [_filter(text) for text in _parts("--filter-file", lists[0] if lists else None)]
    listed = given.proxy_config if given.proxy_config and "," in given.proxy_config else None
    configs = [_bootstrap(text) for text in _parts("--proxy-config", listed)]
    dimensions = [part for part in (programs, filters, configs) if part]
    if not dimensions:
        return ()
    combinations = list(product(*dimensions))
    fields = [{key: value for _, values in parts for key, value in values.items()} for parts in combinations]
    if len(combinations) == 1:
        return (Variant(**fields[0]),)
    varied = [index for index, part in enumerate(dimensions) if len(part) > 1]
    names = [variant_name("+".join(parts[index][0] for index in varied)) for parts in combinations]
    named = zip(distinct_names(names), fields, strict=True)
    return tuple(replace(Variant(**values), name=name) for name, values in named)


def _parts(option: str, text: str | None) -> list[str]:
    if text is None:
        return []
    found = [part.strip() for part in text.split(",")]
    if not all(found):
        raise UsageError(f"{option} {text}: a part of the list is empty; leave it out")
    return found


def _program(text: str) -> Part:
    return Path(text).name, {"binary": str(Path(text).resolve())}


def _filter(text: str) -> Part:
    return (WITHOUT, {}) if text == WITHOUT else (Path(text).stem, {"filter_file": str(Path(text).resolve())})


def _bootstrap(text: str) -> Part:
    return Path(text).stem, {"bootstrap": str(Path(text).resolve())}
