"""`submit --bytes N`: hand the task on standard input to the `measure` or `look` that waits in the same container.

Not as an argument, of which Linux takes 128 KiB at most. The input stays open, so its length is said before.
"""

import argparse
import sys
from collections.abc import Sequence

from profiler.cluster.agent.task_file import FOLDER, TASK
from profiler.errors import MeshInsightError
from profiler.files.writing import PRIVATE, write_whole


def main(arguments: Sequence[str]) -> None:
    """Raises MeshInsightError when the input ends early, or cannot be written."""
    parser = argparse.ArgumentParser(prog="submit")
    parser.add_argument("--bytes", type=int, required=True, dest="size")
    size = parser.parse_args(arguments).size
    text = sys.stdin.buffer.read(size)
    if len(text) != size:
        raise MeshInsightError(f"the task ended after {len(text)} of {size} bytes; the connection broke")
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_whole(TASK, text, PRIVATE)
