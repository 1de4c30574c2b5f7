"""Whether two environments are of one kind of machine, and of one machine. Pure.

Figures are comparable on machines of one kind: one CPU model, number of CPUs and kernel. A machine is known by the hash
of its id, which documents need not have.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

KIND: Final[Mapping[str, str]] = {"cpu_model": "CPU model", "cpus": "CPUs", "kernel": "kernel"}
"""What makes a kind of machine, with its name in messages. Where one of these differs, so do all figures."""
_ID: Final = "machine_id_hash"


@dataclass(frozen=True, slots=True)
class MachineDifference:
    """Something of `KIND` that differs."""

    field: str
    old: Any
    new: Any

    @property
    def subject(self) -> str:
        """Its name in messages."""
        return KIND[self.field]


def machine_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[MachineDifference]:
    """How two environments differ in their kind of machine; what one does not know is a difference, too."""
    pairs = {field: (old.get(field), new.get(field)) for field in KIND}
    return [MachineDifference(field, *pair) for field, pair in pairs.items() if pair[0] != pair[1]]


def is_another_machine(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two environments are known to be of different machines, which may be of one kind."""
    ids = one.get(_ID), other.get(_ID)
    return None not in ids and ids[0] != ids[1]
