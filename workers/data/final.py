"""What a chosen network is trained on for good, and the test part that judges it."""

import hashlib

import numpy as np
import torch

from nas_service.datasets import Dataset
from workers.data.arrays import (
    TEST_SEED,
    TEST_SHARE,
    Part,
    TrainingData,
    held_out_part,
    resident_part,
    statistics,
    training_data,
)
from workers.data.split import stratified_split

# So many examples stand in where nothing is left to validate on.
WATCHED = 512


def final_data(
    dataset: Dataset, validation_share: float, seed: int, *, with_validation: bool
) -> tuple[TrainingData, Part]:
    """Return what is trained on and the test part, which is never among it.

    Args:
        dataset: Its own test part, or the one set aside, is the test part.
        validation_share: Of the study.
        seed: Of the study.
        with_validation: Train on the validation part too. What training then calls validation are some of the
            examples that it trains on: their figures say that it goes on, and nothing else.

    Raises:
        SplitError: A class is too small to stand in every part.
    """
    test = held_out_part(dataset)
    if not with_validation:
        return training_data(dataset, validation_share, seed), test
    usable = np.arange(len(dataset.y_train))
    if dataset.x_test is None:
        usable = stratified_split(dataset.y_train, TEST_SHARE, TEST_SEED).train
    whole = resident_part(dataset.x_train, dataset.y_train, usable)
    mean, deviation = statistics(whole.examples)
    data = TrainingData(
        train=whole,
        validation=Part(whole.examples[:WATCHED], whole.labels[:WATCHED]),
        mean=mean,
        deviation=deviation,
        classes=dataset.classes,
        validation_indices=torch.from_numpy(usable[:WATCHED]),
        split_sha256=hashlib.sha256(f"all {len(whole)}".encode()).hexdigest(),
    )
    return data, test


def on_device(data: TrainingData, test: Part, device: torch.device) -> tuple[TrainingData, Part]:
    """Return both where a network is trained."""
    return data.to(device), test.to(device)
