"""A variant: one of several proxies, filters or configurations that a run compares under equal conditions. Pure."""

import re
from dataclasses import dataclass
from typing import Final

_FOREIGN: Final = re.compile(r"[^A-Za-z0-9_.+-]")
_LONGEST: Final = 40
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,63}")


WITHOUT: Final = "none"
"""The name of the variant that has nothing instead of what is usual."""


@dataclass(frozen=True)
class Variant:
    """What a hop has instead of what is usual.

    `name` is empty where a run has one variant only, so that its cells are called as those of other runs. `binary` is
    the path of a proxy's program, `version` the one that is fetched where it is not given; `filter_file` the path of a
    filter of the user's that is last in each chain; `bootstrap` that of a complete configuration.
    """

    name: str = ""
    binary: str = ""
    version: str = ""
    filter_file: str = ""
    bootstrap: str = ""

    @property
    def of_hops(self) -> "Variant":
        """The variant of the hops that are measured for it: the usual one for `none`, so that rungs can be shared."""
        return USUAL if self == Variant(WITHOUT) else self

    @property
    def own_program(self) -> bool:
        """Whether its proxies run another program than the installed one."""
        return bool(self.binary or self.version)

    @property
    def program_option(self) -> str:
        """The option that its program came from, for messages."""
        return f"--proxy-version {self.version}" if self.version else f"--proxy-binary {self.binary}"


USUAL: Final = Variant()


def variant_name(text: str) -> str:
    """The text as a part of cell ids."""
    return _FOREIGN.sub("_", text)[:_LONGEST].lstrip(".+-") or "variant"


def is_name(text: str) -> bool:
    """Whether the text can be a part of cell ids as it is."""
    return _NAME.fullmatch(text) is not None


def distinct_names(names: list[str]) -> list[str]:
    """The names, the second of a kind with `.2` at its end, and so on."""
    found: list[str] = []
    for name in names:
        number, candidate = 1, name
        while candidate in found:
            number += 1
            candidate = f"{name}.{number}"
        found.append(candidate)
    return found


def family_id(cell_id: str, variant: str) -> str:
    """What the ids of cells have in common that differ only in their variant."""
    return cell_id.replace(f"@{variant}", "", 1) if variant else cell_id
