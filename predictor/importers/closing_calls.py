"""Which calls to cut so that none closes a cycle. Pure and linear."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

_SHOWN: Final = 4


def closing_calls(starts: Iterable[str], callees: Mapping[str, Sequence[str]]) -> dict[tuple[str, str], str]:
    """Calls whose removal leaves no cycle, each with the cycle that it closes as text.

    Depth first from `starts` in their order, callees in theirs: a call is cut where it leads back to a service that
    is being handled, so whatever `starts` reach they still reach.
    """
    finished: set[str] = set()
    cut: dict[tuple[str, str], str] = {}
    for start in starts:
        if start not in finished:
            _cut_below(start, callees, finished, cut)
    return cut


def _cut_below(
    start: str, callees: Mapping[str, Sequence[str]], finished: set[str], cut: dict[tuple[str, str], str]
) -> None:
    path, place = [start], {start: 0}
    walk = [iter(callees.get(start, ()))]
    while walk:
        following = next(walk[-1], None)
        if following is None:
            walk.pop()
            name = path.pop()
            del place[name]
            finished.add(name)
        elif following in place:
            cut[path[-1], following] = _around(path, place[following])
        elif following not in finished:
            place[following] = len(path)
            path.append(following)
            walk.append(iter(callees.get(following, ())))


def _around(path: Sequence[str], first: int) -> str:
    """The cycle from `path[first]` to the end of the path and back; a long one shortened."""
    whole = len(path) - first <= 2 * _SHOWN
    middle = path[first:] if whole else [*path[first : first + _SHOWN], "…", *path[-2:]]
    return " -> ".join([*middle, path[first]])
