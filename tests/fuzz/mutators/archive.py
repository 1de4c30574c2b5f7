"""Tar archives: members with other names, kinds and sizes, and changed bytes inside and outside of the compression."""

import gzip
import io
import random
import tarfile
import zlib
from typing import Final

from tests.fuzz.mutators.binary import mutate_bytes

_NAMES: Final = (
    "../out", "/tmp/out", "a/../../out", ".", "..", "", "a" * 300, "a/" * 200 + "x", "\x1b[31m", "a\nb", "\udcff",
    "profile.json",
    "samples", "samples/../samples/x", "\u202ex", "unfinished/run.json", "con", "a\\b", "./profile.json", "//x",
)  # fmt: skip
_KINDS: Final = (
    tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE,
    tarfile.FIFOTYPE,
    tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE, b"Z", b"\0",
)  # fmt: skip


def make_archive(samples_bytes: int = 80) -> bytes:
    """What a pod sends: a folder with a profile and samples, which do not get smaller."""
    samples = random.Random(1).randbytes(samples_bytes)  # noqa: S311 - repeatable, not secret
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz", compresslevel=1) as tar:
        for name, content in (("profile.json", b"{}"), ("samples/cpu.parquet", samples)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return target.getvalue()


def mutate_archive(data: bytes, rng: random.Random) -> bytes:
    """Members changed, else bytes of the tar file, else those of its compressed form."""
    kind = rng.random()
    if kind < 0.2:
        return mutate_bytes(data, rng)
    try:
        plain = gzip.decompress(data)
        members = _members(plain)
    except (OSError, EOFError, zlib.error, tarfile.TarError, ValueError):
        return mutate_bytes(data, rng)
    if kind < 0.4:
        return gzip.compress(mutate_bytes(plain, rng), 1, mtime=0)
    if members:
        _change(members, rng)
    return gzip.compress(_packed(members, rng), 1, mtime=0)


def _members(plain: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        return [(member, b"" if (file := tar.extractfile(member)) is None else file.read()) for member in tar]


def _change(members: list[tuple[tarfile.TarInfo, bytes]], rng: random.Random) -> None:
    at = rng.randrange(len(members))
    member, content = members[at]
    kind = rng.randrange(7)
    if kind == 0:
        member.name = rng.choice(_NAMES)
    elif kind == 1:
        member.type = rng.choice(_KINDS)
        member.linkname = rng.choice((*_NAMES, "samples/cpu.parquet", "profile.json"))
    elif kind == 2:
        link = tarfile.TarInfo(rng.choice(("samples", "link", "profile.json")))
        link.type, link.linkname = tarfile.SYMTYPE, rng.choice(_NAMES)
        members.insert(rng.randrange(len(members) + 1), (link, b""))
    elif kind == 3:
        member.mode = rng.choice((0, 0o7777, 0o4755, 0o000, 0o2777))
        member.uid = member.gid = rng.choice((0, 1337, 2**31, 2**40))
        member.mtime = rng.choice((0, -1, 2**40, 1e18))
    elif kind == 4:
        members[at:at] = [(member, content)] * rng.choice((1, 30))
    elif kind == 5:
        del members[at]
    else:
        member.pax_headers = {
            rng.choice(("path", "size", "mtime", "uid", "GNU.sparse.map", "x")): rng.choice(("-1", "x", "9" * 40))
        }


def _packed(members: list[tuple[tarfile.TarInfo, bytes]], rng: random.Random) -> bytes:
    target = io.BytesIO()
    form = rng.choice((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT))
    with tarfile.open(fileobj=target, mode="w", format=form, errors="surrogateescape") as tar:
        for member, content in members:
            member.size = len(content)
            try:
                tar.addfile(member, io.BytesIO(content))
            except (ValueError, OSError, TypeError):  # no archive can hold it
                continue
    return target.getvalue()
