"""A folder of each test's own that the proxy's user may pass through to, which pytest's it may not."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def passable_folder() -> Iterator[Path]:
    """Removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="meshinsight-test-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
