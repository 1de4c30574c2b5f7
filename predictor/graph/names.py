"""Names that a graph can hold and every output can show. Pure."""

from typing import Final

from predictor.graph.types import INGRESS
from profiler.text import printable

LONGEST: Final = 200


def is_printable(name: str) -> bool:
    """Whether a name has no control characters, line breaks, direction marks or halves of characters."""
    return name.isprintable()


def graph_name(text: str) -> str:
    """The name of a service for any text: one printable line without `->`, at most LONGEST characters, not `ingress`.

    Empty where nothing of the text can be printed.
    """
    name = " ".join(printable(text[: 8 * LONGEST]).replace("->", "-").split())[:LONGEST].strip()
    return f"{name}-service" if name == INGRESS else name
