"""The program of a process: its files are those below the root of the process, not those of this one's image."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from profiler.errors import UsageError
from profiler.symbols.elf import open_elf
from profiler.symbols.maps import UserAddress
from profiler.symbols.programs import program_of, sampled_functions, sampled_stacks
from profiler.symbols.stacks import Stack
from profiler.vocabulary.components import CLIENT_SIDECAR, SERVER_APP, SERVER_SIDECAR

needs_compiler = pytest.mark.skipif(not shutil.which("gcc"), reason="no gcc")
PID = 7


def compiled(program: Path, function: str) -> Path:
    """A program that waits, with one function whose name tells which program it is."""
    program.parent.mkdir(parents=True, exist_ok=True)
    source = f"#include <unistd.h>\nint {function}(int x) {{ return x * 3; }}\n"
    source += f'int main(int count, char **names) {{ write(1, "x", 1); return {function}(count) + pause(); }}\n'
    command = ["gcc", "-O1", "-w", "-fno-inline", "-x", "c", "-", "-o", str(program)]
    subprocess.run(command, input=source, text=True, check=True)
    return program


def place_of(function: str, program: Path, dso: Path) -> UserAddress:
    """Where the function is, in a file whose code is loaded at its own offset."""
    with open_elf(program) as elf:
        symbols = elf.functions(".symtab")
        names = [symbols.name(index) for index in range(len(symbols.starts))]
    return UserAddress(str(dso), int(symbols.starts[names.index(function)]))


def proc_of(tmp_path: Path, root: Path, program: str, pid: int = PID) -> Path:
    """A /proc with one process, which sees `root` and runs the program of that path there."""
    process = tmp_path / "proc" / str(pid)
    process.mkdir(parents=True)
    (process / "root").symlink_to(root)
    (process / "exe").symlink_to(program)
    return tmp_path / "proc"


@needs_compiler
def test_names_are_read_below_the_root_of_the_process(tmp_path: Path) -> None:
    own = compiled(tmp_path / "envoy", "of_our_image")
    theirs = compiled(Path(f"{tmp_path}/root{own}"), "of_the_sidecar")
    user = {(CLIENT_SIDECAR, place_of("of_the_sidecar", theirs, own)): 2.0}
    proc = proc_of(tmp_path, tmp_path / "root", str(own))
    found = sampled_functions(user, 2, {PID: CLIENT_SIDECAR}, proc)
    (entry,) = found.weights
    assert entry.named is not None
    assert entry.nameless is not None
    assert (entry.named.name, entry.weight, found.samples) == ("of_the_sidecar", 2.0, 2)
    assert (entry.nameless.name, entry.nameless.start) == (None, entry.named.start)


@needs_compiler
def test_each_role_has_the_files_of_its_process(tmp_path: Path) -> None:
    names = {CLIENT_SIDECAR: "of_one", SERVER_SIDECAR: "of_two"}
    roles, user = {}, {}
    for pid, (role, name) in enumerate(names.items(), PID):
        program = compiled(tmp_path / name / "envoy", name)
        proc_of(tmp_path, tmp_path / name, "/envoy", pid)
        roles[pid] = role
        user[role, place_of(name, program, Path("/envoy"))] = 1.0
    found = sampled_functions(user, 2, roles, tmp_path / "proc")
    assert {entry.role: entry.named and entry.named.name for entry in found.weights} == names


def test_other_roles_are_left_out(tmp_path: Path) -> None:
    found = sampled_functions({(SERVER_APP, UserAddress("/envoy", 16)): 1.0}, 1, {PID: SERVER_APP}, tmp_path)
    assert found.weights == []


@needs_compiler
def test_stacks_have_the_functions_of_their_process(tmp_path: Path) -> None:
    program = compiled(tmp_path / "root" / "bin" / "envoy", "of_the_sidecar")
    place = place_of("of_the_sidecar", program, Path("/bin/envoy"))
    user = {(CLIENT_SIDECAR, place): 2.0, (SERVER_APP, place): 1.0}
    proc = proc_of(tmp_path, tmp_path / "root", "/bin/envoy")
    found = sampled_stacks(user, {PID: CLIENT_SIDECAR, PID + 1: SERVER_APP}, proc)
    assert found == [Stack(CLIENT_SIDECAR, "user", "/bin/envoy", ("of_the_sidecar",), 2.0)]


@pytest.mark.parametrize("program", ["envoy", "envoy-1.30", "haproxy", "nginx"])
def test_a_program_of_others_has_no_version_that_is_known_here(tmp_path: Path, program: str) -> None:
    proc = proc_of(tmp_path, tmp_path, f"/opt/mesh/bin/{program} (deleted)")
    with program_of(PID, "x", proc) as found:
        assert (found.proxy, found.version) == (program.split("-")[0], "")
        assert found.path == Path(f"/opt/mesh/bin/{program}")


def test_a_proxy_that_is_not_known_is_none(tmp_path: Path) -> None:
    with program_of(PID, "x", proc_of(tmp_path, tmp_path, "/usr/lib/linkerd/linkerd2-proxy")) as found:
        assert (found.proxy, found.version) == (None, "")


@contextmanager
def with_another_program_mounted(over: Path, program: Path) -> Iterator[int]:
    """The id of a process that runs `program`, which it alone sees at the path `over`."""
    script = f"mount --bind {program} {over} && exec {over}"
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            assert process.stdout.read(1) == b"x"
            yield process.pid
        finally:
            process.kill()


@pytest.mark.kernel
@needs_compiler
def test_a_container_with_another_program_at_the_same_path(tmp_path: Path) -> None:
    own = compiled(tmp_path / "envoy", "of_our_image")
    theirs = compiled(tmp_path / "other", "of_the_sidecar")
    user = {(SERVER_SIDECAR, place_of("of_the_sidecar", theirs, own)): 1.0}
    with with_another_program_mounted(own, theirs) as pid:
        found = sampled_functions(user, 1, {pid: SERVER_SIDECAR})
    assert [entry.named and entry.named.name for entry in found.weights] == ["of_the_sidecar"]
    assert (found.proxy, found.version) == ("envoy", "")


@pytest.mark.parametrize(
    ("user", "remedy"), [(0, "the kernel denies it even to root; name another process"), (1000, "run as root")]
)
def test_who_may_not_look_is_told_what_helps(monkeypatch: pytest.MonkeyPatch, user: int, remedy: str) -> None:
    def refused(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(UsageError, match=f"pid 1 .*Permission denied; {remedy}$"):
        program_of(1, "pid 1 (init)").__enter__()
