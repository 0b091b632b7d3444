"""Augmentations of batches (B, C, *S) for accelerators: each example its own draw, all drawn on the device.

They mean what those of `augmentation` mean. Nothing waits for a number to reach the host, and no shape
depends on a draw, so that a whole step can be captured as one graph.
"""

import torch
from torch import Tensor

from nas_service.studies import Augmentation

SHARES = 2**24


def moved(
    batch: Tensor, augmentation: Augmentation, generator: torch.Generator, fill: Tensor | None = None
) -> Tensor:
    """Return a batch of any type after crops and flips, in the same memory order.

    Args:
        batch: (B, C, *S).
        augmentation: What is on.
        generator: Of the batch's device.
        fill: (C, 1, ...) what lies outside, in the batch's type; zeros without it.
    """
    before = batch
    if augmentation.crop_padding:
        batch = _cropped(batch, augmentation.crop_padding, generator, fill)
    if augmentation.horizontal_flip:
        is_flipped = torch.rand(_per_example(batch), generator=generator, device=batch.device) < 0.5
        batch = torch.where(is_flipped, batch.flip(-1), batch)
    return _ordered_like(before, batch)


def coloured(batch: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Return a normalised batch after all other augmentations, in the same memory order."""
    before = batch
    if augmentation.brightness or augmentation.contrast:
        batch = _jittered(batch, augmentation.brightness, augmentation.contrast, generator)
    if augmentation.shift:
        is_circular = augmentation.shift_fill == "circular"
        batch = _shifted(batch, augmentation.shift, generator, is_circular=is_circular)
    for _ in range(augmentation.masks):
        if augmentation.time_mask:
            batch = _masked(batch, -1, augmentation.time_mask, generator)
        if augmentation.frequency_mask:
            batch = _masked(batch, -2, augmentation.frequency_mask, generator)
    if augmentation.cutout:
        batch = _cut_out(batch, augmentation.cutout, generator)
    if augmentation.noise:
        noise = torch.empty_like(batch).normal_(generator=generator)
        batch = batch.add(noise, alpha=augmentation.noise)
    return _ordered_like(before, batch)


def _ordered_like(before: Tensor, batch: Tensor) -> Tensor:
    """Return the batch in another's memory order, which gathering and one-channel batches may have lost."""
    return batch if batch.stride() == before.stride() else torch.empty_like(before).copy_(batch)


def _per_example(batch: Tensor) -> tuple[int, ...]:
    return (len(batch), *(1,) * (batch.dim() - 1))


def _integers(batch: Tensor, low: int, high: int, generator: torch.Generator) -> Tensor:
    """Draw a whole number from low to high, both included, for each example: (B, 1, ...)."""
    return torch.randint(low, high + 1, _per_example(batch), generator=generator, device=batch.device)


def _places(batch: Tensor, axis: int) -> Tensor:
    """Return 0, 1, ... along one axis of a batch, of size 1 in the others."""
    shape = [1] * batch.dim()
    shape[axis] = batch.shape[axis]
    return torch.arange(batch.shape[axis], device=batch.device).reshape(shape)


def _taken(batch: Tensor, axis: int, places: Tensor) -> Tensor:
    """Read each example along one axis at places (B, 1, ..., L, ..., 1) of its own."""
    return batch.gather(axis, places.expand(batch.shape))


def _jittered(batch: Tensor, brightness: float, contrast: float, generator: torch.Generator) -> Tensor:
    """Move the values by up to `brightness` and stretch them about each example's mean by 1 ± `contrast`."""
    draws = torch.rand((2, *_per_example(batch)), generator=generator, device=batch.device) * 2 - 1
    means = batch.mean(tuple(range(1, batch.dim())), keepdim=True)
    return (batch - means) * (1 + contrast * draws[1]) + means + brightness * draws[0]


def _cropped(batch: Tensor, padding: int, generator: torch.Generator, fill: Tensor | None) -> Tensor:
    """Cut a window of the old size out of each example, padded by so much on each side."""
    is_outside = None
    for axis in range(2, batch.dim()):
        last = batch.shape[axis] - 1
        places = _places(batch, axis) + _integers(batch, -padding, padding, generator)
        beyond = (places < 0) | (places > last)
        is_outside = beyond if is_outside is None else is_outside | beyond
        batch = _taken(batch, axis, places.clamp(0, last))
    assert is_outside is not None
    if fill is None:
        return batch.masked_fill(is_outside, 0)
    return torch.where(is_outside, fill, batch)


def _shifted(batch: Tensor, furthest: int, generator: torch.Generator, *, is_circular: bool) -> Tensor:
    """Move along the last axis by up to `furthest` samples to either side."""
    length = batch.shape[-1]
    furthest = min(furthest, length - 1)
    places = _places(batch, batch.dim() - 1) - _integers(batch, -furthest, furthest, generator)
    shifted = _taken(batch, batch.dim() - 1, places.remainder(length))
    return shifted if is_circular else shifted.masked_fill((places < 0) | (places >= length), 0)


def _masked(batch: Tensor, axis: int, widest: int, generator: torch.Generator) -> Tensor:
    """Zero a stretch of up to `widest` of one axis (SpecAugment, Park et al. 2019, arXiv:1904.08779)."""
    length = batch.shape[axis]
    width = _integers(batch, 0, min(widest, length), generator)
    # As a share, since how many starts there are depends on the width.
    start = (length - width + 1) * _integers(batch, 0, SHARES - 1, generator) // SHARES
    places = _places(batch, axis % batch.dim())
    return batch.masked_fill((places >= start) & (places < start + width), 0)


def _cut_out(batch: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Zero a square or cube; at a border part of it falls outside (DeVries and Taylor, arXiv:1708.04552)."""
    is_cut = None
    for axis in range(2, batch.dim()):
        start = _integers(batch, 0, batch.shape[axis] - 1, generator) - size // 2
        places = _places(batch, axis)
        within = (places >= start) & (places < start + size)
        is_cut = within if is_cut is None else is_cut & within
    assert is_cut is not None
    return batch.masked_fill(is_cut, 0)
