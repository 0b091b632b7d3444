"""From resident examples to normalised, augmented batches, without a loop over examples."""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from nas_service.studies import Augmentation
from workers.data.arrays import Part, TrainingData
from workers.training.augmentation import augmented, coloured, moved
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

    Examples are gathered, cropped and flipped in their small type. The last, incomplete batch is left out
    unless it is the only one.
    """
    order = torch.randperm(len(data.train), generator=generator)
    fill = neutral(data)
    for step in range(max(1, len(order) // batch_size)):
        members = order[step * batch_size : (step + 1) * batch_size]
        examples = gathered(data.train.examples, members)
        labels = data.train.labels[members]
        if normalisation == "example":
            batch = augmented(normalised(examples, data, normalisation), augmentation, generator)
        else:
            batch = normalised(moved(examples, augmentation, generator, fill), data)
            batch = coloured(batch, augmentation, generator)
        yield batch, labels


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
    # An explicit empty tensor: one channel leaves the format ambiguous, and a conversion keeps the slow one.
    batch = torch.empty(
        examples.shape, dtype=torch.float32, device=examples.device, memory_format=_memory_format(examples)
    )
    batch.copy_(examples)
    if normalisation == "example":
        axes = tuple(range(1, batch.dim()))
        deviation, mean = torch.std_mean(batch, axes, correction=0, keepdim=True)
        # An example of one value only becomes all zeros.
        return batch.sub_(mean).div_(deviation.clamp_min(1e-6))
    rows = _rows(batch)
    shape = examples.shape[1:]
    rows.sub_(_row(data.mean, shape)).div_(_row(data.deviation, shape))
    return batch


def gathered(examples: Tensor, members: Tensor) -> Tensor:
    """Copy some examples, whole rows of memory each."""
    if examples.dim() - 2 in MEMORY_FORMATS:
        return examples.movedim(1, -1).index_select(0, members).movedim(-1, 1)
    return examples.index_select(0, members)


def neutral(data: TrainingData) -> Tensor:
    """Return the mean in the examples' type, which normalisation turns into (almost) zero."""
    dtype = data.train.examples.dtype
    return data.mean.to(dtype) if dtype.is_floating_point else data.mean.round().to(dtype)


def _rows(batch: Tensor) -> Tensor:
    """See a batch as it lies in memory, one row an example."""
    return (batch.movedim(1, -1) if batch.dim() - 2 in MEMORY_FORMATS else batch).view(len(batch), -1)


def _row(figures: Tensor, shape: torch.Size) -> Tensor:
    """Repeat (C, 1, ...) figures over an example as it lies in memory: long rows are fast to compute with."""
    whole = figures.expand(shape)
    return (whole.movedim(0, -1) if len(shape) - 1 in MEMORY_FORMATS else whole).reshape(-1)


def _memory_format(examples: Tensor) -> torch.memory_format:
    return MEMORY_FORMATS.get(examples.dim() - 2, torch.contiguous_format)
