"""What is asked for by many at once is made once."""

import threading

import pytest

from nas_service.dashboard.kept import Kept


def test_a_value_is_made_once_for_all_who_ask_meanwhile() -> None:
    kept: Kept[int] = Kept(2)
    begun, goes_on = threading.Event(), threading.Event()
    made: list[int] = []

    def make() -> int:
        begun.set()
        goes_on.wait(10)
        made.append(1)
        return len(made)

    answers: list[int] = []
    asking = [threading.Thread(target=lambda: answers.append(kept.of("a", make))) for _ in range(3)]
    for thread in asking:
        thread.start()
    assert begun.wait(10)
    goes_on.set()
    for thread in asking:
        thread.join(10)
    assert answers == [1, 1, 1]


def test_the_values_asked_for_last_are_kept() -> None:
    kept: Kept[str] = Kept(2)
    for key in ("a", "b", "a", "c"):
        kept.of(key, lambda: "old")
    assert [kept.of(key, lambda: "new") for key in ("a", "c", "b")] == ["old", "old", "new"]


def test_what_could_not_be_made_is_tried_again() -> None:
    kept: Kept[int] = Kept(2)
    with pytest.raises(ZeroDivisionError):
        kept.of("a", lambda: 1 // 0)
    assert kept.of("a", lambda: 7) == 7
