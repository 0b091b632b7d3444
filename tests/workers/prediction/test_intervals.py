"""Quantiles of held-out errors."""

import numpy as np
import pytest

from workers.prediction.intervals import half_width, pooled


def test_half_width_is_the_quantile_among_one_more() -> None:
    errors = np.arange(1.0, 10.0)
    assert half_width(errors, 0.5) == 5.0
    assert half_width(errors, 0.9) == 9.0


def test_half_width_grows_beyond_the_largest_error() -> None:
    errors = np.arange(1.0, 10.0)
    # One in ten lies beyond the largest error; twice as far, one in forty.
    assert half_width(errors, 1 - 1 / 40) == pytest.approx(18.0)


def test_pooled_errors_have_the_scale_of_the_few() -> None:
    few, many = np.array([2.0, 2.0, 2.0, 2.0]), np.array([0.1, 0.3])
    together = pooled(few, many)
    assert together[:4] == pytest.approx(2 * np.sqrt(4 / 2))
    assert together[5] / together[4] == pytest.approx(3.0)
    assert np.sqrt((together[4:] ** 2).mean()) == pytest.approx(together[0])


def test_exact_earlier_errors_add_nothing() -> None:
    assert pooled(np.array([1.0, 1.0, 1.0]), np.zeros(5))[3:] == pytest.approx(0.0)
