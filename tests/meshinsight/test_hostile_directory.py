"""Commands that root runs in a working directory that somebody else has filled: none of it is run or loaded."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "tests" / "data" / "example-profile.json"
MODULES = (
    *("profiler/__init__.py", "predictor/__init__.py", "bcc/__init__.py", "numpy/__init__.py"),
    *("json.py", "yaml.py", "typer.py", "typing.py", "runpy.py", "sitecustomize.py", "usercustomize.py", "jinja2.py"),
    *("h2.py", "uvloop.py", "httptools.py", "hostile_backend.py"),
)
PROGRAMS = (
    *("perf", "setpriv", "nsenter", "taskset", "chrt", "ip", "iptables-restore", "c++filt", "sh", "rm", "uname"),
    *("envoy", "haproxy", "nginx", "h2load", "nghttpd", "objdump", "addr2line"),
)


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder in which everything that is run or imported leaves a mark."""
    folder, mark = tmp_path / "hostile", tmp_path / "mark"
    for name in MODULES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"open({str(mark)!r}, 'a').write({name!r})\n")
    for name in PROGRAMS:
        (folder / name).write_text(f"#!/bin/sh\necho {name} >> {mark}\n")
        (folder / name).chmod(0o755)
    (folder / "matplotlibrc").write_text("backend: module://hostile_backend\naxes.linewidth: 40\n")
    for name in ("vmlinux", "perf.data", ".perfconfig", "envoy.yaml", "haproxy.cfg", "nginx.conf", "owner.json"):
        (folder / name).write_text("hostile\n")
    return folder


def run_in(folder: Path, *arguments: str, safe: bool = True) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f".:{os.environ['PATH']}:", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *(["-P"] if safe else []), "-m", "meshinsight", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=400, check=False
    )


@pytest.mark.parametrize("safe", [True, False], ids=["python -P", "python"])
def test_a_report_neither_imports_nor_is_drawn_by_settings_from_there(hostile: Path, safe: bool) -> None:
    out = hostile.parent / "report.html"
    done = run_in(hostile, "report", str(EXAMPLE), "--out", str(out), safe=safe)
    assert (done.returncode, done.stderr) == (0, "")
    assert "stroke-width: 40" not in out.read_text()
    assert not (hostile.parent / "mark").exists()


@pytest.mark.kernel
def test_doctor_runs_nothing_from_there(hostile: Path) -> None:
    done = run_in(hostile, "doctor")
    assert "BPF programs" in done.stdout
    assert not (hostile.parent / "mark").exists()


@pytest.mark.kernel
@pytest.mark.timing
def test_a_profile_runs_nothing_from_there(hostile: Path) -> None:
    out = hostile.parent / "out"
    options = ("--quick", "--protocol", "http1", "--topology", "server", "--temperature", "cold", "--out", str(out))
    before = {path: path.stat().st_mtime_ns for path in hostile.rglob("*")}
    done = run_in(hostile, "profile", *options)
    assert done.returncode == 0, done.stderr
    assert not (hostile.parent / "mark").exists()
    assert {path: path.stat().st_mtime_ns for path in hostile.rglob("*")} == before  # nor was anything written there
