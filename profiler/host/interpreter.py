"""How a module of ours is started as a separate program, as root too: nothing of the working directory is imported."""

import sys
from pathlib import Path
from typing import Final

PYTHON: Final = sys.executable
"""The program of this interpreter, for commands that are shown. Modules are started by `module_command`."""

_RUN_MODULE: Final = Path(__file__).resolve().with_name("run_module.py")


def module_command(module: str, *arguments: str) -> list[str]:
    """The argument list that runs `module` of this very installation in an isolated interpreter.

    `python -m` would put the working directory first on the module search path, so that any folder with a
    `profiler/` or `json.py` in it would run its code, as root.
    """
    return [sys.executable, "-I", str(_RUN_MODULE), module, *arguments]
