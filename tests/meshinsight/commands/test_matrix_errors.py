"""A value of a matrix that is refused is named by file, line and key."""

import subprocess
import sys
from pathlib import Path

FIELD = Path(__file__).parents[2] / "data" / "field"


def dry_run(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "meshinsight", "profile", "--dry-run", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_rate_without_a_request_per_round_names_file_line_and_key() -> None:
    file = FIELD / "matrix-rate-below-one.yaml"
    found = dry_run("--matrix", file)
    assert found.returncode == 2
    assert found.stderr.startswith(f"meshinsight: error: --matrix {file}:3: rates: 0.2 per second leaves rounds")


def test_a_value_of_the_command_line_is_named_by_its_option(tmp_path: Path) -> None:
    file = tmp_path / "matrix.yaml"
    file.write_text("protocols: [http1]\nconnections: [5000]\n")
    assert f"{file}:2: connections: 5000 is outside" in dry_run("--matrix", file).stderr
    assert "error: --connections: 2000 is outside" in dry_run("--matrix", file, "--connections", 2000).stderr
