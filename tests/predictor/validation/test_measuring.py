from predictor.validation.measuring import _held


class Attempts:
    def __init__(self, *answers: float) -> None:
        self.answers = list(answers)

    def __call__(self) -> float:
        return self.answers.pop(0)


def test_the_first_attempt_that_holds_what_is_wanted_is_enough() -> None:
    attempts = Attempts(8.0, 12.0, 20.0)
    assert _held(10.0, attempts) == 10.0
    assert attempts.answers == [20.0]


def test_of_attempts_that_hold_less_the_best_counts() -> None:
    assert _held(10.0, Attempts(4.0, 7.0, 5.0)) == 7.0
