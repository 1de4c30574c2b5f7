"""The machine a result is from, as results in Markdown name it."""

from collections.abc import Mapping
from typing import Any


def machine_text(environment: Mapping[str, Any]) -> str:
    """CPUs, their model, virtualisation and kernel, of what `describe_environment` found."""
    return (
        f"{environment['cpus']} CPUs ({environment['cpu_model']}, {environment['virtualisation']}), "
        f"Linux {environment['kernel']}"
    )
