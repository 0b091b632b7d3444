"""Stratified splits that depend on labels and seed alone."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
Labels = NDArray[np.int64]


class SplitError(ValueError):
    """A class has too few examples to stand in every part."""


@dataclass(frozen=True, slots=True)
class Split:
    """Indices of two parts of a data set, each in rising order."""

    train: Indices
    held_out: Indices

    @property
    def sha256(self) -> str:
        """Hash of both index lists: equal splits have equal hashes on every machine."""
        digest = hashlib.sha256()
        for part in (self.train, self.held_out):
            digest.update(len(part).to_bytes(8, "little") + part.astype("<i8").tobytes())
        return digest.hexdigest()


def stratified_split(labels: Labels, share: float, seed: int) -> Split:
    """Set aside a share of every class, at least one example of each.

    Args:
        labels: (N,) from 0 to classes - 1.
        share: What part of each class is held out, between 0 and 1.
        seed: Equal seeds give equal splits.

    Raises:
        SplitError: A class has fewer than two examples.
    """
    generator = np.random.default_rng(seed)
    held_out = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) < 2:
            raise SplitError(f"class {label} has {len(members)} example; at least 2 are needed to split")
        count = min(max(1, round(share * len(members))), len(members) - 1)
        held_out.append(generator.permutation(members)[:count])
    away = np.sort(np.concatenate(held_out))
    is_kept = np.ones(len(labels), dtype=bool)
    is_kept[away] = False
    return Split(train=np.flatnonzero(is_kept), held_out=away)
