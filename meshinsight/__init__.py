"""MeshInsight: its Python interface, which is loaded at first use, and the command line with its reports."""

# Nothing is imported here: with `python -m meshinsight` this runs while the working directory is still searched.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from meshinsight.api import load_graph, load_profile, predict

__version__ = "0.1.0"
__all__ = ["__version__", "load_graph", "load_profile", "predict"]


def __getattr__(name: str) -> object:
    if name in __all__:
        from meshinsight import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
