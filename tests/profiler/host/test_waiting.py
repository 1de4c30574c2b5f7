import itertools

import pytest

from profiler.host.waiting import wait_until


def test_it_ends_when_it_is_so() -> None:
    answers = iter([False, False, True])
    assert wait_until(lambda: next(answers), 5.0, every_s=0.0)
    assert list(answers) == []


def test_it_is_asked_once_when_no_time_is_left() -> None:
    asked = itertools.count()
    assert not wait_until(lambda: next(asked) > 0, -1.0)
    assert next(asked) == 1


def test_what_the_check_raises_ends_the_wait() -> None:
    def ended() -> None:
        raise ChildProcessError("it has ended")

    with pytest.raises(ChildProcessError, match="it has ended"):
        wait_until(lambda: False, 5.0, check=ended)
