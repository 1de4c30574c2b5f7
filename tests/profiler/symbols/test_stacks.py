"""Sampled stacks: of functions in user mode, equal ones joined, and no more than there is room for."""

from profiler.symbols.maps import NOWHERE, UserAddress
from profiler.symbols.stacks import KERNEL, RARE, Stack, heaviest, user_stacks
from profiler.symbols.tables import Function

IN_LOOP, IN_LOOP_TOO, STRIPPED, OUTSIDE = (UserAddress("/usr/bin/proxy", offset) for offset in (16, 20, 64, 999))
FUNCTIONS = {
    IN_LOOP: Function("/usr/bin/proxy", 16, "loop()"),
    IN_LOOP_TOO: Function("/usr/bin/proxy", 16, "loop()"),
    STRIPPED: Function("/usr/bin/proxy", 64),
}


def kernel(name: str, weight: float, process: str = "server_app") -> Stack:
    return Stack(process, "ipc", KERNEL, ("entry", name), weight)


def test_places_of_one_function_are_one_stack() -> None:
    user = {("client_sidecar", IN_LOOP): 2.0, ("client_sidecar", IN_LOOP_TOO): 3.0, ("server_sidecar", IN_LOOP): 7.0}
    assert user_stacks(user, FUNCTIONS) == [
        Stack("client_sidecar", "user", "/usr/bin/proxy", ("loop()",), 5.0),
        Stack("server_sidecar", "user", "/usr/bin/proxy", ("loop()",), 7.0),
    ]


def test_what_has_no_name_is_named_by_its_file() -> None:
    places = (STRIPPED, OUTSIDE, UserAddress(NOWHERE, 5), UserAddress("[vdso]", 1), UserAddress("/x/\x1b[2J", 1))
    found = user_stacks({("client_sidecar", place): 1.0 for place in places}, FUNCTIONS)
    assert [stack.frames[0] for stack in found] == ["proxy+0x40", "[proxy]", "[unknown]", "[vdso]", "[ [2J]"]
    assert all(text.isprintable() for stack in found for text in (stack.file, *stack.frames))


def test_a_name_without_end_is_cut() -> None:
    functions = {IN_LOOP: Function("/usr/bin/proxy", 16, "f<" + "x, " * 50_000 + ">")}
    (found,) = user_stacks({("client_sidecar", IN_LOOP): 1.0}, functions)
    assert len(found.frames[0]) == 1000


def test_equal_stacks_are_joined_and_the_heaviest_comes_first() -> None:
    assert heaviest([kernel("a", 1.0), kernel("b", 2.0), kernel("a", 3.0)]) == (kernel("a", 4.0), kernel("b", 2.0))


def test_what_is_beyond_the_bound_keeps_its_weight_process_and_kind() -> None:
    found = heaviest([kernel("a", 5.0), kernel("b", 2.0), kernel("c", 1.0), kernel("b", 1.0, "client_app")], most=1)
    rare = [
        Stack(process, "ipc", RARE, (RARE,), weight) for process, weight in (("server_app", 3.0), ("client_app", 1.0))
    ]
    assert found == (kernel("a", 5.0), *rare)
