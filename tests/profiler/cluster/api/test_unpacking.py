"""Archives from a pod: only plain files and folders inside one folder come out, and a wrong archive leaves nothing."""

import gzip
import io
import os
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from profiler.cluster.api.errors import ClusterError
from profiler.cluster.api.unpacking import Limits, unpack

DEFAULT = Limits()
Member = tuple[tarfile.TarInfo, bytes]


def file(name: str, content: bytes = b"content", **fields: object) -> Member:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for field, value in fields.items():
        setattr(member, field, value)
    return member, content


def special(name: str, kind: bytes, target: str = "") -> Member:
    return file(name, b"", type=kind, linkname=target)


def archive(*members: Member) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for member, content in members:
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


@pytest.fixture
def unpacked(tmp_path: Path) -> Callable[..., Path]:
    """Unpacks an archive; afterwards there is nothing but it and what came out."""

    def run(packed: bytes, limits: Limits = DEFAULT) -> Path:
        (tmp_path / "packed").write_bytes(packed)
        try:
            unpack(tmp_path / "packed", tmp_path / "out", limits)
        finally:
            assert {path.name for path in tmp_path.iterdir()} <= {"packed", "out"}
        return tmp_path / "out"

    return run


def refused(tmp_path: Path, unpacked: Callable[..., Path], packed: bytes, limits: Limits = DEFAULT) -> str:
    with pytest.raises(ClusterError) as caught:
        unpacked(packed, limits)
    said = str(caught.value)
    assert said.isprintable()
    assert not (tmp_path / "out").exists()
    return said


def test_files_and_folders_come_out_as_they_were_packed(unpacked: Callable[..., Path]) -> None:
    folder = special("./samples", tarfile.DIRTYPE)
    out = unpacked(
        archive(special(".", tarfile.DIRTYPE), folder, file("./samples/ä b.bin", b"1" * 513), file("c", b""))
    )
    assert (out / "samples" / "ä b.bin").read_bytes() == b"1" * 513
    assert (out / "c").read_bytes() == b""


def test_a_file_cannot_be_run_and_belongs_to_who_unpacks_it(unpacked: Callable[..., Path]) -> None:
    out = unpacked(archive(file("a", mode=0o6777, uid=1, gid=1)))
    there = (out / "a").stat()
    assert there.st_mode & 0o7111 == 0
    assert there.st_uid == os.getuid()


@pytest.mark.parametrize(
    "name", ["/etc/x", "../x", "a/../../x", "a/..", "a\x1b[2Jb", "a\nb", "\u202eb", "a/" * 20 + "b", "n" * 300, "."]
)
def test_a_name_that_leads_elsewhere_or_is_not_printable_is_refused(
    tmp_path: Path, unpacked: Callable[..., Path], name: str
) -> None:
    assert "is refused: its archive holds" in refused(tmp_path, unpacked, archive(file("first"), file(name)))


@pytest.mark.parametrize(
    "member",
    [
        special("l", tarfile.SYMTYPE, "/etc/passwd"),
        special("l", tarfile.LNKTYPE, "first"),
        special("l", tarfile.FIFOTYPE),
        special("l", tarfile.CHRTYPE),
        special("l", tarfile.BLKTYPE),
        special("l", tarfile.CONTTYPE),
    ],
)
def test_what_is_neither_file_nor_folder_is_refused(
    tmp_path: Path, unpacked: Callable[..., Path], member: Member
) -> None:
    said = refused(tmp_path, unpacked, archive(file("first"), member))
    assert "'l', which is neither a plain file nor a folder" in said


def test_a_member_never_replaces_another(tmp_path: Path, unpacked: Callable[..., Path]) -> None:
    assert "cannot be unpacked" in refused(tmp_path, unpacked, archive(file("a"), file("./a")))
    assert "cannot be unpacked" in refused(tmp_path, unpacked, archive(file("a"), file("a/b")))


def test_more_than_the_limits_is_refused(tmp_path: Path, unpacked: Callable[..., Path]) -> None:
    zeros = archive(file("a", bytes(1 << 20)))
    assert "more than 100000 bytes" in refused(tmp_path, unpacked, zeros, Limits(size_bytes=100_000))
    many = archive(*(file(str(number)) for number in range(4)))
    assert "more than 3 members" in refused(tmp_path, unpacked, many, Limits(members=3))


def test_a_header_that_claims_a_huge_extension_is_refused_before_it_is_read(
    tmp_path: Path, unpacked: Callable[..., Path]
) -> None:
    member = tarfile.TarInfo("a")
    member.type, member.size = tarfile.XHDTYPE, 1 << 40
    packed = gzip.compress(member.tobuf(tarfile.GNU_FORMAT) + bytes(10_240))
    assert "cannot be unpacked" in refused(tmp_path, unpacked, packed)


def test_headers_nested_without_end_are_refused(tmp_path: Path, unpacked: Callable[..., Path]) -> None:
    member = tarfile.TarInfo("a")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, 512
    packed = gzip.compress((member.tobuf(tarfile.GNU_FORMAT) + b"n" + bytes(511)) * 5_000)
    refused(tmp_path, unpacked, packed)


@pytest.mark.parametrize("kept", [0, 1, 10, 100, -1, -9])
def test_a_truncated_archive_is_refused(tmp_path: Path, unpacked: Callable[..., Path], kept: int) -> None:
    packed = archive(file("a", random.Random(1).randbytes(4096)), file("b"))  # noqa: S311 - no secret
    refused(tmp_path, unpacked, packed[:kept])


@pytest.mark.parametrize("kept_blocks", [1, 2, 3, 4])
def test_an_archive_that_ends_after_some_members_is_refused(
    tmp_path: Path, unpacked: Callable[..., Path], kept_blocks: int
) -> None:
    plain = gzip.decompress(archive(file("a"), file("b")))
    refused(tmp_path, unpacked, gzip.compress(plain[: 512 * kept_blocks]))


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path: Path, unpacked: Callable[..., Path]) -> None:
    plain = bytearray(gzip.decompress(archive(file("a"), file("b"), file("c"))))
    plain[1024 + 150] ^= 0xFF  # in the checksum of b's header
    refused(tmp_path, unpacked, gzip.compress(bytes(plain)))


@pytest.mark.parametrize("seed", range(100))
def test_whatever_is_damaged_it_comes_out_or_is_refused_in_one_line(
    tmp_path: Path, unpacked: Callable[..., Path], seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    plain = bytearray(gzip.decompress(archive(file("a"), special("d", tarfile.DIRTYPE), file("d/b" * 60))))
    for _ in range(chance.randint(1, 8)):
        plain[chance.randrange(3072)] = chance.choice((0, 0x20, 0x2F, 0x37, 0x80, 0xFF, chance.randrange(256)))
    packed = gzip.compress(bytes(plain))
    try:
        unpacked(packed)
    except ClusterError:
        refused(tmp_path, unpacked, packed)
