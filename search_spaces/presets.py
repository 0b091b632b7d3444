"""Presets of a space: its plainest networks, small, middling and large."""

from collections.abc import Sequence

from search_spaces.random_trial import Scalar
from search_spaces.space import SearchSpace
from search_spaces.versions import Carried

# What makes a network large; of everything else the first choice is taken, which is the plainest.
SIZES = frozenset({"depth", "width", "dense_layers", "dense_width"})
# Where among its choices a size is taken: the first, the middle and the last.
LEVELS = {"small": 0.0, "medium": 0.5, "large": 1.0}


class _Plain:
    """A trial that answers with the plainest choice, and with one size throughout."""

    def __init__(self, level: float) -> None:
        self._level = level
        self.params: dict[str, Scalar] = {}
        self.choices: dict[str, tuple[Scalar, ...]] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Scalar]) -> Scalar:
        is_size = name.rpartition(".")[2] in SIZES
        place = round(self._level * (len(choices) - 1)) if is_size else 0
        self.params[name], self.choices[name] = choices[place], tuple(choices)
        return choices[place]


def presets(space: SearchSpace, input_shape: Sequence[int], classes: int) -> dict[str, Carried]:
    """Return a space's small, medium and large preset, with the parameters that draw them.

    Example:
        >>> from search_spaces import families
        >>> found = presets(families.get("two_conv").space, (1, 28, 28), 10)
        >>> [len(preset.architecture.stages) for preset in found.values()]
        [1, 3, 4]
    """
    found = {}
    for name, level in LEVELS.items():
        trial = _Plain(level)
        found[name] = Carried(space.sample(trial, input_shape, classes), trial.params, trial.choices)
    return found
