"""The cluster's programs: Kubernetes and etcd built from their Go modules once, the rest from the distribution.

The Kubernetes module cannot be built as a dependency as it stands: its staging modules are replaced by folders of its
own repository. A wrapper module replaces them by their published versions (v0.N for v1.N).
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from profiler.errors import MissingError, ProcessError
from profiler.files.cache_folder import cache_folder

KUBERNETES: Final = "1.35.4"
"""The newest minor version that still takes cgroup v1 (`failCgroupV1: false`) and a containerd before 2.0."""

COMMANDS: Final = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl")
CACHE_VARIABLE: Final = "MESHINSIGHT_CACHE"

PACKAGES: Final = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "catatonit": "catatonit",
    "busybox": "busybox-static",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "buildah": "buildah",
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
}
"""Program → Debian package that has it."""

_KUBERNETES: Final = "k8s.io/kubernetes"
_VERSION_PACKAGE: Final = "k8s.io/component-base/version"
_GO_HOME: Final = "/usr/local/go/bin"  # where Go's own archive is to be unpacked
_SCRATCH: Final = "build-"
_BUILD_LIMIT_S: Final = 3600.0
_ETCD: Final = """package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
"""


@dataclass(frozen=True)
class Binaries:
    """Folder with the programs that were built here."""

    folder: Path

    def __getitem__(self, name: str) -> str:
        return str(self.folder / name)


def cache_root() -> Path:
    """Folder outside the checkout for what is worth keeping between clusters; made when missing."""
    base = os.environ.get(CACHE_VARIABLE)
    if not base:
        return cache_folder("cluster")
    root = Path(base) / "cluster"
    root.mkdir(parents=True, exist_ok=True)
    return root


def install_packages() -> None:
    """Install the Debian packages whose programs are missing.

    Raises:
        MissingError: this is no Debian-like system, or apt-get failed; the message names the packages.
    """
    missing = sorted({package for program, package in PACKAGES.items() if shutil.which(program) is None})
    if not missing:
        return
    names = " ".join(missing)
    if shutil.which("apt-get") is None:
        raise MissingError(f"programs of these Debian packages are missing: {names}; install them")
    _say(f"installing Debian packages: {names}")
    # RUNLEVEL keeps Debian's containerd from being started as a service.
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", *missing]):
        done = subprocess.run(["apt-get", *command], env=env, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise MissingError(f"apt-get could not install {names}: {_last_line(done.stderr)}")


def built_binaries() -> Binaries:
    """The programs of this version, built now unless they are cached (minutes, and some GB of Go's own caches).

    Raises:
        MissingError: there is no Go.
        ProcessError: the build failed; the message has its last line.
    """
    return Binaries(cached(f"Kubernetes {KUBERNETES}", (KUBERNETES, *COMMANDS, _ETCD), _build))


def cached(what: str, recipe: Sequence[str], build: Callable[[Path], None]) -> Path:
    """Folder with what `build` puts into `bin` of the folder that it is given; built unless it is cached.

    Args:
        what: name and version; the folder is named after it.
        recipe: all that the result depends on, besides the machine's architecture.
        build: raises MissingError and ProcessError, as this does.
    """
    checksum = hashlib.sha256("\n".join((*recipe, os.uname().machine)).encode()).hexdigest()[:12]
    folder = cache_root() / f"{what.lower().replace(' ', '-')}-{checksum}"
    if not folder.is_dir():
        _say(f"building {what} into {folder}; takes minutes, once")
        for stale in cache_root().glob(f"{_SCRATCH}*"):  # of a build that was killed
            shutil.rmtree(stale)
        with tempfile.TemporaryDirectory(dir=cache_root(), prefix=_SCRATCH) as scratch:
            (Path(scratch) / "bin").mkdir()
            build(Path(scratch))
            (Path(scratch) / "bin").rename(folder)
    return folder


def _build(scratch: Path) -> None:
    wrapper = scratch / "wrapper"
    (wrapper / "etcd").mkdir(parents=True)
    (wrapper / "etcd" / "main.go").write_text(_ETCD)
    (wrapper / "go.mod").write_text("module wrapper\n")
    _, upstream = go_module(wrapper, f"{_KUBERNETES}@v{KUBERNETES}")
    (wrapper / "go.mod").write_text(_wrapper_module(upstream))
    major, minor, _ = KUBERNETES.split(".")
    stamps = {"gitVersion": f"v{KUBERNETES}", "gitMajor": major, "gitMinor": minor}
    flags = " ".join(["-s", "-w", *(f"-X {_VERSION_PACKAGE}.{name}={value}" for name, value in stamps.items())])
    packages = [f"{_KUBERNETES}/cmd/{command}" for command in COMMANDS]
    run_go(
        wrapper, "build", "-mod=mod", "-trimpath", "-ldflags", flags, "-o", str(scratch / "bin"), *packages, "./etcd"
    )


def _wrapper_module(upstream: dict[str, object]) -> str:
    """go.mod of the wrapper, from the one of Kubernetes as `go mod edit -json` gives it."""
    replacements = upstream["Replace"]
    assert isinstance(replacements, list)
    staging = [entry["Old"]["Path"] for entry in replacements if entry["New"]["Path"].startswith("./staging/")]
    version = "v0." + KUBERNETES.partition(".")[2]
    lines = [f"\t{module} => {module} {version}" for module in staging]
    return "\n".join(
        [
            "module wrapper",
            f"go {upstream['Go']}",
            f"require {_KUBERNETES} v{KUBERNETES}",
            "replace (",
            *lines,
            ")\n",
        ]
    )


def go_module(folder: Path, module: str) -> tuple[Path, dict[str, Any]]:
    """Download `NAME@VERSION`: its sources, and its go.mod as values. Raises MissingError and ProcessError."""
    downloaded = json.loads(run_go(folder, "mod", "download", "-json", module))
    return Path(downloaded["Dir"]), json.loads(run_go(folder, "mod", "edit", "-json", downloaded["GoMod"]))


def run_go(folder: Path, *arguments: str) -> str:
    """Run Go in the folder of a module and return its standard output. Raises MissingError and ProcessError."""
    program = shutil.which("go", path=os.pathsep.join([os.environ.get("PATH", os.defpath), _GO_HOME]))
    if program is None:
        raise MissingError("there is no Go to build the cluster's programs with; install it and put it on PATH")
    env = os.environ | {"CGO_ENABLED": "0", "GOWORK": "off"}
    try:
        done = subprocess.run(
            ["setpriv", "--pdeathsig", "KILL", program, *arguments],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_BUILD_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ProcessError(f"`go {arguments[0]}` in {folder} did not end within {_BUILD_LIMIT_S:g} s") from error
    if done.returncode != 0:
        raise ProcessError(f"`go {' '.join(arguments)}` failed: {_last_line(done.stderr)}")
    return done.stdout


def _last_line(text: str) -> str:
    lines: Sequence[str] = text.strip().splitlines()
    return lines[-1] if lines else "no message"


def _say(text: str) -> None:
    sys.stderr.write(f"cluster: {text}\n")
