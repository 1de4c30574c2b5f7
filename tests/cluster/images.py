"""Container images made of a few local files, as OCI archives: no registry and no image builder is asked."""

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from profiler.errors import MissingError
from profiler.host.programs import find_program, run_tool

PAUSE: Final = "localhost/meshinsight-test/pause:1"
BUSYBOX: Final = "localhost/meshinsight-test/busybox:1"

_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_MEDIA: Final = "application/vnd.oci.image"


@dataclass(frozen=True)
class Image:
    """An image of one layer.

    Attributes: `files` are path inside → file of this machine, `links` path inside → target, `folders` empty folders
    that anyone may write to.
    """

    name: str
    command: Sequence[str]
    files: Mapping[str, Path]
    links: Mapping[str, str] = field(default_factory=dict)
    folders: Sequence[str] = ()
    user: str = "0"


def pause_image() -> Image:
    """What holds a pod's namespaces and reaps its orphans. Raises MissingError when catatonit is not installed."""
    return Image(PAUSE, ["/catatonit", "-P"], {"catatonit": Path(find_program("catatonit"))}, user="65535:65535")


def busybox_image() -> Image:
    """A static busybox with all its applets in /bin. Raises MissingError when there is none, or none that is static."""
    program = find_program("busybox")
    applets = run_tool([program, "--list"]).split()
    if "httpd" not in applets or b"/ld-linux" in Path(program).read_bytes()[:4096]:
        raise MissingError(f"{program} is not the static busybox that test images need; install busybox-static")
    links = {f"bin/{applet}": "/bin/busybox" for applet in applets if applet != "busybox"}
    return Image(BUSYBOX, ["/bin/sh"], {"bin/busybox": Path(program)}, links, folders=("tmp", "run", "etc", "root"))


def write_archive(image: Image, path: Path) -> None:
    """Write the image as an OCI archive that `ctr image import` and `podman load` take."""
    layer = _layer(image)
    blobs: dict[str, bytes] = {}

    def blob(kind: str, data: bytes) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = data
        return {"mediaType": f"{_MEDIA}.{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    platform = {"architecture": _ARCHITECTURES.get(os.uname().machine, os.uname().machine), "os": "linux"}
    config = {
        **platform,
        "config": {"Entrypoint": list(image.command), "User": image.user, "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{_MEDIA}.manifest.v1+json",
        "config": blob("config.v1+json", json.dumps(config).encode()),
        "layers": [blob("layer.v1.tar+gzip", gzip.compress(layer, compresslevel=1, mtime=0))],
    }
    annotations = {"io.containerd.image.name": image.name, "org.opencontainers.image.ref.name": image.name}
    described = blob("manifest.v1+json", json.dumps(manifest).encode())
    index = {"schemaVersion": 2, "manifests": [described | {"platform": platform, "annotations": annotations}]}
    with tarfile.open(path, "w") as archive:
        _add(archive, "oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}).encode())
        _add(archive, "index.json", json.dumps(index).encode())
        for name, data in blobs.items():
            _add(archive, name, data)


def _layer(image: Image) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as layer:
        parents = {str(parent) for name in (*image.files, *image.links) for parent in Path(name).parents} - {"."}
        for name in sorted(parents | set(image.folders)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name in image.folders else 0o755
            layer.addfile(entry)
        for name, source in image.files.items():
            _add(layer, name, source.read_bytes(), mode=0o755)
        for name, target in image.links.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            layer.addfile(entry)
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, name: str, data: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    archive.addfile(entry, io.BytesIO(data))
