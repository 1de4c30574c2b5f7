import json
from pathlib import Path

import pytest

from profiler.errors import UsageError
from profiler.measuring.journal import Journal
from profiler.planning.settings import ProfileSettings
from tests.profiler.evaluation.blocks import block_result, cell
from tests.profiler.planning.examples import EVERYTHING


def begun(directory: Path) -> Journal:
    journal = Journal(directory)
    journal.begin(EVERYTHING, {"proxies": {"envoy": "1.40"}})
    return journal


def test_a_run_is_resumed_with_the_settings_it_was_begun_with(tmp_path: Path) -> None:
    begun(tmp_path)
    assert Journal(tmp_path).settings() == EVERYTHING
    assert Journal(tmp_path).facts() == {"proxies": {"envoy": "1.40"}}


def test_what_it_was_begun_with_is_never_changed(tmp_path: Path) -> None:
    begun(tmp_path)
    Journal(tmp_path).begin(ProfileSettings(), {})
    assert Journal(tmp_path).settings() == EVERYTHING


def test_results_come_back_in_the_order_they_were_saved(tmp_path: Path) -> None:
    journal = begun(tmp_path)
    for number in range(11):
        journal.save(f"{11 - number:012x}", block_result(repeated_windows=number))
    assert [result.repeated_windows for result in Journal(tmp_path).results().values()] == list(range(11))


@pytest.mark.parametrize("text", ["", '{"name": "b", "resu', "null", "{}", "[1]"])
def test_a_damaged_file_counts_as_unfinished(tmp_path: Path, text: str) -> None:
    journal = begun(tmp_path)
    for name in ("a", "b", "c"):
        journal.save(name, block_result())
    (tmp_path / "unfinished" / "001-b.json").write_text(text)
    assert list(Journal(tmp_path).results()) == ["a", "c"]


def test_a_block_measured_again_replaces_its_damaged_file(tmp_path: Path) -> None:
    journal = begun(tmp_path)
    journal.save("a", block_result())
    journal.save("b", block_result())
    (tmp_path / "unfinished" / "000-a.json").write_text("{")
    journal.save("a", block_result(run_id="again"))
    assert Journal(tmp_path).results()["a"] == block_result(run_id="again")


def test_a_result_comes_back_with_its_cells(tmp_path: Path) -> None:
    journal = begun(tmp_path)
    journal.save("a", block_result([cell("one"), cell("two", cpu=None)]))
    assert Journal(tmp_path).results() == {"a": block_result([cell("one"), cell("two", cpu=None)])}


def test_nothing_to_resume_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no unfinished run"):
        Journal(tmp_path).settings()


@pytest.mark.parametrize("text", ["", "{", "null", "{}", '{"settings": {}}', '{"settings": {"rates_rps": ["fast"]}}'])
def test_a_note_that_cannot_be_read_is_a_usage_error(tmp_path: Path, text: str) -> None:
    begun(tmp_path)
    (tmp_path / "unfinished" / "run.json").write_text(text)
    with pytest.raises(UsageError, match=r"run\.json"):
        Journal(tmp_path).settings()


def test_a_complete_run_leaves_nothing_to_resume(tmp_path: Path) -> None:
    journal = begun(tmp_path)
    journal.save("a", block_result())
    journal.close()
    assert list(tmp_path.iterdir()) == []


def test_a_new_directory_has_no_results(tmp_path: Path) -> None:
    assert Journal(tmp_path / "new").results() == {}


HOSTILE = Path(__file__).parents[2] / "data" / "hostile"


@pytest.mark.parametrize(
    ("name", "named"), [("resume-deep", "nested more than 40 deep"), ("resume-no-facts", "facts is missing")]
)
def test_a_note_from_anywhere_is_one_line(name: str, named: str) -> None:
    with pytest.raises(UsageError, match=named) as error:
        Journal(HOSTILE / name).settings()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"version": 1}, "begun by another version of meshinsight"),
        ({"version": 3}, "begun by another version of meshinsight"),
        ({"format": "other"}, "begun by another version of meshinsight"),
        ({"facts": []}, "facts: expected object"),
        ({"settings": {"rates_rps": ["max"], "duration_s": "long"}}, "settings: duration_s: expected float"),
        ({"settings": {"rates_rps": ["max"], "repeats": 1}}, "--rounds: 1 is outside"),
        ({"settings": {"rates_rps": ["max"], "speed": 1}}, "settings: unknown setting 'speed'"),
        ({"settings": {}}, "settings: rates_rps is missing"),
    ],
)
def test_what_is_wrong_in_a_note_is_named(tmp_path: Path, change: dict[str, object], named: str) -> None:
    begun(tmp_path)
    file = tmp_path / "unfinished" / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(UsageError, match=named):
        Journal(tmp_path).settings()


@pytest.mark.parametrize("text", ['{"name": 1, "result": {}}', '{"name": "b", "result": []}', "[" * 2000])
def test_an_entry_of_another_form_counts_as_unfinished(tmp_path: Path, text: str) -> None:
    journal = begun(tmp_path)
    journal.save("a", block_result())
    (tmp_path / "unfinished" / "001-b.json").write_text(text)
    assert list(Journal(tmp_path).results()) == ["a"]


def test_what_is_kept_goes_on_elsewhere(tmp_path: Path) -> None:
    journal = begun(tmp_path / "here")
    journal.save("a", block_result([cell("one")]))
    Journal(tmp_path / "there").restore(journal.files())
    there = Journal(tmp_path / "there")
    assert (there.settings(), there.facts()) == (journal.settings(), journal.facts())
    assert there.results() == journal.results()


@pytest.mark.parametrize(("facts", "expected"), [({"cluster": "0123"}, True), ({"machine": "0123"}, False)])
def test_it_knows_whether_it_was_begun_on_a_cluster(tmp_path: Path, facts: dict[str, str], expected: bool) -> None:
    journal = Journal(tmp_path)
    journal.begin(EVERYTHING, facts)
    assert journal.on_cluster == expected
