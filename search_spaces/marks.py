"""Which parts of a picture get a thick edge."""

from collections.abc import Iterable

# Fields of a stage that are told by its fusion, where that projects.
FUSED = ("fusion", "channels")
# Fields of a stage that a picture shows together, behind its branches.
STEP_FIELDS = (
    "norm",
    "activation",
    "branch_activation",
    "attention",
    "self_attention",
    "downsample",
    "pool_position",
    "dropout",
)


class Marks:
    """JSON pointers into an architecture that are marked.

    Example:
        >>> marks = Marks(["/stages/0/branches/1", "/head/pool"])
        >>> marks.covers("/stages/0/branches/1/0"), marks.touches("/head"), marks.covers("/stages/1")
        (True, True, False)
    """

    def __init__(self, pointers: Iterable[str] = ()) -> None:
        self._pointers = frozenset(pointers)

    def covers(self, *pointers: str) -> bool:
        """Whether any of some parts is marked, or something that it is part of."""
        return any(
            pointer == mark or pointer.startswith(f"{mark}/")
            for pointer in pointers
            for mark in self._pointers
        )

    def touches(self, pointer: str) -> bool:
        """Whether a part, or anything in it, is marked."""
        return any(mark == pointer or mark.startswith(f"{pointer}/") for mark in self._pointers)

    def covers_fields(self, stage: str, fields: Iterable[str]) -> bool:
        """Whether any of some fields of a stage is marked, or the stage."""
        return self.covers(*(f"{stage}/{field}" for field in fields))


NO_MARKS = Marks()
