"""Cycles are cut where they close, and whatever is reached stays reached."""

from hypothesis import given
from hypothesis import strategies as st

from predictor.importers.closing_calls import closing_calls
from tests.counting import function_calls

EDGES = st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=25)


def callees_of(edges: set[tuple[int, int]]) -> dict[str, list[str]]:
    callees: dict[str, list[str]] = {}
    for caller, callee in sorted(edges):
        callees.setdefault(str(caller), []).append(str(callee))
    return callees


def reached(start: str, callees: dict[str, list[str]], cut: set[tuple[str, str]]) -> list[str]:
    found = [start]
    for name in found:
        found += [each for each in callees.get(name, ()) if (name, each) not in cut and each not in found]
    return sorted(found)


@given(EDGES)
def test_what_is_left_has_no_cycle_and_reaches_as_much(edges: set[tuple[int, int]]) -> None:
    callees = callees_of(edges)
    cut = set(closing_calls(["0", *callees], callees))
    assert reached("0", callees, cut) == reached("0", callees, set())
    for start in callees:
        below = [each for each in callees[start] if (start, each) not in cut]
        assert all(start not in reached(each, callees, cut) for each in below)


def test_a_long_cycle_is_shown_shortened() -> None:
    names = [f"s{number}" for number in range(40)]
    callees = {name: [names[(number + 1) % 40]] for number, name in enumerate(names)}
    assert list(closing_calls(names, callees).values()) == ["s0 -> s1 -> s2 -> s3 -> … -> s38 -> s39 -> s0"]


def test_work_is_linear_in_the_calls() -> None:
    def everyone(count: int) -> int:
        names = [str(number) for number in range(count)]
        return function_calls(lambda: closing_calls(names, dict.fromkeys(names, names)))

    assert everyone(160) < 4.2 * everyone(80)
