"""MeshInsight: its Python interface, which is loaded at first use, and the command line with its reports."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from meshinsight.api import load_graph, load_profile, predict

__version__ = "0.1.0"
__all__ = ["__version__", "load_graph", "load_profile", "predict"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("meshinsight.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
