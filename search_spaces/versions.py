"""Versions of a space: which trials of an earlier one are legal in a later one, and under which names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search_spaces.architecture import Architecture
from search_spaces.random_trial import Scalar
from search_spaces.space import SearchSpace


@dataclass(frozen=True, slots=True)
class Carried:
    """An earlier trial as a later space would have drawn it."""

    architecture: Architecture
    params: dict[str, Scalar]
    # The choices that the later space offers under each parameter's name.
    choices: dict[str, tuple[Scalar, ...]]


class _NotLegal(Exception):
    """A question has no answer, or one that is not offered."""


class _Answering:
    """A trial that answers from what is known and remembers every question, of one choice or of many."""

    asks_all = True

    def __init__(self, known: Mapping[str, Scalar]) -> None:
        self._known = known
        self.answers: dict[str, Scalar] = {}
        self.choices: dict[str, tuple[Scalar, ...]] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Scalar]) -> Scalar:
        value = self._known[name] if name in self._known else choices[0]
        if (name not in self._known and len(choices) > 1) or not _offers(choices, value):
            raise _NotLegal
        self.answers[name] = value
        self.choices[name] = tuple(choices)
        return value


def carried(
    params: Mapping[str, Scalar],
    earlier: SearchSpace,
    later: SearchSpace,
    input_shape: Sequence[int],
    classes: int,
) -> Carried | None:
    """Return what a trial of an earlier space is in a later one; None where it is not legal there.

    It is legal where the later space asks what the earlier one knew, offers each answer, comes to the same
    architecture and does not forbid it. A field that was fixed and may now be chosen has its old value.

    Args:
        params: The trial's parameters.
        earlier: The space that drew them.
        later: The space to judge by.
        input_shape: Channels, then the spatial size, of one example.
        classes: Number of classes.
    """
    was, will = _Answering(params), None
    try:
        before = earlier.sample(was, input_shape, classes)
        will = _Answering(was.answers)
        after = later.sample(will, input_shape, classes)
    except _NotLegal:
        return None
    if after != before or later.forbidden(after):
        return None
    asked = {name: choices for name, choices in will.choices.items() if len(choices) > 1}
    return Carried(after, {name: will.answers[name] for name in asked}, asked)


def _offers(choices: Sequence[Scalar], value: Scalar) -> bool:
    return any(type(value) is type(choice) and value == choice for choice in choices)
