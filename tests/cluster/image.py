"""MeshInsight's image, built of Debian's packages, PyPI and this checkout: no registry is asked. Needs root.

    python -m tests.cluster.image build [--tag meshinsight:test] --out FILE.tar

FILE.tar is a Docker archive for `local_cluster image import`, `podman load` or `docker load`. What was built is kept
in a cache, by a checksum of all that goes into it; remove that folder to get newer packages.
"""

import argparse
import hashlib
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Final

from meshinsight import __version__
from profiler.errors import MeshInsightError, ProcessError, UsageError
from profiler.host.programs import find_program
from tests.cluster.binaries import cache_root, install_packages

ROOT: Final = Path(__file__).parents[2]
TAG: Final = "localhost/meshinsight:test"
SOURCES: Final = (
    "LICENSE",
    "README.md",
    "manifests",
    "meshinsight",
    "predictor",
    "profiler",
    "pyproject.toml",
    "uv.lock",
)
"""What .containerignore lets through."""
RECIPE: Final = ("Containerfile", ".containerignore")

_SUITE: Final = "bookworm"
_BASE_OPTIONS: Final = (
    "--mode=root",
    "--variant=minbase",
    "--skip=output/dev",
    "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
    "--include=usr-is-merged",
    *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "info", "locale", "man")),
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
)
_BASE_CONTAINERFILE: Final = 'FROM scratch\nADD base.tar /\nCMD ["/bin/sh"]\n'
_BASE_TAR: Final = "base.tar"
KEPT_STAGES: Final = ("builder", "requirements", "headers", "compiler", "packages", "algebra", "environment")
"""Stages that change seldom: they get names, so that they outlive the removal of what has none."""
_SETTINGS: Final = """[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
"""
_LIMIT_S: Final = 3600.0
_KILL_WAIT_S: Final = 10.0


@dataclass(frozen=True)
class Cache:
    """The folder with everything that was built."""

    root: Path

    @property
    def log(self) -> Path:
        """What the tools said in the last build."""
        return self.root / "build.log"

    @property
    def settings(self) -> Path:
        """The configuration that buildah reads in place of the machine's."""
        return self.root / "containers.conf"

    def archive(self, checksum: str) -> Path:
        """The image with that checksum."""
        return self.root / f"{checksum}.tar"


def build(tag: str, out: Path) -> bool:
    """Write the image to `out`; returns whether it had to be built.

    Raises:
        UsageError: no root, or `out` cannot be written.
        MissingError: a program to build it with is missing.
        ProcessError: the build failed; names its log.
    """
    if os.geteuid() != 0:
        raise UsageError("building the image needs root; run it with sudo, or use `podman build` with a registry")
    cache = Cache(cache_root() / "image")
    cache.root.mkdir(exist_ok=True)
    # One copy is hashed and built: the checkout may change meanwhile.
    with _lock(cache.root), tempfile.TemporaryDirectory(prefix="meshinsight-") as scratch:
        context = Path(scratch) / "context"
        copy_context(ROOT, context)
        archive = cache.archive(checksum(context, tag))
        new = not archive.exists()
        if new:
            _build(cache, context, tag, archive)
        _place(archive, out)
    return new


def copy_context(checkout: Path, context: Path) -> None:
    """Copy what the image is made of."""
    context.mkdir()
    for name in (*RECIPE, *SOURCES):
        source = checkout / name
        if source.is_dir():
            shutil.copytree(source, context / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, context / name)


def checksum(context: Path, tag: str) -> str:
    """Of all that goes into the image: files by path, mode and contents, and how its base is made."""
    digest = hashlib.sha256(json.dumps([tag, _base_name(), _SETTINGS, os.uname().machine]).encode())
    for path in sorted(path for path in context.rglob("*") if path.is_file()):
        contents = hashlib.sha256(path.read_bytes()).hexdigest()
        executable = bool(path.stat().st_mode & 0o100)
        digest.update(json.dumps([str(path.relative_to(context)), executable, contents]).encode())
    return digest.hexdigest()[:16]


def _build(cache: Cache, context: Path, tag: str, archive: Path) -> None:
    install_packages()
    cache.log.unlink(missing_ok=True)
    cache.settings.write_text(_SETTINGS)
    base = _base_name()
    if not _run(cache, *_buildah(cache), "images", "--quiet", "--filter", f"reference={base}"):
        _say(f"making a base of Debian {_SUITE}; takes minutes, once")
        _build_base(cache, base)
    _say("building; takes minutes when requirements have changed, else seconds")
    options = ["--pull-never", "--build-arg", f"BASE={base}"]
    if authorities := ssl.get_default_verify_paths().cafile:
        options += ["--secret", f"id=certificates,src={authorities}"]
    for stage in KEPT_STAGES:
        _run(cache, *_bud(cache), *options, "--target", stage, "--tag", f"{base}-{stage}", str(context))
    _run(cache, *_bud(cache), *options, "--build-arg", f"VERSION={__version__}", "--tag", tag, str(context))
    for old in cache.root.glob("*.tar"):
        old.unlink()
    unfinished = archive.with_suffix(".part")
    unfinished.unlink(missing_ok=True)
    _run(cache, *_buildah(cache), "push", "--quiet", tag, f"docker-archive:{unfinished}:{tag}")
    unfinished.rename(archive)
    _run(cache, *_buildah(cache), "rm", "--all")  # of a build that was broken off: they hold their images
    _run(cache, *_buildah(cache), "rmi", "--prune")


def _base_name() -> str:
    recipe = json.dumps([_SUITE, _BASE_OPTIONS, _BASE_CONTAINERFILE])
    return f"localhost/meshinsight-base/{_SUITE}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def _build_base(cache: Cache, name: str) -> None:
    with tempfile.TemporaryDirectory(prefix="meshinsight-") as scratch:
        folder = Path(scratch)
        (folder / "Containerfile").write_text(_BASE_CONTAINERFILE)
        _run(cache, "mmdebstrap", *_BASE_OPTIONS, _SUITE, str(folder / _BASE_TAR))
        _run(cache, *_bud(cache), "--tag", name, str(folder))


def _buildah(cache: Cache) -> list[str]:
    return ["buildah", "--root", str(cache.root / "storage"), "--runroot", str(cache.root / "run")]


def _bud(cache: Cache) -> list[str]:
    return [*_buildah(cache), "build", "--isolation", "chroot", "--layers"]


def _run(cache: Cache, program: str, *arguments: str) -> str:
    """Run a tool to its end and return its standard output; with this process everything that it started ends."""
    command = ["setpriv", "--pdeathsig", "TERM", find_program(program), *arguments]
    environment = os.environ | {"CONTAINERS_CONF": str(cache.settings)}
    with cache.log.open("a") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment,
            start_new_session=True,
        )
        try:
            printed, _ = process.communicate(timeout=_LIMIT_S)
        except BaseException as error:
            _end(process)
            if isinstance(error, subprocess.TimeoutExpired):
                raise ProcessError(f"{program} did not end within {_LIMIT_S:g} s; see {cache.log}") from error
            raise
    if process.returncode != 0:
        said = [line for line in cache.log.read_text(errors="replace").splitlines() if line.strip()] or ["no message"]
        raise ProcessError(f"{program} failed: {said[-1]}; see {cache.log}")
    return printed


def _end(process: subprocess.Popen[str]) -> None:
    """Interrupted, the tools take their mounts away; what does not end is killed."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_KILL_WAIT_S)
            return


@contextmanager
def _lock(folder: Path) -> Generator[None]:
    """Let one process at a time build; the lock ends with its holder, however that ends."""
    opened = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        flock(opened, LOCK_EX)
        yield
    finally:
        os.close(opened)


def _place(archive: Path, out: Path) -> None:
    """Put the archive at `out`: a link where both are on one file system, else a copy."""
    beside = out.with_name(f"{out.name}.part")
    try:
        beside.unlink(missing_ok=True)
        try:
            os.link(archive, beside)
        except OSError:
            shutil.copyfile(archive, beside)
        beside.rename(out)
    except OSError as error:
        raise UsageError(f"--out {out}: cannot be written: {error.strerror or error}") from error


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; the exit status is the project's (0, 1 failed, 2 wrong request)."""
    parser = argparse.ArgumentParser(prog="image", description="MeshInsight's image, built without a registry.")
    building = parser.add_subparsers(dest="command", required=True).add_parser("build", help="write it to a file")
    building.add_argument("--tag", default=TAG, help=f"its name ({TAG}); without a host it is localhost's")
    building.add_argument("--out", type=Path, required=True, help="the archive to write")
    arguments = parser.parse_args(argv)
    try:
        new = build(full_name(arguments.tag), arguments.out)
    except MeshInsightError as error:
        sys.stderr.write(f"image: {error}\n")
        return error.exit_code
    size_mb = arguments.out.stat().st_size / 1e6
    how = "built" if new else "as built before"
    sys.stdout.write(f"{full_name(arguments.tag)}: {arguments.out}, {size_mb:.0f} MB, {how}\n")
    return 0


def full_name(tag: str) -> str:
    """The name as pods have to give it: with localhost where no other host is named, and with a version. Pure."""
    host, slash, _ = tag.partition("/")
    named = slash and (host == "localhost" or "." in host or ":" in host)
    name = tag if named else f"localhost/{tag}"
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def _say(text: str) -> None:
    sys.stderr.write(f"image: {text}\n")


if __name__ == "__main__":
    sys.exit(main())
