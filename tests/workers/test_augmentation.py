"""Augmentations to the element: what is zeroed, moved and left alone."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from nas_service.studies import AUGMENTATION_AXES, Augmentation
from workers.training.augmentation import GROUPS, augmented

SHAPES = {1: (48, 1, 40), 2: (48, 3, 12, 20), 3: (48, 1, 8, 9, 10)}
FORMATS = {2: torch.channels_last, 3: torch.channels_last_3d}


def ones(axes: int) -> Tensor:
    batch = torch.ones(SHAPES[axes])
    return batch.to(memory_format=FORMATS[axes]) if axes in FORMATS else batch


def drawn(batch: Tensor, seed: int = 0, **changes: object) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return augmented(batch.clone(), Augmentation.model_validate(changes), generator)


def box(example: Tensor) -> tuple[slice, ...]:
    """Return the smallest box around an example's zeros, over all channels."""
    places = (example[0] == 0).nonzero()
    return tuple(slice(int(low), int(high) + 1) for low, high in zip(*places.aminmax(dim=0), strict=True))


@pytest.mark.parametrize(("field", "axis"), [("time_mask", 1), ("frequency_mask", 0)])
def test_masks_are_whole_stretches_of_one_axis(field: str, axis: int) -> None:
    masked = drawn(ones(2), **{field: 5})
    widths = set()
    for example in masked:
        if (example == 0).any():
            zeros = box(example)
            assert (example[:, *zeros] == 0).all()
            assert zeros[1 - axis] == slice(0, example.shape[2 - axis])
            widths.add(zeros[axis].stop - zeros[axis].start)
    assert len(widths) > 1
    assert max(widths) <= 5
    assert set(masked.unique().tolist()) == {0.0, 1.0}


def test_several_masks_may_fall_on_one_example() -> None:
    masked = drawn(ones(2), time_mask=2, masks=6)
    frames = (masked[:, 0, 0] == 0).sum(1)
    assert 2 < int(frames.max()) <= 12


def test_a_mask_wider_than_the_axis_fits_it() -> None:
    assert drawn(ones(2), time_mask=1024, frequency_mask=1024).shape == SHAPES[2]


@pytest.mark.parametrize("axes", [2, 3])
def test_cutout_zeroes_a_square_or_cube_cut_off_at_borders(axes: int) -> None:
    cut = drawn(ones(axes), cutout=4)
    sizes = set()
    for example in cut:
        zeros = box(example)
        assert (example[:, *zeros] == 0).all()
        assert (example == 0).sum() == (example[:, *zeros] == 0).sum()
        sizes |= {edge.stop - edge.start for edge in zeros}
    assert max(sizes) == 4
    assert min(sizes) >= 2


@pytest.mark.parametrize("fill", ["circular", "zero"])
def test_shifted_signals_keep_their_order(fill: str) -> None:
    signal = torch.arange(1.0, 41.0).expand(SHAPES[1])
    moved = drawn(signal, shift=7, shift_fill=fill)
    distances = set()
    for example in moved[:, 0]:
        kept = example[example > 0].tolist()
        if fill == "circular":
            assert sorted(kept) == list(range(1, 41))
            kept = kept[kept.index(1) :] + kept[: kept.index(1)]
        assert all(after - before == 1 for before, after in pairwise(kept))
        distances.add(int(example.argmax()) if fill == "circular" else len(kept))
    assert len(distances) > 1
    assert fill == "circular" or min(distances) >= 33


def test_a_shift_beyond_the_signal_leaves_a_part_of_it() -> None:
    moved = drawn(ones(1), shift=65_536, shift_fill="zero")
    assert (moved.sum((1, 2)) >= 1).all()


def test_contrast_keeps_the_mean_and_brightness_the_deviation() -> None:
    batch = torch.randn(SHAPES[2], generator=torch.Generator().manual_seed(1))
    stretched, lit = drawn(batch, contrast=0.5), drawn(batch, brightness=0.5)
    assert torch.allclose(stretched.mean((1, 2, 3)), batch.mean((1, 2, 3)), atol=1e-6)
    assert torch.allclose(lit.std((1, 2, 3)), batch.std((1, 2, 3)), atol=1e-6)
    factors = stretched.std((1, 2, 3)) / batch.std((1, 2, 3))
    offsets = lit.mean((1, 2, 3)) - batch.mean((1, 2, 3))
    assert 0.5 <= float(factors.min()) < 0.9 < 1.1 < float(factors.max()) <= 1.5
    assert -0.5 <= float(offsets.min()) < -0.1 < 0.1 < float(offsets.max()) <= 0.5


ROWS: list[tuple[int, dict[str, object]]] = [
    (axes, {name: value})
    for name, value in {
        "crop_padding": 2,
        "horizontal_flip": True,
        "brightness": 0.5,
        "contrast": 0.5,
        "cutout": 4,
        "time_mask": 6,
        "frequency_mask": 6,
        "shift": 9,
        "noise": 0.5,
    }.items()
    for axes in AUGMENTATION_AXES.get(name, (1, 2, 3))
]


@pytest.mark.parametrize(("axes", "row"), ROWS)
def test_equal_seeds_draw_equally_and_memory_order_stays(axes: int, row: dict[str, object]) -> None:
    batch = torch.randn(SHAPES[axes], generator=torch.Generator().manual_seed(1))
    batch = ones(axes).copy_(batch)
    first, again, other = drawn(batch, 1, **row), drawn(batch, 1, **row), drawn(batch, 2, **row)
    assert torch.equal(first, again)
    # A flip is always of the first half.
    assert torch.equal(first, other) == ("horizontal_flip" in row)
    assert not torch.equal(first, batch)
    assert first.stride() == batch.stride()
    assert drawn(batch[:1], **row).shape == batch[:1].shape


def test_each_group_of_a_batch_has_its_own_draw() -> None:
    moved = drawn(torch.arange(1.0, 41.0).expand(GROUPS * 3, 1, 40), shift=19)
    places = moved[:, 0].argmax(1).reshape(GROUPS, 3)
    assert (places == places[:, :1]).all()
    assert len(places[:, 0].unique()) > GROUPS / 2


@pytest.mark.parametrize(
    ("axes", "row", "unfit"),
    [
        (1, {"time_mask": 3, "shift": 3, "noise": 0.1}, {"time_mask": (2,)}),
        (2, {"time_mask": 3, "shift": 3, "cutout": 3}, {"shift": (1,)}),
        (3, {"frequency_mask": 3, "horizontal_flip": True, "crop_padding": 1}, {"frequency_mask": (2,)}),
    ],
)
def test_what_does_not_fit_the_data_is_named(
    axes: int, row: dict[str, object], unfit: dict[str, tuple[int, ...]]
) -> None:
    assert Augmentation.model_validate(row).unfit_fields(axes) == unfit
