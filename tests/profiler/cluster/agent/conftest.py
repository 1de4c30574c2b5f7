"""Proxies check their configurations as their own user, who may not pass through to pytest's folders."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.profiler.passable import passable_folder


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with passable_folder() as folder:
        yield folder
