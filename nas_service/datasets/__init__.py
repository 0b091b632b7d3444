"""Data sets: read any accepted format, check it, keep one canonical file."""

from nas_service.datasets.dataset import (
    Dataset,
    DatasetSummary,
    canonical_content,
    load_dataset,
    save_dataset,
    summarised,
)
from nas_service.datasets.reading import digits, read_dataset

__all__ = [
    "Dataset",
    "DatasetSummary",
    "canonical_content",
    "digits",
    "load_dataset",
    "read_dataset",
    "save_dataset",
    "summarised",
]
