"""Options in groups: a parameter that is a dataclass stands for one option per field."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the signature that Typer reads: options instead of the dataclasses that hold them.

    Each field of such a dataclass is annotated as an option of a command is, and has a default.
    """
    parameters = inspect.signature(command).parameters
    groups: dict[str, Any] = {
        name: entry.annotation for name, entry in parameters.items() if is_dataclass(entry.annotation)
    }

    @functools.wraps(command)
    def called(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in fields(group)})
        command(**given)

    options = [option for entry in parameters.values() for option in _options(entry)]
    called.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    return called


def _options(parameter: inspect.Parameter) -> list[inspect.Parameter]:
    kind = inspect.Parameter.KEYWORD_ONLY
    if not is_dataclass(parameter.annotation):
        return [parameter.replace(kind=kind)]
    return [
        inspect.Parameter(field.name, kind, default=field.default, annotation=field.type)
        for field in fields(parameter.annotation)
    ]
