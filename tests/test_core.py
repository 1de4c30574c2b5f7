"""What the core does without any extra and without Linux, and what it says where an extra is missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from predictor.graph.reader import load_graph
from profiler.host.extras import EXTRAS
from profiler.profile.document import load_profile
from profiler.profile.stacks import packed
from profiler.symbols.stacks import SampledStacks, Stack

ROOT = Path(__file__).parent.parent


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`meshinsight` commands, `--` between them, on a laptop that has the core alone."""
    command = [sys.executable, "-m", "tests.core", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("laptop")
    done = run(folder, "examples")
    assert (done.returncode, done.stderr) == (0, "")
    return folder / "meshinsight-examples"


def test_every_command_of_the_core_works(samples: Path) -> None:
    graph = str(samples / "bookinfo.yaml")
    stacks = samples / "envoy.stacks"
    stacks.write_bytes(packed([SampledStacks("pid 7", "cycles", (Stack("pid 7", "user", "envoy", ("run",), 1.0),))]))
    commands = (
        ("show", str(samples)),
        ("fit", str(samples)),
        ("predict", str(samples), graph),
        ("advise", str(samples), graph, "--slo", "p99=1s"),
        ("graph", "check", graph),
        ("export", str(samples), "--out", "profile.openmetrics"),
        ("export", str(stacks), "--out", "profile.pb.gz"),
        ("doctor",),
    )
    arguments = [word for command in commands for word in ("--", *command)][1:]
    done = run(samples.parent, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Predicted overhead of bookinfo" in done.stdout


def test_traces_in_zstd_are_read(samples: Path) -> None:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    traces = ROOT / "tests/data/traces/zipkin/simple-db-p6.json"
    packed = samples / "traces.json.zst"
    packed.write_bytes(zstd.compress(traces.read_bytes()))
    done = run(samples, "graph", "from-zipkin", str(packed), "--out", "graph.yaml")
    assert done.returncode == 0, done.stderr
    packed.write_bytes(packed.read_bytes()[:-20] + b"x" * 20)
    damaged = run(samples, "graph", "from-zipkin", str(packed), "--out", "graph.yaml")
    assert damaged.returncode == 2
    assert f"{packed}: cannot be read: " in damaged.stderr


def test_models_are_the_same_without_scikit_learn(samples: Path, tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    profile.write_bytes((samples / "profile.json").read_bytes())
    command = [sys.executable, "-m", "meshinsight", "fit", str(profile), "-o", "json"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    usual = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert run(tmp_path, "fit", str(profile), "-o", "json").stdout == usual.stdout


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("report", "SAMPLES", "--out", "r.html"), "report"),
        (("predict-batch", "SAMPLES", "SAMPLES", "--out", "b.parquet"), "batch"),
        (("export", "SAMPLES", "--out", "p.parquet"), "export"),
        (("export", "SAMPLES", "--to", "fortio", "--out", "data"), "export"),
        (("validate", "SAMPLES", "SAMPLES/bookinfo.yaml"), "measure"),
        (("profile", "--cluster", "--dry-run"), "cluster"),
    ],
)
def test_a_missing_extra_is_one_line_that_names_it(samples: Path, arguments: tuple[str, ...], extra: str) -> None:
    done = run(samples.parent, *(word.replace("SAMPLES", str(samples)) for word in arguments))
    assert done.returncode == 1
    modules = ", ".join(EXTRAS[extra])
    be = "is" if len(EXTRAS[extra]) == 1 else "are"
    end = f" needs {modules}, which {be} not installed; install with: pip install 'meshinsight[{extra}]'\n"
    assert done.stderr.startswith("meshinsight: error: ")
    assert done.stderr.endswith(end)
    assert done.stderr.count("\n") == 1


def test_examples_hold_a_whole_profile_that_names_no_place_of_a_machine(samples: Path) -> None:
    profile = load_profile(samples)
    assert profile.status == "complete"
    assert profile.files == {}
    assert profile.environment["machine_id_hash"] is None
    assert not [word for word in profile.command if word.startswith("/")]
    assert {load_graph(file).name for file in samples.glob("*.yaml")} >= {"bookinfo"}


def test_examples_replace_nothing(samples: Path) -> None:
    done = run(samples.parent, "examples")
    assert done.returncode == 2
    assert done.stderr == (
        "meshinsight: error: --out: meshinsight-examples already exists; remove it, or name another directory\n"
    )


@pytest.mark.parametrize("name", ["hotel-reservation.yaml", "online-boutique.yaml"])
def test_the_sample_profile_predicts_every_sample_graph(samples: Path, name: str) -> None:
    done = run(samples, "predict", ".", name)
    assert (done.returncode, done.stderr) == (0, "")
