"""What a validation says before anything is deployed."""

from predictor.validation.running import _other_machine, _other_placement


def test_cells_of_another_placement_than_the_testbeds_are_one_line() -> None:
    (text,) = _other_placement(["apart", "apart"], "free")
    assert text.startswith("the profile pinned processes apart, the graph is deployed with --placement free")
    assert text.endswith("meshinsight profile --placement free")
    assert "\n" not in text


def test_cells_of_the_same_placement_are_not_mentioned() -> None:
    assert _other_placement(["free", "free"], "free") == ()
    assert _other_placement([], "free") == ()


def test_a_profile_of_another_machine_is_told_by_what_differs() -> None:
    here = {"cpu_model": "A", "kernel": "6.1", "cpus": 2}
    (text,) = _other_machine({"cpu_model": "B", "kernel": "6.1", "cpus": 4}, here)
    assert text.startswith("the profile is of another machine: CPU model A here, B there; CPUs 2 here, 4 there: ")
    (text,) = _other_machine({}, here)
    assert "kernel 6.1 here, unknown there" in text


def test_a_profile_of_this_machine_needs_no_remark() -> None:
    assert _other_machine({"cpu_model": "A", "kernel": "6.1"}, {"cpu_model": "A", "kernel": "6.1"}) == ()
