"""A data set's training and validation parts as tensors in their own small types."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nas_service.datasets import Dataset
from workers.data.split import stratified_split

# Where a data set has no test part, this share of it is set aside first and never looked at by the search.
TEST_SHARE = 1 / 6
# The test part must not move when the study's seed does.
TEST_SEED = 0
# Mean and deviation are taken over every second or third example and so on, down to about so many.
STATISTICS_EXAMPLES = 20_000
STATISTICS_AT_ONCE = 256
MOVED_AT_ONCE = 64
Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """Examples (N, C, *S) as uint8, int16 or float32 and labels (N,) as int64.

    Images and volumes lie in memory with their channels last, as training reads them.
    """

    examples: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "Part":
        """Return the part on a device, in the same memory order."""
        return Part(self.examples.to(device), self.labels.to(device))


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a candidate is trained and validated on, with the normalisation of its training part."""

    train: Part
    validation: Part
    # Per channel, shaped (C, 1, ...) to stand beside a batch.
    mean: Tensor
    deviation: Tensor
    classes: int
    split_sha256: str
    # (N,) positions of the validation part in the data set's training arrays; on the host.
    validation_indices: Tensor

    @property
    def device(self) -> torch.device:
        """Where all of it lies, and where candidates are trained on it."""
        return self.mean.device

    def to(self, device: torch.device) -> "TrainingData":
        """Return the data on a device; itself if it lies there already."""
        if device == self.device:
            return self
        return replace(
            self,
            train=self.train.to(device),
            validation=self.validation.to(device),
            mean=self.mean.to(device),
            deviation=self.deviation.to(device),
        )


def training_data(dataset: Dataset, validation_share: float, seed: int) -> TrainingData:
    """Split off the validation part; the test part, the set's own or one set aside, is left out.

    Raises:
        SplitError: A class is too small to stand in every part.
    """
    places = np.arange(len(dataset.y_train))
    if dataset.x_test is None:
        places = stratified_split(dataset.y_train, TEST_SHARE, TEST_SEED).train
    split = stratified_split(dataset.y_train[places], validation_share, seed)
    train = resident_part(dataset.x_train, dataset.y_train, places[split.train])
    mean, deviation = statistics(train.examples)
    return TrainingData(
        train=train,
        validation=resident_part(dataset.x_train, dataset.y_train, places[split.held_out]),
        mean=mean,
        deviation=deviation,
        classes=dataset.classes,
        split_sha256=split.sha256,
        validation_indices=torch.from_numpy(places[split.held_out]),
    )


def held_out_part(dataset: Dataset) -> Part:
    """Return the test part, the set's own or the one set aside, which no search has looked at."""
    if dataset.x_test is not None and dataset.y_test is not None:
        return resident_part(dataset.x_test, dataset.y_test)
    held_out = stratified_split(dataset.y_train, TEST_SHARE, TEST_SEED).held_out
    return resident_part(dataset.x_train, dataset.y_train, held_out)


def resident_part(examples: Array, labels: Array, places: Array | None = None) -> Part:
    """Return those at some places, or all, of examples (N, C, *S) and labels (N,).

    They are copies, in the memory order of training.
    """
    if places is None:
        places = np.arange(len(labels))
    if examples.ndim <= 3:
        return Part(torch.from_numpy(examples[places]), torch.from_numpy(labels[places]))
    count, (channels, *sides) = len(places), examples.shape[1:]
    part = np.moveaxis(np.empty((count, *sides, channels), examples.dtype), -1, 1)
    # A few at a time stay in the cache while their axes move: four times as fast as all at once.
    for begin in range(0, count, MOVED_AT_ONCE):
        few = slice(begin, begin + MOVED_AT_ONCE)
        part[few] = examples[places[few]]
    return Part(torch.from_numpy(part), torch.from_numpy(labels[places]))


def statistics(examples: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of each channel, (C, 1, ...) each, over some thousand of the examples."""
    step = max(1, len(examples) // STATISTICS_EXAMPLES)
    sample = examples[::step]
    axes, shape = (0, *range(2, sample.dim())), (-1, *(1,) * (sample.dim() - 2))
    count = sample.numel() // sample.shape[1]
    # Piece by piece: all at once as floats they would need four times their memory.
    pieces = torch.split(sample, STATISTICS_AT_ONCE)
    total = torch.stack([piece.float().sum(axes).double() for piece in pieces]).sum(0)
    mean = (total / count).float().reshape(shape)
    squares = [(piece.float() - mean).square().sum(axes).double() for piece in pieces]
    deviation = (torch.stack(squares).sum(0) / max(1, count - 1)).sqrt().float().clamp_min(1e-6)
    return mean, deviation.reshape(shape)
