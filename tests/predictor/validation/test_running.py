"""What a validation says before anything is deployed."""

from predictor.validation.running import _other_placement


def test_cells_of_another_placement_than_the_testbeds_are_one_line() -> None:
    (text,) = _other_placement(["apart", "apart"], "free")
    assert text.startswith("the profile pinned processes apart, the graph is deployed with --placement free")
    assert text.endswith("meshinsight profile --placement free")
    assert "\n" not in text


def test_cells_of_the_same_placement_are_not_mentioned() -> None:
    assert _other_placement(["free", "free"], "free") == ()
    assert _other_placement([], "free") == ()
