"""A machine's noise as a worker knows it."""

from collections.abc import Iterator

from workers.noise import NOISY_AGAIN_S, QUIET_AGAIN_S, Noise


def of(*reasons: str | None) -> Noise:
    """Return the noise of a machine whose tests end so, one after another."""
    answers: Iterator[str | None] = iter(reasons)
    return Noise(lambda: next(answers))


def test_it_is_tested_at_once() -> None:
    assert of("31 % apart").reason == "31 % apart"
    assert of(None).reason is None


def test_only_a_change_between_noisy_and_quiet_is_one() -> None:
    noise = of("31 % apart", "29 % apart", None, None, "50 % apart")
    assert [noise.has_changed() for _ in range(4)] == [False, True, False, True]
    assert noise.reason == "50 % apart"


def test_a_noisy_machine_is_tested_again_soon_and_then_less_often() -> None:
    noise = of(*["31 % apart"] * 6, None, "31 % apart")
    waits = [noise.stands_s]
    for _ in range(7):
        noise.has_changed()
        waits.append(noise.stands_s)
    assert waits == [0.5, 1.0, 2.0, 4.0, NOISY_AGAIN_S, NOISY_AGAIN_S, QUIET_AGAIN_S, 0.5]
    assert not noise.is_due
