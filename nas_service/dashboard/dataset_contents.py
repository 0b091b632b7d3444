"""What the page of a data set shows: examples of each class as pictures, and how the classes are balanced."""

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from nas_service.catalogue_service import BUILT_IN
from nas_service.datasets.pictures import Picture, read_labels, read_pictures, spread_by_class
from nas_service.errors import ServiceError
from nas_service.service import Service
from nas_service.studies import Training
from nas_service.views import DatasetView

PICTURED_CLASSES = 20
PICTURES_A_CLASS = 8
# Of many classes the most frequent ones and the rarest ones are counted out.
COUNTED_CLASSES = 40
KEPT = 8


@dataclass(frozen=True, slots=True)
class Contents:
    """What is seen of the examples."""

    # Class name and its pictures, for the first classes.
    samples: list[tuple[str, list[Picture]]]
    # Class name, examples for training and for testing; the most frequent first where some are left out.
    counts: list[tuple[str, int, int]]
    is_whole: bool


_kept: OrderedDict[str, Contents] = OrderedDict()
_lock = Lock()


def dataset(service: Service, view: DatasetView) -> dict[str, Any]:
    """Return what the page shows; where the file cannot be read, why."""
    seen, missing = None, ""
    try:
        seen = _contents(service, view)
    except ServiceError as error:
        missing = str(error)
    held_back = round(view.train_examples * Training().validation_share)
    return {
        "dataset": view,
        "seen": seen,
        "missing": missing,
        "most": max((count for _, *counts in seen.counts for count in counts), default=1) if seen else 1,
        "kind": {2: "signals", 3: "images or spectrograms", 4: "volumes"}.get(len(view.input_shape), ""),
        "uses": service.dataset_uses(view.name),
        "held_back": held_back,
        "is_built_in": view.name == BUILT_IN,
    }


def _contents(service: Service, view: DatasetView) -> Contents:
    """What the examples of a sha256 look like never changes: it is kept."""
    with _lock:
        if view.sha256 in _kept:
            _kept.move_to_end(view.sha256)
            return _kept[view.sha256]
    seen = _read(service.dataset_file(view.sha256), view)
    with _lock:
        _kept[view.sha256] = seen
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    return seen


def _read(path: Path, view: DatasetView) -> Contents:
    train, test = read_labels(path, "train"), read_labels(path, "test")
    pictured = range(min(view.classes, PICTURED_CLASSES))
    pictures = read_pictures(path, "train", spread_by_class(train, pictured, PICTURES_A_CLASS))
    samples = [
        (view.class_names[number], [picture for picture in pictures if picture.label == number])
        for number in pictured
    ]
    train_counts = np.bincount(train, minlength=view.classes)
    test_counts = np.bincount(test, minlength=view.classes)
    is_whole = view.classes <= COUNTED_CLASSES
    order = np.arange(view.classes)
    if not is_whole:
        by_count = np.argsort(-train_counts, kind="stable")
        order = np.concatenate([by_count[: COUNTED_CLASSES // 2], by_count[-COUNTED_CLASSES // 2 :]])
    counts = [
        (view.class_names[number], int(train_counts[number]), int(test_counts[number])) for number in order
    ]
    return Contents(samples, counts, is_whole)
