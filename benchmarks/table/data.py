"""The data sets of the table, split as every row of it was trained.

On `digits`, which is trained in seconds, searchers may be tuned; the other two are for comparing them.
"""

import os
from pathlib import Path

import numpy as np

from nas_service.datasets import digits as read_digits
from nas_service.datasets.dataset import make_dataset
from workers.data.arrays import TrainingData, training_data

# Where the arrays lie; see benchmarks/table/README.md for what they are.
DATA = Path(os.environ.get("NAS_BENCHMARK_DATA", Path(__file__).parents[3] / "shared" / "data"))
SHAPES = {"mnist": (1, 28, 28), "fsdd-logmel": (1, 32, 63), "digits": (1, 8, 8)}
MNIST_EXAMPLES = 3000
VALIDATION_SHARE = 1 / 3
SPLIT_SEED = 0


def load(name: str) -> TrainingData:
    """Return a data set's training and validation part: two thirds and one third, stratified.

    MNIST is the 3,000 training images that `numpy.random.default_rng(0)` picks, fsdd-logmel all 2,700
    recordings of its training part, digits what comes with scikit-learn. Test parts are not trained on.
    """
    if name == "digits":
        return training_data(read_digits(), VALIDATION_SHARE, SPLIT_SEED)
    arrays = np.load(DATA / f"{name}.npz")
    examples, labels = arrays["x_train"], arrays["y_train"]
    if name == "mnist":
        chosen = np.sort(np.random.default_rng(0).permutation(len(labels))[:MNIST_EXAMPLES])
        examples, labels = examples[chosen], labels[chosen]
    # With a test part of its own, none of these examples is set aside as one.
    dataset = make_dataset(name, (examples, labels), (arrays["x_test"], arrays["y_test"]))
    return training_data(dataset, VALIDATION_SHARE, SPLIT_SEED)
