import contextlib
import itertools
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import analyse, families
from search_spaces.errors import SpaceError
from search_spaces.families import resolve_space
from search_spaces.operations.operation import largest_groups
from search_spaces.random_trial import RandomTrial
from search_spaces.space import SearchSpace

LARGE = (64, 96, 96)


class Enumerating:
    """Walks through every combination of answers, one trial each."""

    def __init__(self) -> None:
        self.done = False
        self._path: list[int] = []
        self._counts: list[int] = []
        self._position = 0
        self.params: dict[str, Any] = {}

    def begin(self) -> None:
        self._position, self._counts, self.params = 0, [], {}

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        if self._position == len(self._path):
            self._path.append(0)
        self._counts.append(len(choices))
        value = choices[self._path[self._position]]
        self._position += 1
        assert name not in self.params
        self.params[name] = value
        return value

    def step(self) -> None:
        path = self._path[: self._position]
        while path and path[-1] + 1 == self._counts[len(path) - 1]:
            path.pop()
        self.done = not path
        if path:
            path[-1] += 1
        self._path = path


def enumerate_params(space: SearchSpace, input_shape: tuple[int, ...] = LARGE) -> list[dict[str, Any]]:
    trial, found = Enumerating(), []
    while not trial.done:
        trial.begin()
        space.sample(trial, input_shape, 10)
        found.append(dict(trial.params))
        trial.step()
    return found


SMALL_SPACES: list[dict[str, Any]] = [
    {},
    {"depth": [1, 2, 3], "stage": {"width": [8, 16], "branch": {"kernel": [1, 3]}}},
    {"depth": [1, 2], "stage": {"branches": [1, 2], "branch": {"kernel": [1, 3], "dilation": [1, 2]}}},
    {"depth": 1, "stage": {"branch": {"operation": ["conv", "depthwise_separable"], "groups": [1, 4]}}},
    {
        "depth": 1,
        "stage": {"branches": [1, 2], "fusion": ["concat_project", "add"], "branch_width": ["split", "full"]},
    },
    {"depth": 1, "stage": {"branch": {"kernel": [1, 5], "shape": ["square", "column", "row"]}}},
    {
        "depth": [1, 2],
        "tied": ["activation", "norm"],
        "stage": {"activation": ["relu", "elu"], "norm": ["batch", "none"]},
    },
    {
        "depth": 2,
        "layouts": {"one": [{"kernel": [3, 5]}], "two": [{"kernel": 3}, {"kernel": 5, "groups": [1, 2]}]},
        "stage": {"layout": ["free", "one", "two"], "branch_activation": [False, True]},
    },
    {
        "depth": 1,
        "stage": {"branch_activation": [False, True], "branch": {"repeat": [1, 2], "bottleneck": [1, 2]}},
    },
    {
        "depth": 1,
        "stage": {"branch_activation": [False, True], "branch": {"shape": ["square", "column_row"]}},
    },
    {"depth": 1, "head": {"dense_layers": [0, 1, 2], "dense_width": [32, 64], "pool": ["avg", "flatten"]}},
    {
        "depth": 1,
        "stage": {
            "attention": ["none", 4],
            "downsample": ["none", "max"],
            "connection": ["none", "residual"],
        },
    },
]


@pytest.mark.parametrize("data", SMALL_SPACES, ids=range(len(SMALL_SPACES)))
def test_size_equals_the_number_of_distinct_parameter_combinations(data: dict[str, Any]) -> None:
    space = SearchSpace.from_dict(data)
    found = enumerate_params(space)
    assert len({repr(sorted(params.items())) for params in found}) == len(found) == space.size()


@pytest.mark.parametrize("data", SMALL_SPACES, ids=range(len(SMALL_SPACES)))
def test_a_space_survives_yaml(data: dict[str, Any]) -> None:
    space = SearchSpace.from_dict(data)
    assert SearchSpace.from_dict(yaml.safe_load(yaml.safe_dump(space.to_dict()))) == space


def test_a_fixed_field_is_never_asked() -> None:
    trial = RandomTrial(0)
    SearchSpace.from_dict({}).sample(trial, (1, 28, 28), 10)
    assert trial.params == {}


def test_parameters_are_named_by_stage_branch_and_field() -> None:
    space = SearchSpace.from_dict(
        {"depth": 2, "stage": {"width": [16, 32], "branches": 2, "branch": {"kernel": [3, 5]}}}
    )
    trial = RandomTrial(0)
    space.sample(trial, (3, 32, 32), 10)
    assert set(trial.params) == {
        *(f"stage{stage}.width" for stage in (1, 2)),
        *(f"stage{stage}.branch{branch}.kernel" for stage, branch in itertools.product((1, 2), (1, 2))),
    }


def test_a_tied_field_is_drawn_once() -> None:
    data = {
        "depth": 3,
        "tied": ["activation"],
        "stage": {"activation": ["relu", "elu"]},
        "stage3": {"activation": "silu"},
    }
    trial = RandomTrial(1)
    architecture = SearchSpace.from_dict(data).sample(trial, (1, 28, 28), 10)
    assert set(trial.params) == {"activation"}
    drawn = trial.params["activation"]
    assert [stage.activation for stage in architecture.stages] == [drawn, drawn, "silu"]


def test_dilation_is_asked_only_where_the_kernel_is_larger_than_one() -> None:
    space = SearchSpace.from_dict({"depth": 1, "stage": {"branch": {"kernel": [1, 3], "dilation": [1, 2]}}})
    for params in enumerate_params(space):
        assert ("stage1.branch1.dilation" in params) == (params["stage1.branch1.kernel"] == 3)


def test_groups_are_asked_only_for_convolutions_with_channels_to_group() -> None:
    data = {"depth": 1, "stage": {"branch": {"operation": ["conv", "depthwise_separable"], "groups": [1, 4]}}}
    space = SearchSpace.from_dict(data)
    for params in enumerate_params(space):
        assert ("stage1.branch1.groups" in params) == (params["stage1.branch1.operation"] == "conv")
    assert all("stage1.branch1.groups" not in params for params in enumerate_params(space, (1, 28, 28)))


def test_group_levels_become_the_largest_common_divisor_below_them() -> None:
    assert largest_groups(4, 64, 128) == 4
    assert largest_groups(16, 24, 36) == 12
    assert largest_groups(8, 3, 64) == 1
    assert largest_groups(5, 64, 64) == 4


def test_kernels_shrink_to_what_the_map_shows() -> None:
    space = SearchSpace.from_dict({"depth": 1, "stage": {"branch": {"kernel": 9}}})
    (stage,) = space.sample(RandomTrial(0), (1, 3, 40), 10).to_dict()["stages"]
    assert stage["branches"] == [[{"op": "conv", "channels": 32, "kernel": [5, 9]}]]


def test_down_sampling_stops_at_the_smallest_map() -> None:
    space = SearchSpace.from_dict({"depth": 6, "smallest_map": 3, "stage": {"downsample": "max"}})
    stages = space.sample(RandomTrial(0), (1, 28, 28), 10).stages
    assert [stage.downsample for stage in stages] == ["max", "max", "max", "none", "none", "none"]


def test_only_small_maps_are_flattened() -> None:
    space = SearchSpace.from_dict({"depth": 1, "head": {"pool": "flatten", "largest_flatten": 64}})
    assert space.sample(RandomTrial(0), (1, 8, 8), 10).head.pool == "flatten"
    assert space.sample(RandomTrial(0), (1, 8, 9), 10).head.pool == "avg"


def test_widths_grow_from_the_stage_before() -> None:
    space = SearchSpace.from_dict({"depth": 3, "stage": {"width": "x1.5"}, "stage1": {"width": 16}})
    assert [stage.channels for stage in space.sample(RandomTrial(0), (1, 28, 28), 10).stages] == [16, 24, 36]


def test_shares_split_the_width_as_the_pyramid_paper_does() -> None:
    space = families.get("pyramidal").space.with_override(
        {"depth": 1, "stage1": {"layout": "levels3_half", "width": 64, "downsample": "max"}}
    )
    stage = space.sample(RandomTrial(0), (64, 28, 28), 10).stages[0]
    assert sorted(branch.operations[-1].channels for branch in stage.branches) == [16, 16, 32]


def test_an_override_merges_and_null_takes_away() -> None:
    space = SearchSpace.from_dict(
        {"depth": [1, 2], "stage": {"width": 16, "norm": "none"}, "stage2": {"width": 32}}
    )
    changed = space.with_override({"stage": {"width": 8, "norm": None}, "stage2": None})
    assert changed == SearchSpace.from_dict({"depth": [1, 2], "stage": {"width": 8}})
    assert space.to_dict()["stage"] == {"width": 16, "norm": "none"}


BAD: list[tuple[dict[str, Any], str, tuple[str, ...]]] = [
    ({"deepth": 2}, "/deepth", ("deepth", "did you mean 'depth'")),
    ({"stage": {"kernel": 3}}, "/stage/kernel", ("stage", "kernel")),
    ({"stage": {"branch": {"kernell": 3}}}, "/stage/branch/kernell", ("did you mean 'kernel'",)),
    ({"stage": {"branch": {"kernel": 4}}}, "/stage/branch/kernel", ("stage.branch.kernel", "(4)", "odd")),
    ({"stage": {"branch": {"kernel": [3, 4]}}}, "/stage/branch/kernel/1", ("stage.branch.kernel.1", "(4)")),
    ({"stage": {"branch": {"kernel": [3, 3]}}}, "/stage/branch/kernel/1", ("lists 3 twice",)),
    ({"stage": {"branch": {"kernel": []}}}, "/stage/branch/kernel", ("not 0",)),
    ({"stage": {"branch": {"kernel": True}}}, "/stage/branch/kernel", ("true",)),
    (
        {"stage": {"branch": {"operation": "convv"}}},
        "/stage/branch/operation",
        ("convv", "depthwise_separable"),
    ),
    ({"stage3": {"fusion": "sum"}}, "/stage3/fusion", ("stage3.fusion", "sum", "concat_project")),
    ({"stage": {"layout": "pyramid"}}, "/stage/layout", ("pyramid", "free")),
    ({"stage": {"attention": 1}}, "/stage/attention", ("(1)", "none")),
    ({"stage": {"width": "2x"}}, "/stage/width", ("2x", "x16")),
    ({"stage1": {"width": ["x1"]}}, "/stage1/width", ("stage1.width", "x1")),
    ({"depth": 7}, "/depth", ("depth (7)", "1 to 6")),
    ({"smallest_map": [2, 3]}, "/smallest_map", ("smallest_map",)),
    ({"tied": ["fusion"]}, "/tied/0", ("fusion", "activation")),
    ({"tied": "norm"}, "/tied", ("list",)),
    ({"layouts": {"free": [{}]}}, "/layouts/free", ("free",)),
    ({"layouts": {"five": [{}] * 5}}, "/layouts/five", ("1 to 4",)),
    ({"layouts": {"x": [{"kernel": 0}]}}, "/layouts/x/0/kernel", ("(0)",)),
    ({"layouts": [1]}, "/layouts", ("mapping",)),
    ({"head": {"dropout": 1.0}}, "/head/dropout", ("head.dropout", "below 1")),
    ({"head": {"dropout": float("nan")}}, "/head/dropout", ("nan",)),
    (
        {"head": {"largest_flatten": [1, 2]}},
        "/head/largest_flatten",
        ("head.largest_flatten", "whole number"),
    ),
    ({"head": 3}, "/head", ("head", "mapping")),
]


@pytest.mark.parametrize(("data", "pointer", "words"), BAD, ids=[pointer for _, pointer, _ in BAD])
def test_errors_name_field_value_and_what_is_allowed(
    data: dict[str, Any], pointer: str, words: tuple[str, ...]
) -> None:
    with pytest.raises(SpaceError) as caught:
        SearchSpace.from_dict(data)
    assert caught.value.pointer == pointer
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "\n" not in str(caught.value)


def test_resolve_space_takes_a_name_an_override_or_inline_data() -> None:
    assert resolve_space("multi_scale") is families.get("multi_scale").space
    assert resolve_space({"family": "multi_scale"}) == families.get("multi_scale").space
    assert resolve_space({"family": "two_conv", "override": {"depth": 2}}).depth == (2,)
    assert resolve_space({"depth": 3}) == SearchSpace.from_dict({"depth": 3})


@pytest.mark.parametrize(
    ("space", "pointer", "word"),
    [
        ("multiscale", "", "did you mean 'multi_scale'"),
        ({"family": "nope"}, "/family", "multi_scale"),
        ({"family": "two_conv", "overide": {}}, "/overide", "did you mean 'override'"),
        ({"family": "two_conv", "override": {"depth": 9}}, "/override/depth", "depth (9)"),
        ({"family": "two_conv", "override": 3}, "/override", "mapping"),
        (3, "", "mapping"),
    ],
)
def test_resolve_space_refuses_what_it_does_not_know(space: Any, pointer: str, word: str) -> None:
    with pytest.raises(SpaceError) as caught:
        resolve_space(space)
    assert caught.value.pointer == pointer
    assert word in str(caught.value)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["depth", "stage", "stage1", "branch", "kernel", "width", "layouts", "tied", "head", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(JUNK)
def test_junk_is_refused_with_a_space_error_or_samples(data: Any) -> None:
    with contextlib.suppress(SpaceError):
        SearchSpace.from_dict(data).sample(RandomTrial(0), (1, 28, 28), 10)


def _field(rule: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A field that is fixed, or a choice of up to three."""
    return rule | st.lists(rule, min_size=1, max_size=3, unique=True)


BRANCHES = st.fixed_dictionaries(
    {},
    optional={
        "operation": _field(st.sampled_from(["conv", "depthwise_separable"])),
        "kernel": _field(st.sampled_from([1, 3, 7, 31])),
        "shape": _field(st.sampled_from(["square", "column", "row", "column_row"])),
        "groups": _field(st.integers(1, 512)),
        "dilation": _field(st.integers(1, 8)),
        "repeat": _field(st.integers(1, 3)),
        "bottleneck": _field(st.integers(1, 16)),
        "share": _field(st.integers(1, 8)),
    },
)
STAGE_FIELDS = {
    "layout": _field(st.sampled_from(["free", "named"])),
    "branches": _field(st.integers(1, 4)),
    "branch": BRANCHES,
    "fusion": _field(st.sampled_from(["concat", "concat_project", "add", "weighted"])),
    "branch_width": _field(st.sampled_from(["split", "full"])),
    "branch_activation": _field(st.booleans()),
    "connection": _field(st.sampled_from(["none", "residual"])),
    "attention": _field(st.sampled_from(["none", 2, 16])),
    "norm": _field(st.sampled_from(["batch", "none"])),
    "downsample": _field(st.sampled_from(["none", "max", "avg", "stride"])),
    "pool_position": _field(st.sampled_from(["before_norm", "after_activation"])),
}
COUNTS = _field(st.integers(1, 1024))
SPACES = st.fixed_dictionaries(
    {
        "depth": _field(st.integers(1, 6)),
        "layouts": st.fixed_dictionaries({"named": st.lists(BRANCHES, min_size=1, max_size=4)}),
        "stage": st.fixed_dictionaries(
            {"width": _field(st.integers(1, 1024) | st.sampled_from(["x0.1", "x1", "x1.5", "x16"]))},
            optional=STAGE_FIELDS,
        ),
        "stage1": st.fixed_dictionaries({"width": COUNTS}, optional=STAGE_FIELDS),
        "head": st.fixed_dictionaries(
            {},
            optional={
                "pool": _field(st.sampled_from(["avg", "max"])),
                "dense_layers": _field(st.integers(0, 2)),
            },
        ),
    },
    optional={
        "smallest_map": st.integers(1, 16),
        "tied": st.lists(st.sampled_from(["connection", "attention", "norm", "downsample"]), unique=True),
    },
)
SHAPES = st.tuples(st.integers(1, 64), st.integers(1, 300)) | st.tuples(
    st.integers(1, 64), st.integers(1, 96), st.integers(1, 96)
)


@settings(deadline=None)
@given(SPACES, SHAPES, st.integers(0, 2**32))
def test_every_valid_space_samples_valid_architectures(data: Any, shape: tuple[int, ...], seed: int) -> None:
    space = SearchSpace.from_dict(data)
    trial = RandomTrial(seed)
    architecture = space.sample(trial, shape, 5)
    assert analyse(architecture).params > 0
    assert space.sample(RandomTrial(fixed=trial.params), shape, 5) == architecture
    assert SearchSpace.from_dict(space.to_dict()) == space
    assert space.size() >= 1
