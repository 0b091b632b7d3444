import pytest

from search_spaces.random_trial import RandomTrial


def _answers(seed: int) -> list[object]:
    trial = RandomTrial(seed)
    return [
        trial.suggest_categorical("kernel", (3, 5, 7)),
        trial.suggest_int("width", 8, 64, step=8),
        trial.suggest_int("batch", 1, 1024, log=True),
        trial.suggest_float("rate", 1e-4, 1.0, log=True),
        trial.suggest_float("share", 0.0, 1.0),
        trial.suggest_float("dropout", 0.0, 0.5, step=0.1),
    ]


def test_equal_seeds_give_equal_answers() -> None:
    assert _answers(7) == _answers(7)
    assert len({repr(_answers(seed)) for seed in range(20)}) == 20


def test_a_name_asked_twice_gives_one_answer() -> None:
    trial = RandomTrial(0)
    first = trial.suggest_float("x", 0.0, 1.0)
    assert trial.suggest_float("x", 0.0, 1.0) == first
    assert trial.params == {"x": first}


def test_answers_stay_in_range() -> None:
    for seed in range(300):
        trial = RandomTrial(seed)
        assert trial.suggest_int("a", 3, 9, step=3) in (3, 6, 9)
        assert 2 <= trial.suggest_int("b", 2, 5, log=True) <= 5
        assert 0.1 <= trial.suggest_float("c", 0.1, 0.3, log=True) <= 0.3
        assert trial.suggest_float("d", 0.0, 0.3, step=0.1) <= 0.3


def test_every_choice_is_about_as_likely() -> None:
    drawn = [RandomTrial(seed).suggest_categorical("kernel", (3, 5, 7)) for seed in range(3000)]
    assert all(900 <= drawn.count(choice) <= 1100 for choice in (3, 5, 7))


def test_fixed_answers_are_given_back() -> None:
    trial = RandomTrial(0, fixed={"kernel": 7})
    assert trial.suggest_categorical("kernel", (3, 5, 7)) == 7


def test_a_fixed_answer_outside_the_choices_is_refused() -> None:
    with pytest.raises(ValueError, match="kernel"):
        RandomTrial(0, fixed={"kernel": 9}).suggest_categorical("kernel", (3, 5, 7))
