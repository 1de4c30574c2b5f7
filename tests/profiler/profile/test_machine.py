"""When two environments are of one kind of machine, and when of one machine."""

import pytest

from profiler.profile.machine import is_another_machine, machine_differences

HERE = {"cpu_model": "A", "cpus": 2, "kernel": "6.1", "memory_bytes": 1, "machine_id_hash": "x"}


@pytest.mark.parametrize(("field", "value"), [("cpu_model", "B"), ("cpus", 4), ("kernel", "6.2"), ("kernel", None)])
def test_cpu_model_number_of_cpus_and_kernel_make_the_kind(field: str, value: object) -> None:
    (found,) = machine_differences(HERE, HERE | {field: value})
    assert (found.field, found.old, found.new) == (field, HERE[field], value)


def test_nothing_else_does() -> None:
    assert machine_differences(HERE, HERE | {"memory_bytes": 2, "machine_id_hash": "y"}) == []


def test_machines_are_told_apart_where_both_are_known() -> None:
    assert is_another_machine(HERE, HERE | {"machine_id_hash": "y"})
    assert not is_another_machine(HERE, HERE)
    assert not is_another_machine(HERE, HERE | {"machine_id_hash": None})
    assert not is_another_machine({}, HERE)
