"""Times handed from a service's process to the bench."""

from pathlib import Path

from profiler.workload.service.answer_times import _PAIRS, AnswerTimes, answer_times


def test_requests_of_a_window_are_read_while_the_writer_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "times"
    times = AnswerTimes(file)
    for number in range(1, 6):
        times.add(100 * number, number)
    assert answer_times(file, 200, 500).tolist() == [2, 3, 4]
    times.add(450, 9)
    assert sorted(answer_times(file, 200, 500).tolist()) == [2, 3, 4, 9]
    assert answer_times(file, 1000, 2000).tolist() == []


def test_a_full_ring_forgets_the_oldest(tmp_path: Path) -> None:
    times = AnswerTimes(tmp_path / "times")
    for number in range(1, _PAIRS + 3):
        times.add(number, number)
    assert answer_times(tmp_path / "times", 0, 4).tolist() == [3]


def test_a_file_that_is_cut_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    file = tmp_path / "times"
    file.write_bytes((100).to_bytes(8, "little") + (7).to_bytes(8, "little") + (200).to_bytes(8, "little") + b"x")
    assert answer_times(file, 0, 1000).tolist() == [7]
