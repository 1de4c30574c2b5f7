"""`python -m meshinsight` is the command `meshinsight`."""

import sys
from pathlib import Path

if not sys.flags.safe_path and sys.path[:1] != [str(Path(__file__).absolute().parents[1])]:
    # `python -m` searches the working directory first: whatever lies there must not be imported, by root above all.
    del sys.path[0]

from meshinsight.cli import main

main()
