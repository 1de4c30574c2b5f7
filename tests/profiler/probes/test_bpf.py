"""What is said when probes cannot be had, and what is printed of them."""

import os
import sys
import types
from pathlib import Path

import pytest

from profiler.errors import MissingError, ProbeError
from profiler.probes import bpf
from profiler.probes.timeline import Timeline


def test_without_root_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(MissingError, match="need root; run again with sudo"):
        bpf.require_bcc()


def test_without_tracefs_the_mount_command_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(bpf, "TRACEFS_PATHS", (tmp_path,))
    with pytest.raises(MissingError, match="tracefs is not mounted; run `mount -t tracefs"):
        bpf.require_bcc()


@pytest.fixture
def root_with_tracefs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "events").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(bpf, "TRACEFS_PATHS", (tmp_path,))


@pytest.mark.usefixtures("root_with_tracefs")
def test_without_bcc_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingError, match="python3-bpfcc"):
        bpf.require_bcc()


@pytest.mark.usefixtures("root_with_tracefs")
def test_the_unrelated_bcc_of_pypi_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    lattice = types.ModuleType("bcc")
    lattice.__spec__ = types.SimpleNamespace(name="bcc")  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, "bcc", lattice)
    with pytest.raises(MissingError, match="lattice package from PyPI"):
        bpf.require_bcc()


def test_without_headers_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BCC_KERNEL_SOURCE", str(tmp_path))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr("platform.release", lambda: "0.0-none")
    with pytest.raises(MissingError, match="kernel headers for bcc not found; run `make setup`"):
        bpf.kernel_headers()


def test_the_printed_program_is_the_source_with_its_parameters() -> None:
    text = bpf.program_text("timeline", Timeline.defines(1 << 10))
    assert text.startswith("#define CAPACITY 1024\n")
    assert bpf.program_path("timeline").read_text() in text


class NoProbes:
    """A program whose second probe cannot be attached."""

    def __init__(self) -> None:
        self.attached: list[bytes] = []

    def attach_raw_tracepoint(self, tp: bytes, fn_name: bytes) -> None:
        if tp == b"sys_exit":
            raise Exception("Failed to attach BPF to raw tracepoint")
        self.attached.append(tp)

    def detach_raw_tracepoint(self, tp: bytes) -> None:
        self.attached.remove(tp)


def test_a_probe_that_does_not_attach_is_an_error_and_detaches_the_others() -> None:
    program = NoProbes()
    probes = bpf.RawTracepoints("timeline", program, ("sys_enter", "sys_exit"))
    with pytest.raises(ProbeError, match="raw tracepoint sys_exit of timeline did not attach"):
        probes.attach()
    assert program.attached == []
    assert probes.statuses["sys_exit"].error == "Failed to attach BPF to raw tracepoint"


@pytest.mark.kernel
def test_a_program_that_does_not_compile_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "broken.bpf.c"
    broken.write_text("int on_sys_enter(struct bpf_raw_tracepoint_args *ctx) { return missing; }\n")
    monkeypatch.setattr(bpf, "program_path", lambda name: broken)
    with pytest.raises(ProbeError, match="BPF program broken could not be loaded"):
        bpf.load_program("broken", {})
