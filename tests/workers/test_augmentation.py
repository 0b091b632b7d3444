"""Augmentations to the element: what is zeroed, moved and left alone, on processors and on accelerators.

A processor draws for groups of a batch, an accelerator for each example; the latter runs here on the CPU.
"""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from nas_service.studies import AUGMENTATION_AXES, Augmentation
from workers.training.augmentation import GROUPS, augmented
from workers.training.device_augmentation import coloured, moved

SHAPES = {1: (48, 1, 40), 2: (48, 3, 12, 20), 3: (48, 1, 8, 9, 10)}
FORMATS = {2: torch.channels_last, 3: torch.channels_last_3d}
Drawn = Callable[..., Tensor]


def ordered(batch: Tensor) -> Tensor:
    memory_format = FORMATS.get(batch.dim() - 2)
    return batch.clone(memory_format=memory_format) if memory_format else batch


def ones(axes: int) -> Tensor:
    return ordered(torch.ones(SHAPES[axes]))


def by_groups(batch: Tensor, seed: int = 0, **changes: object) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return augmented(batch.clone(), Augmentation.model_validate(changes), generator)


def by_example(batch: Tensor, seed: int = 0, **changes: object) -> Tensor:
    generator, kept = torch.Generator().manual_seed(seed), batch.clone()
    augmentation = Augmentation.model_validate(changes)
    result = coloured(moved(batch, augmentation, generator), augmentation, generator)
    assert torch.equal(batch, kept), "the data set itself is left alone"
    return result


on_both = pytest.mark.parametrize("drawn", [by_groups, by_example])


def box(example: Tensor) -> tuple[slice, ...]:
    """Return the smallest box around an example's zeros, over all channels."""
    places = (example[0] == 0).nonzero()
    return tuple(slice(int(low), int(high) + 1) for low, high in zip(*places.aminmax(dim=0), strict=True))


@on_both
@pytest.mark.parametrize(("field", "axis"), [("time_mask", 1), ("frequency_mask", 0)])
def test_masks_are_whole_stretches_of_one_axis(drawn: Drawn, field: str, axis: int) -> None:
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


@on_both
def test_several_masks_may_fall_on_one_example(drawn: Drawn) -> None:
    masked = drawn(ones(2), time_mask=2, masks=6)
    frames = (masked[:, 0, 0] == 0).sum(1)
    assert 2 < int(frames.max()) <= 12


@on_both
def test_a_mask_wider_than_the_axis_fits_it(drawn: Drawn) -> None:
    assert drawn(ones(2), time_mask=1024, frequency_mask=1024).shape == SHAPES[2]


@on_both
@pytest.mark.parametrize("axes", [2, 3])
def test_cutout_zeroes_a_square_or_cube_cut_off_at_borders(drawn: Drawn, axes: int) -> None:
    cut = drawn(ones(axes), cutout=4)
    sizes = set()
    for example in cut:
        zeros = box(example)
        assert (example[:, *zeros] == 0).all()
        assert (example == 0).sum() == (example[:, *zeros] == 0).sum()
        sizes |= {edge.stop - edge.start for edge in zeros}
    assert max(sizes) == 4
    assert min(sizes) >= 2


@on_both
@pytest.mark.parametrize("fill", ["circular", "zero"])
def test_shifted_signals_keep_their_order(drawn: Drawn, fill: str) -> None:
    signal = torch.arange(1.0, 41.0).expand(SHAPES[1])
    shifted = drawn(signal, shift=7, shift_fill=fill)
    distances = set()
    for example in shifted[:, 0]:
        kept = example[example > 0].tolist()
        if fill == "circular":
            assert sorted(kept) == list(range(1, 41))
            kept = kept[kept.index(1) :] + kept[: kept.index(1)]
        assert all(after - before == 1 for before, after in pairwise(kept))
        distances.add(int(example.argmax()) if fill == "circular" else len(kept))
    assert len(distances) > 1
    assert fill == "circular" or min(distances) >= 33


@on_both
def test_a_shift_beyond_the_signal_leaves_a_part_of_it(drawn: Drawn) -> None:
    shifted = drawn(ones(1), shift=65_536, shift_fill="zero")
    assert (shifted.sum((1, 2)) >= 1).all()


@on_both
def test_contrast_keeps_the_mean_and_brightness_the_deviation(drawn: Drawn) -> None:
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


@on_both
@pytest.mark.parametrize(("axes", "row"), ROWS)
def test_equal_seeds_draw_equally_and_memory_order_stays(
    drawn: Drawn, axes: int, row: dict[str, object]
) -> None:
    batch = ones(axes).copy_(torch.randn(SHAPES[axes], generator=torch.Generator().manual_seed(1)))
    first, again, other = drawn(batch, 1, **row), drawn(batch, 1, **row), drawn(batch, 2, **row)
    assert torch.equal(first, again)
    # By groups a flip is always of the first half.
    assert torch.equal(first, other) == (drawn is by_groups and "horizontal_flip" in row)
    assert not torch.equal(first, batch)
    assert first.stride() == batch.stride()
    assert drawn(batch[:1], **row).shape == batch[:1].shape


def test_each_group_of_a_batch_has_its_own_draw() -> None:
    shifted = by_groups(torch.arange(1.0, 41.0).expand(GROUPS * 3, 1, 40), shift=19)
    places = shifted[:, 0].argmax(1).reshape(GROUPS, 3)
    assert (places == places[:, :1]).all()
    assert len(places[:, 0].unique()) > GROUPS / 2


def test_each_example_draws_every_width_and_many_starts() -> None:
    masks = [box(example)[1] for example in by_example(ones(2), time_mask=5) if (example == 0).any()]
    assert {mask.stop - mask.start for mask in masks} == {1, 2, 3, 4, 5}
    assert len({mask.start for mask in masks}) > 5


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_a_crop_is_a_window_of_the_padded_example(axes: int) -> None:
    shape = SHAPES[axes]
    batch = torch.arange(1, torch.Size(shape).numel() + 1, dtype=torch.int32).reshape(shape)
    fill = torch.full((shape[1], *(1,) * axes), -1, dtype=torch.int32)
    crops = moved(ordered(batch), Augmentation(crop_padding=2), torch.Generator().manual_seed(0), fill)
    padded = torch.nn.functional.pad(batch.float(), [2] * 2 * axes, value=-1.0).int()
    corners = set()
    for example, crop in zip(padded, crops, strict=True):
        windows = example
        for axis in range(1, axes + 1):
            windows = windows.unfold(axis, crop.shape[axis], 1)
        found = (windows.movedim(0, axes) == crop).flatten(axes).all(-1).nonzero()
        assert len(found) == 1
        corners.add(tuple(found[0].tolist()))
    assert len(corners) > min(4, 5**axes - 1)


def test_about_half_of_the_examples_are_mirrored() -> None:
    batch = torch.rand(200, 3, 4, 4)
    flipped = by_example(batch, horizontal_flip=True)
    is_flipped = (flipped == batch.flip(-1)).flatten(1).all(1)
    assert torch.equal(flipped[~is_flipped], batch[~is_flipped])
    assert 70 < int(is_flipped.sum()) < 130


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.float32])
def test_crops_and_flips_keep_small_types(axes: int, dtype: torch.dtype) -> None:
    batch = ones(axes).to(dtype)
    result = moved(batch, Augmentation(crop_padding=1, horizontal_flip=True), torch.Generator())
    assert (result.dtype, result.stride()) == (dtype, batch.stride())


def test_each_example_has_its_own_draw() -> None:
    places = by_example(torch.arange(1.0, 41.0).expand(64, 1, 40), shift=19)[:, 0].argmax(1)
    assert len(places.unique()) > 20


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
