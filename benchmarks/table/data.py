"""The two data sets of the table, split as every row of it was trained."""

import os
from pathlib import Path

import numpy as np

from nas_service.datasets.dataset import make_dataset
from workers.data.arrays import TrainingData, training_data

# Where the arrays lie; see benchmarks/table/README.md for what they are.
DATA = Path(os.environ.get("NAS_BENCHMARK_DATA", Path(__file__).parents[3] / "shared" / "data"))
SHAPES = {"mnist": (1, 28, 28), "fsdd-logmel": (1, 32, 63)}
MNIST_EXAMPLES = 3000
VALIDATION_SHARE = 1 / 3
SPLIT_SEED = 0


def load(name: str) -> TrainingData:
    """Return a data set's training and validation part: two thirds and one third, stratified.

    MNIST is the 3,000 training images that `numpy.random.default_rng(0)` picks, fsdd-logmel all 2,700
    recordings of its training part. The test parts are not read.
    """
    arrays = np.load(DATA / f"{name}.npz")
    examples, labels = arrays["x_train"], arrays["y_train"]
    if name == "mnist":
        chosen = np.sort(np.random.default_rng(0).permutation(len(labels))[:MNIST_EXAMPLES])
        examples, labels = examples[chosen], labels[chosen]
    # With a test part of its own, none of these examples is set aside as one.
    dataset = make_dataset(name, (examples, labels), (arrays["x_test"], arrays["y_test"]))
    return training_data(dataset, VALIDATION_SHARE, SPLIT_SEED)
