"""Data sets: read any accepted format, check it, keep one canonical file."""

from nas_service.datasets.dataset import Dataset, canonical_content, load_dataset, save_dataset
from nas_service.datasets.reading import digits, read_dataset

__all__ = ["Dataset", "canonical_content", "digits", "load_dataset", "read_dataset", "save_dataset"]
