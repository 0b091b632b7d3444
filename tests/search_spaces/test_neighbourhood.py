"""A space narrowed around an architecture still draws it, and little else."""

from typing import Any

import pytest

from search_spaces import RandomTrial, families, resolve_space
from search_spaces.neighbourhood import around, nearest
from search_spaces.versions import carried

SHAPE, CLASSES = (3, 32, 32), 10
LONG: dict[str, Any] = {
    "depth": [1, 2, 3],
    "tied": ["activation"],
    "stage": {
        "branches": [1, 2, 3],
        "width": ["x1", "x1.5", "x2", "x3"],
        "activation": ["relu", "silu", "gelu"],
        "branch": {"kernel": [1, 3, 5, 7, 9, 11], "groups": [1, 2, 4, 8, 16]},
        "attention": ["none", 4, 8],
        "dropout": [0.0, 0.1, 0.2, 0.3],
    },
    "stage1": {"width": [8, 16, 24, 32, 48], "activation": "relu"},
    "head": {"dense_layers": [0, 1, 2], "dense_width": [32, 64, 128, 256]},
}
SPACES = [*families.names(), LONG, {"family": "pyramidal", "override": {"depth": [1, 2]}}]


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space if isinstance(space, str) else "own")
def test_the_architecture_can_be_drawn_from_its_neighbourhood(space: Any) -> None:
    whole = resolve_space(space)
    for seed in range(8):
        trial = RandomTrial(seed)
        architecture = whole.sample(trial, SHAPE, CLASSES)
        narrowed = resolve_space(around(space, trial.params))
        found = carried(trial.params, whole, narrowed, SHAPE, CLASSES)
        assert whole.forbidden(architecture) or (found and found.architecture == architecture)
        assert narrowed.size() <= whole.size()


def test_a_neighbourhood_holds_the_values_beside_those_that_were_drawn() -> None:
    trial = RandomTrial(3)
    resolve_space(LONG).sample(trial, SHAPE, CLASSES)
    data = resolve_space(around(LONG, trial.params)).to_dict()
    kernels = [
        value for name, value in trial.params.items() if name.startswith("stage1.") and "kernel" in name
    ]
    offered = data["stage1"]["branch"]["kernel"]
    assert set(kernels) <= set(offered) < {1, 3, 5, 7, 9, 11}
    assert data["depth"] == trial.params["depth"]
    assert data["stage"]["activation"] == trial.params["activation"]
    assert data["stage1"]["activation"] == "relu"
    assert resolve_space(data).size() < resolve_space(LONG).size() / 1000


@pytest.mark.parametrize(
    ("choices", "answers", "expected"),
    [
        ((8, 16, 24, 32), [16], [8, 16, 24]),
        ((32, 8, 24, 16), [8], [8, 16]),
        ((1, 2, 4, 8, 16), [1, 16], [1, 2, 8, 16]),
        (("concat", "add", "weighted"), ["add"], "add"),
        (("none", 4), ["none"], ["none", 4]),
        ((False, True), [True], [False, True]),
        # What a later version of the space no longer offers narrows nothing.
        ((3, 5, 7), [9], [3, 5, 7]),
    ],
)
def test_neighbours_are_the_next_in_size(choices: Any, answers: Any, expected: Any) -> None:
    assert nearest(choices, answers) == expected
