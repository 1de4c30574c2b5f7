"""Python packages that the core does without, and the extra of `pyproject.toml` that installs each of them."""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Final

from profiler.errors import MissingError

REPORT: Final = "report"
CLUSTER: Final = "cluster"
BATCH: Final = "batch"
DASK: Final = "dask"
PANDAS: Final = "pandas"
MEASURE: Final = "measure"
EXPORT: Final = "export"

EXTRAS: Final[Mapping[str, tuple[str, ...]]] = {
    REPORT: ("jinja2", "markupsafe", "matplotlib"),
    CLUSTER: ("cryptography", "jinja2", "kubernetes"),
    BATCH: ("pyarrow", "threadpoolctl"),
    DASK: ("dask", "distributed"),
    PANDAS: ("pandas",),
    MEASURE: (
        "cryptography", "h2", "hdrh", "hpack", "httptools", "jinja2", "jwt", "uvloop",
    ),
    EXPORT: ("hdrh", "pyarrow"),
}  # fmt: skip
"""The modules that an extra's features cannot do without. Envoy may come from elsewhere, and fitting needs no
scikit-learn."""


def lacking(extra: str) -> list[str]:
    """The modules of an extra that cannot be imported here."""
    return [name for name in EXTRAS[extra] if find_spec(name) is None]


def require(extra: str, needed_by: str) -> None:
    """Raises `MissingError`, which names the extra, unless all its modules are there."""
    if found := lacking(extra):
        raise MissingError(_text(needed_by, found, extra))


def missing_text(needed_by: str, module: str | None) -> str | None:
    """The message for a module that could not be imported; None where no extra has it."""
    top = (module or "").partition(".")[0]
    extra = next((extra for extra, modules in EXTRAS.items() if top in modules), None)
    return None if extra is None else _text(needed_by, [top], extra)


def _text(needed_by: str, modules: list[str], extra: str) -> str:
    be = "is" if len(modules) == 1 else "are"
    names = ", ".join(modules)
    return f"{needed_by} needs {names}, which {be} not installed; install with: pip install 'meshinsight[{extra}]'"
