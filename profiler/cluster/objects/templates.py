"""The templates of `manifests/run/`, filled in and read as objects."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from profiler.files.yaml_text import parse_documents

if TYPE_CHECKING:
    from jinja2 import Environment

_FOLDER: Final = "manifests"
_EXPONENT: Final = re.compile(r"\d+e\d+", re.IGNORECASE)


def manifests_folder() -> Path:
    """`manifests/`: inside the package once it is installed, beside it in a checkout."""
    packaged = Path(str(resources.files("profiler.cluster").joinpath(_FOLDER)))
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / _FOLDER


def objects_from(template: str, **values: Any) -> list[dict[str, Any]]:
    """The objects of a template. A value that it asks for and is not given is an error.

    Raises:
        UsageError: a value, of a mesh's file say, makes of the template what is no YAML.
    """
    text = _environment().get_template(template).render(values)
    return [found.value for found in parse_documents(text, f"manifests/run/{template}, filled in") if found.value]


def as_yaml(objects: Iterable[dict[str, Any]]) -> str:
    """Objects as a YAML stream that `kubectl apply -f -` takes."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Quotes what YAML 1.2, unlike PyYAML, takes for a number: `1234e567`."""

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        style = "'" if _EXPONENT.fullmatch(value) else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    return yaml.dump_all(objects, Dumper=Dumper, sort_keys=False, explicit_start=True, width=120)


def timestamp(unix_s: int) -> str:
    """A time as Kubernetes writes it."""
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(manifests_folder() / "run"),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - no HTML; what is not a name is written as JSON
        trim_blocks=True,
        lstrip_blocks=True,
    )
