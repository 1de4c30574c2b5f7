"""Runs one of our modules by its absolute place: the program of `profiler.host.interpreter.module_command`.

Started as a file in isolated mode, so neither the working directory, PYTHONPATH nor the user's site-packages are
searched. The packages are taken from where this file lies, whatever else is installed.
"""

import runpy
import sys
from pathlib import Path


def main() -> None:
    """Run the module named by the first argument with the others as its own."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    module, *sys.argv[1:] = sys.argv[1:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
