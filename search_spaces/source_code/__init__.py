"""An architecture as one file of plain torch that needs nothing of this project."""

from search_spaces.source_code.writing import write_source

__all__ = ["write_source"]
