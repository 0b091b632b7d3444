"""From resident examples to normalised, augmented batches, without a loop over examples."""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from nas_service.studies import Augmentation
from workers.data.arrays import Part, TrainingData
from workers.training.augmentation import augmented
from workers.training.precision import MEMORY_FORMATS

Normalisation = Literal["dataset", "example"]


def epoch_batches(
    data: TrainingData,
    batch_size: int,
    augmentation: Augmentation,
    generator: torch.Generator,
    normalisation: Normalisation = "dataset",
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
        batch = normalised(examples[part], data, normalisation)
        yield augmented(batch, augmentation, generator), labels[part]


def validation_batches(
    data: TrainingData, batch_size: int, normalisation: Normalisation = "dataset"
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the whole validation part in order, normalised."""
    part: Part = data.validation
    for start in range(0, len(part), batch_size):
        examples = part.examples[start : start + batch_size]
        yield normalised(examples, data, normalisation), part.labels[start : start + batch_size]


def normalised(examples: Tensor, data: TrainingData, normalisation: Normalisation = "dataset") -> Tensor:
    """Return examples as floats of mean 0 and deviation 1; images and volumes with channels last in memory.

    Args:
        examples: (B, C, *S) in their small type.
        data: Knows the training part's mean and deviation.
        normalisation: "dataset" takes these, one a channel; "example" each example's own over all channels.
    """
    memory_format = MEMORY_FORMATS.get(examples.dim() - 2, torch.contiguous_format)
    # An explicit empty tensor: one channel leaves the format ambiguous, and a conversion keeps the slow one.
    batch = torch.empty(examples.shape, dtype=torch.float32, memory_format=memory_format)
    batch.copy_(examples)
    if normalisation == "example":
        axes = tuple(range(1, batch.dim()))
        deviation, mean = torch.std_mean(batch, axes, correction=0, keepdim=True)
        # An example of one value only becomes all zeros.
        return batch.sub_(mean).div_(deviation.clamp_min(1e-6))
    return batch.sub_(data.mean).div_(data.deviation)
