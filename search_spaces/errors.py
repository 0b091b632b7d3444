"""What is raised when a description cannot be.

SearchSpaceError
├── ArchitectureError   an architecture breaks a rule
└── SpaceError          a search space's description is wrong
"""


class SearchSpaceError(ValueError):
    """Base: the message is one line, `pointer` the JSON pointer of the field."""

    def __init__(self, message: str, pointer: str = "") -> None:
        super().__init__(printable(message))
        self.pointer = encodable(pointer)


class ArchitectureError(SearchSpaceError):
    """An architecture names something unknown, or a value that cannot be built."""


class SpaceError(SearchSpaceError):
    """A search space's description is wrong."""


def printable(text: str) -> str:
    """Return a text on one line, in which what a terminal would not show as it stands is escaped."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def encodable(text: str) -> str:
    """Return a text without lone surrogates, which no UTF-8 can hold."""
    return text.encode("utf-8", "backslashreplace").decode()
