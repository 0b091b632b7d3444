"""What is raised when a description cannot be.

SearchSpaceError
├── ArchitectureError   an architecture breaks a rule
└── SpaceError          a search space's description is wrong
"""


class SearchSpaceError(ValueError):
    """Base: the message is one line, `pointer` the JSON pointer of the field."""

    def __init__(self, message: str, pointer: str = "") -> None:
        super().__init__(message)
        self.pointer = pointer


class ArchitectureError(SearchSpaceError):
    """An architecture names something unknown, or a value that cannot be built."""


class SpaceError(SearchSpaceError):
    """A search space's description is wrong."""
