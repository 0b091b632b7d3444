"""Who goes on past a rung."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas_service.early_stopping import RungEntry, best, decide
from nas_service.studies import Training


def entry(number: int, *values: float, accuracy: float = 0.9) -> RungEntry:
    return RungEntry(number, values, accuracy)


def entries(*values: tuple[float, ...]) -> list[RungEntry]:
    return [entry(number, *value) for number, value in enumerate(values, start=1)]


def goes_on(candidate: RungEntry, others: list[RungEntry], factor: int = 3) -> bool:
    return decide(candidate, others, factor, classes=10)


def test_the_first_always_goes_on() -> None:
    assert goes_on(entry(1, 0.9, 5.0), [])


def test_with_one_objective_the_best_third_goes_on() -> None:
    others = entries(*((float(value),) for value in range(1, 9)))
    assert goes_on(entry(9, 0.5), others)
    assert goes_on(entry(9, 2.5), others)
    assert not goes_on(entry(9, 3.5), others)


def test_a_cheap_candidate_goes_on_beside_an_accurate_one() -> None:
    others = entries((-0.9, 100.0), (-0.8, 200.0), (-0.7, 300.0), (-0.6, 400.0), (-0.5, 500.0))
    assert goes_on(entry(9, -0.4, 10.0), others)
    assert not goes_on(entry(9, -0.4, 450.0), others)


@pytest.mark.parametrize(
    ("classes", "middle", "kept"), [(10, 0.19, 9), (10, 0.2, 3), (2, 0.55, 9), (2, 0.56, 3)]
)
def test_a_rung_where_most_are_hardly_better_than_guessing_stops_nobody(
    classes: int, middle: float, kept: int
) -> None:
    accuracies = (*[0.1] * 4, middle, *[0.9] * 4)
    reached = [entry(number, -value, accuracy=value) for number, value in enumerate(accuracies)]
    assert best(reached, 3, classes) == kept
    assert decide(reached[0], reached[1:], 3, classes) == (kept == 9)


@pytest.mark.parametrize(
    ("epochs", "factor", "rungs"),
    [
        (1, 3, ()),
        (2, 3, (1,)),
        (5, 3, (1,)),
        (6, 3, (1, 3)),
        (12, 3, (1, 3)),
        (27, 3, (1, 3, 9)),
        (8, 2, (1, 2, 4)),
    ],
)
def test_no_rung_lies_beyond_half_of_the_epochs(epochs: int, factor: int, rungs: tuple[int, ...]) -> None:
    assert Training(epochs=epochs, reduction_factor=factor).rungs == rungs
    assert Training(epochs=epochs, reduction_factor=factor, early_stopping="none").rungs == ()


@given(
    st.lists(st.tuples(st.integers(0, 5).map(float), st.integers(0, 5).map(float)), max_size=15),
    st.tuples(st.integers(0, 5).map(float), st.integers(0, 5).map(float)),
    st.integers(2, 4),
    st.randoms(),
)
def test_the_order_of_arrival_does_not_matter(
    values: list[tuple[float, ...]], own: tuple[float, ...], factor: int, random: object
) -> None:
    others = entries(*values)
    shuffled = list(others)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert goes_on(entry(99, *own), others, factor) == goes_on(entry(99, *own), shuffled, factor)


def test_the_most_accurate_so_far_goes_on_among_cheaper_ones_that_nobody_dominates() -> None:
    others = [entry(1, -0.6, 10.0, accuracy=0.6), entry(2, -0.7, 100.0, accuracy=0.7)]
    leader = entry(3, -0.75, 200.0, accuracy=0.75)
    assert goes_on(leader, others)
    # One that is as accurate has no such claim, nor has one that can never be on the front.
    assert not goes_on(entry(3, -0.7, 200.0, accuracy=0.7), others)
    assert not goes_on(RungEntry(3, (-0.75, 200.0), 0.75, counts=False), others)
