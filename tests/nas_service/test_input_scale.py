"""Numbers of another scale than the training data's are doubted, proper ones are not."""

import json
from dataclasses import replace

import numpy as np
import pytest

from nas_service.datasets.reading import digits
from nas_service.input_scale import InputScale
from nas_service.preprocessing import Preprocessing

DIGITS = digits()
PIXELS = DIGITS.x_test.astype(np.float64)


def known_of(examples: np.ndarray, **changes: object) -> Preprocessing:
    """What an export knows of a training part (N, C, *S)."""
    axes = (0, *range(2, examples.ndim))
    within = examples.std(tuple(range(1, examples.ndim)), dtype=np.float64)
    full = Preprocessing(
        input_shape=examples.shape[1:],
        input_type=str(examples.dtype),
        normalisation="dataset",
        mean=tuple(examples.mean(axes, dtype=np.float64)),
        deviation=tuple(np.maximum(examples.std(axes, dtype=np.float64), 1e-6)),
        classes=("a", "b"),
        minimum=float(examples.min()),
        maximum=float(examples.max()),
        quiet_deviation=float(np.quantile(within, 0.01)),
    )
    return replace(full, **changes)


def earlier(known: Preprocessing) -> Preprocessing:
    """As an export of an earlier version knows it."""
    return replace(known, minimum=None, maximum=None, quiet_deviation=None)


def doubt(known: Preprocessing, examples: np.ndarray) -> str | None:
    scale = InputScale(known)
    for half in np.array_split(examples, 2):
        scale.look(half)
    return scale.doubt()


KNOWN = known_of(DIGITS.x_train)
SOUNDS = np.random.default_rng(0).normal(0, 1, (400, 1, 500)) * np.geomspace(30, 6_000, 400)[:, None, None]
HEARD = known_of(SOUNDS.clip(-32_768, 32_767).astype(np.int16))


@pytest.mark.parametrize("known", [KNOWN, earlier(KNOWN)])
@pytest.mark.parametrize("factor", [16 / 255, 1 / 255])
def test_digits_of_another_scale_vary_far_less(known: Preprocessing, factor: float) -> None:
    said = doubt(known, PIXELS[:10] * factor)
    assert said is not None
    assert f"({0:g} to {255 * factor:.6g}) vary far less than" in said
    assert "mean 77.89, deviation 95.89" in said
    assert ("0 to 255, mean" in said) is (known is KNOWN)


@pytest.mark.parametrize("is_earlier", [False, True])
@pytest.mark.parametrize("divisor", [255, 255 / 16])
def test_pixels_lie_far_outside_what_was_scaled_down(is_earlier: bool, divisor: float) -> None:
    known = known_of((DIGITS.x_train / divisor).astype(np.float32))
    said = doubt(earlier(known) if is_earlier else known, PIXELS[:1])
    assert said is not None
    assert "(0 to 255) lie far outside" in said


@pytest.mark.parametrize("known", [KNOWN, earlier(KNOWN)])
@pytest.mark.parametrize("count", [1, 2, 10, len(PIXELS)])
def test_digits_as_in_the_data_set_are_not_doubted(known: Preprocessing, count: int) -> None:
    for start in range(0, len(PIXELS), max(count, 20)):
        assert doubt(known, PIXELS[start : start + count]) is None


def test_one_example_in_fractions_of_one_is_doubted_where_the_data_set_has_whole_numbers() -> None:
    assert doubt(KNOWN, PIXELS[:1] / 255) is not None
    said = doubt(HEARD, SOUNDS[-1:] / 32_768)
    assert said is not None
    assert "vary far less than" in said


def test_any_scale_will_do_where_each_example_is_normalised_by_itself() -> None:
    known = replace(KNOWN, normalisation="example")
    assert doubt(known, PIXELS / 255) is None
    assert doubt(known, PIXELS * 1000) is None


@pytest.mark.parametrize("known", [HEARD, earlier(HEARD)])
@pytest.mark.parametrize(
    "examples",
    [
        np.zeros((20, 1, 500)),
        np.random.default_rng(1).integers(-3, 4, (1, 1, 500)),
        np.random.default_rng(1).normal(0, 2, (4, 1, 500)),
        SOUNDS[:12],
        SOUNDS[-1:] * 1.5,
    ],
    ids=["all zeros", "one silence", "some silences", "quiet", "the loudest, louder"],
)
def test_silence_and_loud_sounds_are_not_doubted(known: Preprocessing, examples: np.ndarray) -> None:
    assert doubt(known, examples) is None


def test_a_lone_outlier_and_a_constant_channel_are_not_doubted() -> None:
    outlier = PIXELS[:10].copy()
    outlier[0, 0, 0, 0] = 2_000
    assert doubt(KNOWN, outlier) is None
    both = np.concatenate([DIGITS.x_train, np.zeros_like(DIGITS.x_train)], axis=1)
    shown = np.concatenate([PIXELS, np.full_like(PIXELS, 3)], axis=1)
    assert doubt(known_of(both), shown) is None
    assert doubt(earlier(known_of(both)), shown) is None


def test_what_is_not_finite_is_no_question_of_scale() -> None:
    assert doubt(KNOWN, np.full((10, 1, 8, 8), np.nan)) is None
    assert InputScale(KNOWN).doubt() is None


def test_preprocessing_of_an_earlier_export_is_read() -> None:
    written = json.loads(json.dumps(KNOWN.to_dict()))
    assert Preprocessing.from_dict(written) == KNOWN
    for name in ("minimum", "maximum", "quiet_deviation"):
        del written[name]
    assert Preprocessing.from_dict(written) == earlier(KNOWN)
    del written["mean"]
    with pytest.raises(ValueError, match="lacks 'mean'"):
        Preprocessing.from_dict(written)
