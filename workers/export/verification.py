"""Proof that an exported form computes what the trained network does, on the whole test part."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.data.arrays import Part
from workers.export.onnx_files import Inference
from workers.export.trained import Trained

# Of logits in fp32, whose sums run in another order after folding.
MOST_DIFFERENCE = 1e-4


class Mismatch(Exception):
    """An exported form does not compute what was trained; the message says by how much."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How an exported form and the trained network compare on the test part."""

    examples: int
    # Examples whose largest logit is another.
    disagreements: int
    largest_difference: float
    accuracy: float


def accuracy_of(trained: Trained, part: Part, run: Inference) -> float:
    """Return the share of a part's examples that an exported form answers rightly."""
    right = 0
    for inputs, labels in trained.batches(part):
        right += int((run(inputs.contiguous().numpy()).argmax(1) == labels.numpy()).sum())
    return right / len(part)


def agreement(trained: Trained, run: Inference) -> Agreement:
    """Run an exported form on the test part, and compare with the network as it was trained."""
    logits = np.concatenate([run(inputs.contiguous().numpy()) for inputs, _ in trained.batches(trained.test)])
    expected, labels = trained.test_logits.numpy(), trained.test.labels.numpy()
    chosen: NDArray[np.int64] = logits.argmax(1)
    return Agreement(
        examples=len(labels),
        disagreements=int((chosen != expected.argmax(1)).sum()),
        largest_difference=float(np.abs(logits - expected).max()),
        accuracy=float((chosen == labels).mean()),
    )


def verified(trained: Trained, run: Inference, name: str) -> Agreement:
    """Return the agreement of a form in fp32.

    Raises:
        Mismatch: A top-1 answer differs, or a logit by more than rounding explains: in proportion to the
            largest logit where that is above 1.
    """
    found = agreement(trained, run)
    bound = MOST_DIFFERENCE * max(1.0, float(trained.test_logits.abs().max()))
    if found.disagreements or not found.largest_difference <= bound:
        raise Mismatch(
            f"{name} does not compute what was trained: {found.disagreements} of {found.examples} test "
            f"examples differ in top-1, the largest logit difference is {found.largest_difference:.2g}"
        )
    return found
