"""From resident examples to normalised, augmented batches, without a loop over examples."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from nas_service.studies import Augmentation
from workers.data.arrays import Part, TrainingData


def epoch_batches(
    data: TrainingData, batch_size: int, augmentation: Augmentation, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield one epoch of (B, C, *S) float batches and (B,) labels, in an order drawn from the generator.

    The examples are shuffled once, in their small type; each batch is then a slice. The last, incomplete
    batch is left out unless it is the only one.
    """
    order = torch.randperm(len(data.train), generator=generator)
    examples, labels = data.train.examples[order], data.train.labels[order]
    steps = max(1, len(order) // batch_size)
    for step in range(steps):
        part = slice(step * batch_size, (step + 1) * batch_size)
        batch = normalised(examples[part], data)
        yield augmented(batch, augmentation, generator), labels[part]


def validation_batches(data: TrainingData, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the whole validation part in order, normalised."""
    part: Part = data.validation
    for start in range(0, len(part), batch_size):
        examples = part.examples[start : start + batch_size]
        yield normalised(examples, data), part.labels[start : start + batch_size]


def normalised(examples: Tensor, data: TrainingData) -> Tensor:
    """Return examples as floats of mean 0 and deviation 1 per channel; images in channels_last order."""
    memory_format = torch.channels_last if examples.dim() == 4 else torch.contiguous_format
    # An explicit empty tensor: one channel leaves the format ambiguous, and a conversion keeps the slow one.
    batch = torch.empty(examples.shape, dtype=torch.float32, memory_format=memory_format)
    batch.copy_(examples)
    return batch.sub_(data.mean).div_(data.deviation)


def augmented(batch: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Return a batch after the augmentations that are on.

    Each is drawn once for a part of the batch, never once an example: all of them stay slices of memory.
    """
    if augmentation.crop_padding:
        batch = _shifted(batch, augmentation.crop_padding, generator)
    if augmentation.horizontal_flip:
        half = len(batch) // 2
        batch[:half] = batch[:half].flip(-1)
    if augmentation.noise:
        batch = batch + augmentation.noise * torch.randn(batch.shape, generator=generator)
    return batch


def _shifted(batch: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    """Pad with zeros and cut a window for each of a few groups of examples."""
    axes = batch.dim() - 2
    padded = F.pad(batch, (padding, padding) * axes)
    shifted = torch.empty_like(batch)
    groups = torch.arange(len(batch)).tensor_split(min(16, len(batch)))
    starts = torch.randint(0, 2 * padding + 1, (len(groups), axes), generator=generator).tolist()
    for members, corner in zip(groups, starts, strict=True):
        first, last = int(members[0]), int(members[-1]) + 1
        window = padded[first:last]
        for axis, start in enumerate(corner, start=2):
            window = window.narrow(axis, start, batch.shape[axis])
        shifted[first:last] = window
    return shifted
