"""A profile as JSON: the document as it is, indented."""

import json
from collections.abc import Mapping
from typing import Any, TextIO


def write(document: Mapping[str, Any], stream: TextIO) -> None:
    """Write the document, in ASCII with escapes, so that any locale and any pipe carries it unharmed."""
    json.dump(document, stream, indent=2, allow_nan=False)
    stream.write("\n")
