"""The action for GitHub: its steps run one by one as a runner does it, on profiles that exist, and its format."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from profiler.comparison.limits import parse_limits
from profiler.profile.document import save_profile
from tests.profiler.comparison.profiles import drawn
from tests.profiler.comparison.variants import duet

ROOT = Path(__file__).parent.parent
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]

# What GitHub's page "Metadata syntax for GitHub Actions" says of composite actions whose steps are shell.
SCHEMA = {
    "type": "object",
    "required": ["name", "description", "runs"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string"},
        "description": {"type": "string", "maxLength": 125},
        "author": {"type": "string"},
        "branding": {"type": "object", "required": ["icon", "color"]},
        "inputs": {
            "type": "object",
            "propertyNames": {"pattern": "^[_a-z][a-z0-9_-]*$"},
            "additionalProperties": {
                "type": "object",
                "required": ["description", "required", "default"],
                "additionalProperties": False,
                "properties": {
                    "description": {"type": "string"}, "required": {"const": False}, "default": {"type": "string"},
                },
            },
        },
        "outputs": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["description", "value"],
                "properties": {"value": {"type": "string", "pattern": r"^\$\{\{.*\}\}$"}},
            },
        },
        "runs": {
            "type": "object",
            "required": ["using", "steps"],
            "additionalProperties": False,
            "properties": {
                "using": {"const": "composite"},
                "steps": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["name", "run", "shell"],
                        "additionalProperties": False,
                        "properties": {
                            "name": {"type": "string"}, "id": {"pattern": "^[a-z]+$"}, "if": {"type": "string"},
                            "shell": {"const": "bash"}, "run": {"type": "string"},
                            "env": {"type": "object", "additionalProperties": {"type": "string"}},
                        },
                    },
                },
            },
        },
    },
}  # fmt: skip

_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")


@dataclass
class Runner:
    """What a runner does with the steps: inputs, outputs of steps, files for them, `if`, and the shell."""

    folder: Path
    inputs: dict[str, str]
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)
    failed: str = ""

    @property
    def summary(self) -> str:
        file = self.folder / "summary"
        return file.read_text() if file.exists() else ""

    def value(self, name: str) -> str:
        """An expression: a name, or the first of two that is not empty."""
        for part in name.split("||"):
            context, *rest = part.strip().split(".")
            found = self.inputs[rest[0]] if context == "inputs" else self.outputs.get(rest[0], {}).get(rest[2], "")
            if found:
                return found
        return ""

    def text(self, text: str) -> str:
        return _EXPRESSION.sub(lambda match: self.value(match[1]), text)

    def wanted(self, step: dict[str, Any]) -> bool:
        if "if" not in step:
            return True
        return any(self._holds(*part.split(" ")) for part in step["if"].split(" || "))

    def _holds(self, name: str, sign: str, expected: str) -> bool:
        equal = self.value(name) == expected.strip("'")
        return equal if sign == "==" else not equal

    def run(self, **instead: str) -> None:
        """All steps up to the first that fails; `instead` has other scripts for some, by id."""
        for step in STEPS:
            if self.failed or not self.wanted(step):
                continue
            self.ran.append(step["name"])
            self._run(step, instead.get(step.get("id", ""), step["run"]))

    def _run(self, step: dict[str, Any], script: str) -> None:
        outputs = self.folder / f"output-{len(self.ran)}"
        outputs.touch()
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "RUNNER_TEMP": str(self.folder),
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_OUTPUT": str(outputs),
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary"),
            **{name: self.text(value) for name, value in step.get("env", {}).items()},
        }
        file = self.folder / "script.sh"
        file.write_text(script)
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(file)]
        done = subprocess.run(command, env=environment, cwd=self.folder, capture_output=True, text=True, check=False)
        lines = [line.partition("=") for line in outputs.read_text().splitlines()]
        self.outputs[step.get("id", step["name"])] = {name: value for name, _, value in lines}
        if done.returncode:
            self.failed = f"{step['name']}: {done.returncode}: {done.stderr}"


@pytest.fixture
def profiles(tmp_path: Path) -> Path:
    save_profile(drawn(1, scatter=0.01), tmp_path / "old")
    save_profile(drawn(2, scatter=0.01, injected={"parsing": 15_000.0}), tmp_path / "new")
    return tmp_path


def install(folder: Path) -> str:
    """Instead of installing: a program that runs this source."""
    program = folder / "meshinsight"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m meshinsight "$@"\n')
    program.chmod(0o755)
    return f'echo "program={program}" >> "$GITHUB_OUTPUT"'


def runner(folder: Path, **given: str) -> Runner:
    """A runner with the defaults of the inputs."""
    (temporary := folder / "a folder").mkdir()
    known = {name: entry["default"] for name, entry in ACTION["inputs"].items()}
    assert set(given) <= set(known)
    return Runner(temporary, known | given)


def test_the_file_has_the_format_of_composite_actions() -> None:
    jsonschema.validate(ACTION, SCHEMA)


def test_scripts_hold_no_expressions_since_inputs_could_end_their_strings() -> None:
    assert not [step["name"] for step in STEPS if "${{" in step["run"]]


def test_expressions_name_inputs_and_outputs_that_there_are() -> None:
    ids = {step["id"] for step in STEPS if "id" in step}
    for expression in _EXPRESSION.findall(json.dumps(ACTION)):
        for part in expression.split("||"):
            context, *rest = part.strip().split(".")
            assert rest[0] in (ACTION["inputs"] if context == "inputs" else ids), part


def test_limits_that_hold_pass_with_the_comparison_in_the_summary(profiles: Path) -> None:
    done = runner(
        profiles,
        profile=str(profiles / "new"),
        baseline=str(profiles / "old"),
        limits="latency.ipc < +50%\ncpu.total < 1ms\n",
    )
    done.run(install=install(profiles))
    assert (done.failed, done.ran) == ("", ["Install MeshInsight", "Compare", "Gate"])
    assert done.outputs["gate"]["state"] == "pass"
    assert "### By component" in done.summary
    assert "✓ latency.ipc \\< +50%" in done.summary


def test_variants_of_one_run_are_compared_without_a_baseline(tmp_path: Path) -> None:
    save_profile(duet(1, {"filter:lua": 20_000.0}), tmp_path / "run")
    done = runner(tmp_path, profile=str(tmp_path / "run"), variants="true", limits="mean.latency.total < +1%")
    done.run(install=install(tmp_path))
    assert done.ran == ["Install MeshInsight", "Compare", "Gate"]
    assert done.failed.startswith("Gate: 1: ")
    assert "### By component" in done.summary
    assert "✗ mean.latency.total" in done.summary


def test_a_limit_that_does_not_hold_fails_the_job(profiles: Path) -> None:
    done = runner(
        profiles, profile=str(profiles / "new"), baseline=str(profiles / "old"), limits="mean.latency.parsing < +5%"
    )
    done.run(install=install(profiles))
    assert done.failed.startswith("Gate: 1: ")
    assert done.outputs["gate"]["state"] == "fail"
    assert "✗ mean.latency.parsing" in done.summary


def test_a_first_use_measures_and_checks_nothing(profiles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The measuring step runs with a program that only shows its arguments and leaves a stored profile."""
    program = profiles / "measuring"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{profiles}/arguments"\ncp -r "{profiles}/old" "$3"\n')
    program.chmod(0o755)
    sudo = profiles / "sudo"
    sudo.write_text('#!/bin/sh\nexec "$@"\n')
    sudo.chmod(0o755)
    monkeypatch.setenv("PATH", f"{profiles}:{os.environ['PATH']}")
    done = runner(profiles, args="--protocol=http1\n--rounds=2 ; touch x\n")
    done.run(install=f'echo "program={program}" >> "$GITHUB_OUTPUT"')
    assert (done.failed, done.ran) == ("", ["Install MeshInsight", "Measure", "Gate"])
    assert done.outputs["gate"]["state"] == "none"
    place = done.text(ACTION["outputs"]["profile"]["value"])
    assert (Path(place) / "profile.json").exists()
    assert (profiles / "arguments").read_text().splitlines() == [
        "profile", "--out", place, "--protocol=http1", "--rounds=2 ; touch x",
    ]  # fmt: skip


def test_wrong_limits_and_a_missing_baseline_fail_with_a_line(profiles: Path) -> None:
    for given in ({"limits": "speed < 1"}, {"baseline": str(profiles / "gone")}):
        (folder := profiles / str(len(given.get("limits", "")))).mkdir()
        done = runner(folder, profile=str(profiles / "new"), **given)
        done.run(install=install(profiles))
        assert ": 2: meshinsight: error: " in done.failed


def test_the_package_is_installed_from_the_action(profiles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip and python are stand-ins that show what they are asked for."""
    python = profiles / "python9.9"
    pip = 'printf "#!/bin/sh\\necho \\$* >&2; exit 1\\n" > "$3/bin/python"'
    python.write_text(f'#!/bin/sh\nmkdir -p "$3/bin"\n{pip}\nchmod +x "$3/bin/python"\n')
    python.chmod(0o755)
    done = runner(profiles, **{"profile": "x", "python-version": "9.9"})
    monkeypatch.setenv("PATH", f"{profiles}:{os.environ['PATH']}")
    done.run()
    assert done.failed == f"Install MeshInsight: 1: -m pip install --quiet --disable-pip-version-check {ROOT}\n"


def test_the_workflow_of_the_page_gives_inputs_and_uses_outputs_that_there_are() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/how-to/github-actions.md").read_text(), re.DOTALL)
    steps = yaml.safe_load(text)["jobs"]["gate"]["steps"]
    (step,) = [step for step in steps if step["uses"] == "MESHINSIGHT"]
    assert set(step["with"]) <= set(ACTION["inputs"])
    parse_limits(step["with"]["limits"], "limits")
    assert "profile" in ACTION["outputs"]


def test_the_page_lists_the_inputs_with_their_defaults() -> None:
    text = (ROOT / "docs/how-to/github-actions.md").read_text()
    for name, entry in ACTION["inputs"].items():
        row, *_ = re.findall(rf"^\| `{name}` \|.*$", text, re.MULTILINE)  # inputs come before outputs
        assert f"`{entry['default']}` |" in row if entry["default"] else "empty" in row
