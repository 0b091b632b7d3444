"""Who goes on past a rung."""

from hypothesis import given
from hypothesis import strategies as st

from nas_service.early_stopping import RungEntry, decide


def entries(*values: tuple[float, ...]) -> list[RungEntry]:
    return [RungEntry(number, value) for number, value in enumerate(values, start=1)]


def test_the_first_always_goes_on() -> None:
    assert decide(RungEntry(1, (0.9, 5.0)), [], 3)


def test_with_one_objective_the_best_third_goes_on() -> None:
    others = entries(*((float(value),) for value in range(1, 9)))
    assert decide(RungEntry(9, (0.5,)), others, 3)
    assert decide(RungEntry(9, (2.5,)), others, 3)
    assert not decide(RungEntry(9, (3.5,)), others, 3)


def test_a_cheap_candidate_goes_on_beside_an_accurate_one() -> None:
    others = entries((-0.9, 100.0), (-0.8, 200.0), (-0.7, 300.0), (-0.6, 400.0), (-0.5, 500.0))
    assert decide(RungEntry(9, (-0.4, 10.0)), others, 3)
    assert not decide(RungEntry(9, (-0.4, 450.0)), others, 3)


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
    assert decide(RungEntry(99, own), others, factor) == decide(RungEntry(99, own), shuffled, factor)
