"""The model beside its profile: exactly what was stored, or nothing."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from predictor.models import stored
from predictor.models.document import model_of
from predictor.models.fitting import fit_profile
from predictor.models.stored import fitting_files, read_model, save_model
from profiler.errors import MeshInsightError, UsageError
from tests.predictor.models.profiles import known_profile

MODEL = fit_profile(known_profile(), draws=5)
DIGEST = "0" * 64


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save_model(MODEL, tmp_path / "model.json", DIGEST)
    return tmp_path / "model.json"


def test_a_stored_model_comes_back_to_the_last_bit(file: Path) -> None:
    found = read_model(file, DIGEST)
    assert found is not None
    assert found.to_json() == MODEL.to_json()


def test_arrays_are_little_endian_doubles_row_by_row(file: Path) -> None:
    packed = json.loads(file.read_text())["configurations"][0]["latency"]["coefficients"]
    values = memoryview(base64.b64decode(packed["float64"])).cast("d")
    cost = MODEL.configurations[0].latency
    assert cost is not None
    assert packed["shape"] == list(cost.coefficients.shape)
    assert values.tolist() == cost.coefficients.ravel().tolist()


def test_a_stored_model_can_be_given_as_a_model(file: Path) -> None:
    assert model_of(json.loads(file.read_text()), "m.json").to_json() == MODEL.to_json()


def test_a_model_of_another_profile_is_none(file: Path) -> None:
    assert read_model(file, "1" * 64) is None


def test_a_model_that_other_code_fitted_is_none(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "_fitting_sha256", lambda: "changed")
    assert read_model(file, DIGEST) is None


@pytest.mark.parametrize("name", ["fitting.py", "types.py", "components.py"])
def test_a_change_of_the_fitting_code_makes_a_model_stale(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    changed = tmp_path / name
    known = next(path for path in fitting_files() if path.name == name)
    changed.write_text(known.read_text() + "# changed\n")
    files = [changed if path == known else path for path in fitting_files()]
    monkeypatch.setattr(stored, "fitting_files", lambda: files)
    assert read_model(file, DIGEST) is None


def test_all_code_that_fitting_imports_is_known() -> None:
    ours = "[m.__file__ for name, m in sys.modules.items() if name.split('.')[0] in ('predictor', 'profiler')]"
    code = f"import sys, predictor.models.fitting\nprint(*{ours}, sep='\\n')"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    named = {str(path) for path in fitting_files()}
    assert {path for path in loaded if not path.endswith("__init__.py")} <= named


def test_one_wrong_digit_anywhere_is_noticed(file: Path) -> None:
    text = file.read_text()
    start = text.index('"float64": "') + 40
    file.write_text(text[:start] + ("A" if text[start] != "A" else "B") + text[start + 1 :])
    assert read_model(file, DIGEST) is None


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "{}", '{"checksum": 1}', "\0\xff", "[" * 5000])
def test_anything_else_is_none(file: Path, content: str) -> None:
    file.write_text(content, encoding="latin-1")
    assert read_model(file, DIGEST) is None


def test_a_truncated_or_missing_model_is_none(file: Path) -> None:
    file.write_text(file.read_text()[:-100])
    assert read_model(file, DIGEST) is None
    file.unlink()
    assert read_model(file, DIGEST) is None


def test_a_damaged_array_is_refused_when_given_as_a_model(file: Path) -> None:
    document: dict[str, Any] = json.loads(file.read_text())
    document["configurations"][0]["cpu"]["draws"]["shape"][0] += 1
    with pytest.raises(UsageError, match=r"configurations\[0\]\.cpu\.draws: .* for an array of shape"):
        model_of(document, "m.json")


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(MeshInsightError, match="cannot be written"):
        save_model(MODEL, tmp_path / "missing" / "model.json", DIGEST)
