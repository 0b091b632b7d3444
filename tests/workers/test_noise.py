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


def test_a_noisy_machine_is_tested_again_sooner_than_a_quiet_one() -> None:
    assert 0 < NOISY_AGAIN_S < QUIET_AGAIN_S
    assert not of("31 % apart").is_due
