"""What the Gaussian process believes of architectures it has seen, of their likes, and of later epochs."""

import numpy as np

from workers.auto.gaussian_process import GaussianProcess, Matrix, Points, Scales, climb

GENERATOR = np.random.default_rng(3)
FEATURES = GENERATOR.standard_normal((60, 6))
LEVELS = FEATURES[:, 0] + 0.5 * np.sin(2.0 * FEATURES[:, 1])


def last(features: Matrix) -> Points:
    return Points(features, np.zeros(len(features)))


def test_what_was_seen_is_believed() -> None:
    process = GaussianProcess(last(FEATURES), LEVELS, Scales(noise=0.02))
    mean, deviation = process.predict(last(FEATURES))
    assert np.abs(mean - LEVELS).max() < 0.1
    assert deviation.max() < 0.1


def test_far_from_all_that_was_seen_the_deviation_is_large() -> None:
    process = GaussianProcess(last(FEATURES), LEVELS, Scales())
    near, far = process.predict(last(FEATURES))[1], process.predict(last(FEATURES + 20.0))[1]
    assert far.min() > 3.0 * near.max()


def test_better_scales_foretell_better() -> None:
    seen, unseen = last(FEATURES[:40]), last(FEATURES[40:])
    plain = GaussianProcess(seen, LEVELS[:40], Scales(noise=1.0))
    found = climb(seen, LEVELS[:40], plain.scales, 60, np.random.default_rng(0))
    assert found.log_likelihood > plain.log_likelihood
    errors = [np.abs(process.predict(unseen)[0] - LEVELS[40:]).mean() for process in (plain, found)]
    assert errors[1] < 0.7 * errors[0]


def test_a_first_epoch_tells_something_of_the_last() -> None:
    early = Points(FEATURES, np.full(60, -2.0))
    both = Points(np.vstack([FEATURES, FEATURES[:5]]), np.append(np.full(60, -2.0), np.zeros(5)))
    targets = np.append(LEVELS - 1.0, LEVELS[:5])
    mean, _ = GaussianProcess(both, targets, Scales()).predict(last(FEATURES[5:]))
    assert np.corrcoef(mean, LEVELS[5:])[0, 1] > 0.9
    # The few that were trained to the end say how much later epochs add.
    assert np.abs(mean - LEVELS[5:]).mean() < 0.5
    alone, _ = GaussianProcess(early, LEVELS - 1.0, Scales()).predict(last(FEATURES[5:]))
    assert np.abs(mean - LEVELS[5:]).mean() < np.abs(alone - LEVELS[5:]).mean()
