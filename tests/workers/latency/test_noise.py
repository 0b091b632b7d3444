"""What a worker finds out about its machine when it joins."""

import pytest

from workers.latency import self_test
from workers.latency.noise import reason, timing_noise


def test_the_self_test_reports_on_this_machine() -> None:
    found = self_test(noise_limit=1000.0)
    assert 0 < found.clock_resolution_s < 1e-4
    assert found.load is None or found.load >= 0
    assert found.timing_noise >= 0
    assert found.reference_ms > 0
    assert found.reason is None


def test_a_bound_that_no_machine_keeps_gives_the_reason_in_words() -> None:
    found = self_test(noise_limit=-1.0)
    assert found.reason is not None
    assert found.reason.startswith("timings of one network differ by ")
    assert "at most -100 % is allowed" in found.reason


def test_timing_noise_leaves_out_the_largest_and_the_smallest_figure() -> None:
    assert timing_noise([2.0, 2.5, 9.0, 2.2, 1.0]) == pytest.approx(0.25)


def test_noise_up_to_the_limit_is_no_reason() -> None:
    assert reason(0.15, 0.15, 1e-9, 1e-4) is None


def test_noise_above_the_limit_is_named_with_the_limit() -> None:
    assert reason(0.31, 0.15, 1e-9, 1e-4) == (
        "timings of one network differ by 31 %, at most 15 % is allowed; other work takes its core"
    )


def test_a_clock_too_coarse_for_the_reference_is_named() -> None:
    assert reason(0.0, 0.15, 1.6e-5, 1e-4) == (
        "the clock ticks every 16 us, at most 1 % of the reference network's 100 us is allowed"
    )
