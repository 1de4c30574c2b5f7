"""Fetching a folder: the pod's side is the real one, the connection between is cut and damaged."""

import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from profiler.cluster.api.errors import ClusterError, TransientError
from profiler.cluster.api.transfer import fetch_folder, hand_over, short_output
from profiler.cluster.names import IN_POD
from tests.profiler.cluster.agent.commands import here

SIZE = 3_500_000
Change = Callable[[int, bytes], Iterator[bytes]]


class Pod:
    """Runs the commands here. `change` says what of each sending's output gets through; it is told its number."""

    def __init__(self, change: Change = lambda number, output: iter([output])) -> None:
        self.change = change
        self.sendings: list[int] = []

    def __call__(self, argv: list[str], *, given: bytes = b"") -> Iterator[bytes]:
        done = subprocess.run(here(argv), input=given, capture_output=True, check=False)
        if done.returncode:
            raise ClusterError(done.stderr.decode().strip())
        if "export_chunk" not in argv:
            yield done.stdout
            return
        self.sendings.append(int(argv[-1].removeprefix("--from=")))
        yield from self.change(len(self.sendings), done.stdout)


def cut(first: int) -> Change:
    """The first sending ends after so many bytes."""

    def change(number: int, output: bytes) -> Iterator[bytes]:
        yield output[: first if number == 1 else None]
        if number == 1:
            raise TransientError("broken")

    return change


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "pod" / "result"
    (made / "samples").mkdir(parents=True)
    (made / "samples" / "a.bin").write_bytes(os.urandom(SIZE))
    (made / "journal.json").write_text("{}")
    return made


def fetch(pod: Pod, folder: Path, target: Path) -> None:
    fetch_folder(pod, str(folder), target, archive=str(folder.parent / "result.tar.gz"), pause_s=0.0)


def digest(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_folder_arrives_as_it_was(folder: Path, tmp_path: Path) -> None:
    fetch(Pod(), folder, tmp_path / "here")
    assert digest(tmp_path / "here") == digest(folder)


@pytest.mark.parametrize("first", [0, 1, 1 << 20, 2_500_000])
def test_a_dropped_connection_goes_on_where_it_ended(folder: Path, tmp_path: Path, first: int) -> None:
    pod = Pod(cut(first))
    fetch(pod, folder, tmp_path / "here")
    assert pod.sendings == [0, first]
    assert digest(tmp_path / "here") == digest(folder)


def test_an_output_that_ends_early_without_error_is_noticed(folder: Path, tmp_path: Path) -> None:
    pod = Pod(lambda number, output: iter([output[: len(output) // 2 if number == 1 else None]]))
    fetch(pod, folder, tmp_path / "here")
    assert len(pod.sendings) == 2
    assert digest(tmp_path / "here") == digest(folder)


def test_what_was_damaged_on_its_way_is_sent_again(folder: Path, tmp_path: Path) -> None:
    def damaged(number: int, output: bytes) -> Iterator[bytes]:
        yield output[:5] + b"?" + output[6:] if number == 1 else output

    fetch(Pod(damaged), folder, tmp_path / "here")
    assert digest(tmp_path / "here") == digest(folder)


def test_what_is_never_what_the_pod_said_is_refused(folder: Path, tmp_path: Path) -> None:
    pod = Pod(lambda number, output: iter([b"?" + output[1:]]))
    with pytest.raises(ClusterError, match=r"the pod said [0-9a-f]{64}; fetch it again"):
        fetch(pod, folder, tmp_path / "here")
    assert pod.sendings == [0, 0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pod"]


def test_a_connection_that_never_gets_a_byte_through_is_given_up(folder: Path, tmp_path: Path) -> None:
    def nothing(number: int, output: bytes) -> Iterator[bytes]:
        yield b""
        raise TransientError("the connection broke")

    pod = Pod(nothing)
    with pytest.raises(TransientError, match="the connection broke"):
        fetch(pod, folder, tmp_path / "here")
    assert len(pod.sendings) == 8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pod"]


def test_a_result_that_is_not_there_is_said_by_the_pod(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="nowhere: no such folder in the pod"):
        fetch(Pod(), tmp_path / "nowhere", tmp_path / "here")


@pytest.mark.parametrize(
    "manifest",
    [
        '{"size": 1, "sha256": "x"}',
        '{"size": -1, "sha256": "SHA"}',
        '{"size": 0, "sha256": "SHA"}',
        '{"size": 1}',
        '{"size": 99999999999, "sha256": "SHA"}',
        "[" * 60_000,
        "\x1b[2J",
    ],
)
def test_a_pod_that_says_nonsense_is_refused_in_one_line(folder: Path, tmp_path: Path, manifest: str) -> None:
    said = manifest.replace("SHA", "0" * 64).encode()
    with pytest.raises(ClusterError, match="does not answer as it should") as caught:
        fetch_folder(lambda argv, given=b"": iter([said]), str(folder), tmp_path / "here")
    assert str(caught.value).isprintable()


def test_a_pod_that_answers_without_end_is_given_up() -> None:
    with pytest.raises(ClusterError, match="prints more than 100 bytes"):
        short_output((b"x" * 10 for _ in count()), 100)


def test_bytes_after_the_last_are_not_read(folder: Path, tmp_path: Path) -> None:
    def endless(number: int, output: bytes) -> Iterator[bytes]:
        yield output
        while True:
            yield b"x"

    fetch(Pod(endless), folder, tmp_path / "here")
    assert digest(tmp_path / "here") == digest(folder)


def test_a_task_is_handed_over_on_standard_input_whatever_its_size() -> None:
    handed: list[tuple[list[str], bytes]] = []

    def execute(argv: list[str], *, given: bytes = b"") -> Iterator[bytes]:
        handed.append((argv, given))
        if len(handed) == 1:
            raise TransientError("the connection broke")
        yield b""

    task = b"x" * 1_000_000
    hand_over(execute, task, pause_s=0.0)
    assert handed[-1] == ([*IN_POD, "submit", "--bytes=1000000"], task)


def test_nothing_is_overwritten(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    with pytest.raises(ClusterError, match="already exists"):
        fetch(Pod(), folder, tmp_path / "here")


def test_an_image_without_the_pods_side_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="does not answer as it should"):
        fetch_folder(lambda argv, given=b"": iter([b"hello"]), str(folder), tmp_path / "here")
