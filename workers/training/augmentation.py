"""Augmentations of batches (B, C, *S).

Each is drawn for a few groups of the batch, never once an example: all of them stay slices of memory. Crops
and flips only move values, and may be done on raw examples in their small type, which is cheaper; the others
are for normalised ones, where zero is the mean.
"""

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from nas_service.studies import Augmentation
from workers.training.precision import MEMORY_FORMATS

# Into so many groups a batch is cut.
GROUPS = 16


def augmented(batch: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Return a normalised batch after the augmentations that are on; the one given may be overwritten."""
    return coloured(moved(batch, augmentation, generator), augmentation, generator)


def moved(
    batch: Tensor, augmentation: Augmentation, generator: torch.Generator, fill: Tensor | None = None
) -> Tensor:
    """Return a batch of any type after crops and flips; the one given may be overwritten.

    Args:
        batch: (B, C, *S).
        augmentation: What is on.
        generator: Draws the corners of crops.
        fill: (C, 1, ...) what lies outside, in the batch's type; zeros without it.
    """
    if augmentation.crop_padding:
        batch = _cropped(batch, augmentation.crop_padding, generator, fill)
    if augmentation.horizontal_flip:
        half = len(batch) // 2
        batch[:half] = batch[:half].flip(-1)
    return batch


def coloured(batch: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Return a normalised batch after all other augmentations; the one given may be overwritten."""
    if augmentation.brightness or augmentation.contrast:
        _jitter(batch, augmentation.brightness, augmentation.contrast, generator)
    if augmentation.shift:
        is_circular = augmentation.shift_fill == "circular"
        batch = _shifted(batch, augmentation.shift, generator, is_circular=is_circular)
    for _ in range(augmentation.masks):
        if augmentation.time_mask:
            _mask(batch, -1, augmentation.time_mask, generator)
        if augmentation.frequency_mask:
            _mask(batch, -2, augmentation.frequency_mask, generator)
    if augmentation.cutout:
        _cut_out(batch, augmentation.cutout, generator)
    if augmentation.noise:
        batch.add_(torch.randn(batch.shape, generator=generator), alpha=augmentation.noise)
    return batch


def _groups(batch: Tensor) -> list[slice]:
    """Cut a batch into contiguous groups of almost equal size."""
    count = min(GROUPS, len(batch))
    edges = [len(batch) * number // count for number in range(count + 1)]
    return [slice(start, end) for start, end in pairwise(edges)]


def _drawn(
    batch: Tensor, low: int, high: int, axes: int, generator: torch.Generator
) -> Iterator[tuple[slice, list[int]]]:
    """Yield each group with as many whole numbers from low to high, both included, as there are axes."""
    groups = _groups(batch)
    numbers = torch.randint(low, high + 1, (len(groups), axes), generator=generator)
    return zip(groups, numbers.tolist(), strict=True)


def _jitter(batch: Tensor, brightness: float, contrast: float, generator: torch.Generator) -> None:
    """Move the values by up to `brightness` and stretch them about each example's mean by 1 ± `contrast`."""
    groups = _groups(batch)
    draws = torch.rand((len(groups), 2), generator=generator) * 2 - 1
    axes = tuple(range(1, batch.dim()))
    for members, (light, stretch) in zip(groups, draws.tolist(), strict=True):
        means = batch[members].mean(axes, keepdim=True)
        batch[members].sub_(means).mul_(1 + contrast * stretch).add_(means).add_(brightness * light)


def _cropped(batch: Tensor, padding: int, generator: torch.Generator, fill: Tensor | None) -> Tensor:
    """Pad and cut a window of the old size."""
    axes = batch.dim() - 2
    padded = _padded(batch, padding, fill)
    cropped = torch.empty_like(batch)
    for members, corner in _drawn(batch, 0, 2 * padding, axes, generator):
        window = padded[members]
        for axis, start in enumerate(corner, start=2):
            window = window.narrow(axis, start, batch.shape[axis])
        cropped[members] = window
    return cropped


def _padded(batch: Tensor, padding: int, fill: Tensor | None) -> Tensor:
    sides = [side + 2 * padding for side in batch.shape[2:]]
    memory_format = MEMORY_FORMATS.get(len(sides), torch.contiguous_format)
    padded = torch.empty((*batch.shape[:2], *sides), dtype=batch.dtype, memory_format=memory_format)
    if fill is None:
        padded.zero_()
    elif len(sides) in MEMORY_FORMATS:
        # Long rows of memory are written much faster than a few channels at a time.
        padded.movedim(1, -1).view(-1, sides[-1] * len(fill)).copy_(fill.reshape(-1).repeat(sides[-1]))
    else:
        padded.copy_(fill.expand_as(padded))
    inside = padded
    for axis, side in enumerate(batch.shape[2:], start=2):
        inside = inside.narrow(axis, padding, side)
    inside.copy_(batch)
    return padded


def _shifted(batch: Tensor, furthest: int, generator: torch.Generator, *, is_circular: bool) -> Tensor:
    """Move along the last axis by up to `furthest` samples to either side."""
    furthest = min(furthest, batch.shape[-1] - 1)
    shifted = torch.empty_like(batch)
    for members, (by,) in _drawn(batch, -furthest, furthest, 1, generator):
        shifted[members] = batch[members].roll(by, -1)
        if not is_circular:
            free = slice(0, by) if by > 0 else slice(batch.shape[-1] + by, None)
            shifted[members][..., free] = 0
    return shifted


def _mask(batch: Tensor, axis: int, widest: int, generator: torch.Generator) -> None:
    """Zero a stretch of up to `widest` of one axis (SpecAugment, Park et al. 2019, arXiv:1904.08779)."""
    length = batch.shape[axis]
    for members, (width,) in _drawn(batch, 0, min(widest, length), 1, generator):
        start = int(torch.randint(0, length - width + 1, (), generator=generator))
        batch[members].narrow(axis, start, width).zero_()


def _cut_out(batch: Tensor, size: int, generator: torch.Generator) -> None:
    """Zero a square or cube; at a border part of it falls outside (DeVries and Taylor, arXiv:1708.04552)."""
    axes = batch.dim() - 2
    # Centres as 24-bit shares of each axis: sides may differ.
    for members, shares in _drawn(batch, 0, 2**24 - 1, axes, generator):
        window = batch[members]
        for axis, share in enumerate(shares, start=2):
            length = batch.shape[axis]
            start = length * share // 2**24 - size // 2
            first, last = max(0, start), min(length, start + size)
            window = window.narrow(axis, first, last - first)
        window.zero_()
