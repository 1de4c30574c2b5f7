"""What every result in Markdown has, so that `summary.py` finds it: the machine, and the result in short."""

from collections.abc import Mapping
from typing import Any, Final

MACHINE: Final = "Machine: "
"""How the line begins that names the machine."""
IN_SHORT: Final = "In short: "
"""How the paragraph begins that has the result in at most three sentences."""
PUBLISHED: Final = "Published: "
"""How the paragraph begins that compares the result with a published statement."""


def machine_text(environment: Mapping[str, Any]) -> str:
    """CPUs, their model, virtualisation and kernel, of what `describe_environment` found."""
    return (
        f"{environment['cpus']} CPUs ({environment['cpu_model']}, {environment['virtualisation']}), "
        f"Linux {environment['kernel']}"
    )


def published_text(finding: Mapping[str, Any]) -> str:
    """A published statement with its source, and whether it holds on this machine."""
    return f"{PUBLISHED}*{finding['published']}* ({finding['source']}). **Holds here: {finding['holds']}.**"
