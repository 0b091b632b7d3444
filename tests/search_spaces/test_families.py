import importlib

import optuna
import pytest

from search_spaces import Architecture, RandomTrial, analyse, families, resolve_space
from search_spaces.errors import SpaceError
from search_spaces.random_trial import Scalar
from search_spaces.space import SearchSpace

DIGITS = (1, 28, 28)
ODD_SHAPES = [
    (1, 1),
    (2, 1, 1),
    (1, 2, 200),
    (512, 5, 5),
    (3, 8, 8),
    (1, 8192),
    (7, 129),
    (1, 65, 64),
    (13, 96, 9),
]
every_family = pytest.mark.parametrize("family", families.names())


def _samples(family: str, count: int, shape: tuple[int, ...] = DIGITS) -> list[Architecture]:
    space = families.get(family).space
    return [space.sample(RandomTrial(seed), shape, 10) for seed in range(count)]


def test_the_default_family_comes_first() -> None:
    assert families.names()[0] == "multi_scale"
    assert len(families.names()) == 19


def test_an_unknown_family_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(SpaceError, match="did you mean 'two_conv'"):
        families.get("twoconv")


@every_family
def test_a_family_says_what_it_is_and_where_it_comes_from(family: str) -> None:
    member = families.get(family)
    module = importlib.import_module(f"search_spaces.families.{family}")
    assert member.name == family
    assert member.summary
    assert member.source
    assert module.__doc__
    assert SearchSpace.from_dict(member.space.to_dict()) == member.space


@every_family
@pytest.mark.parametrize("shape", ODD_SHAPES, ids=lambda shape: "x".join(map(str, shape)))
def test_sampling_never_fails(family: str, shape: tuple[int, ...]) -> None:
    for architecture in _samples(family, 30, shape):
        assert analyse(architecture).params > 0


@every_family
def test_fewer_than_forty_parameters_are_active(family: str) -> None:
    space = families.get(family).space
    for seed in range(500):
        trial = RandomTrial(seed)
        space.sample(trial, (3, 96, 96), 10)
        assert len(trial.params) < 40


@every_family
def test_a_parameter_has_the_same_choices_in_every_trial_and_for_every_shape(family: str) -> None:
    space, seen = families.get(family).space, dict[str, object]()

    class Watching(RandomTrial):
        def suggest_categorical(self, name, choices):  # type: ignore[no-untyped-def]
            assert seen.setdefault(name, choices) == choices
            assert len(choices) > 1
            assert name not in self.params
            return super().suggest_categorical(name, choices)

    for shape in [DIGITS, (1, 128), *ODD_SHAPES]:
        for seed in range(50):
            space.sample(Watching(seed), shape, 10)


@every_family
def test_equal_parameters_give_an_equal_architecture(family: str) -> None:
    space = families.get(family).space
    for seed in range(50):
        trial = RandomTrial(seed)
        architecture = space.sample(trial, DIGITS, 10)
        again = space.sample(RandomTrial(fixed=trial.params), DIGITS, 10)
        assert again.hash == architecture.hash
        assert space.sample(RandomTrial(seed), DIGITS, 10) == architecture


@every_family
@pytest.mark.parametrize("sampler", ["random", "tpe", "nsga2"])
def test_optuna_samples_and_replays(family: str, sampler: str) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    samplers: dict[str, optuna.samplers.BaseSampler] = {
        "random": optuna.samplers.RandomSampler(seed=0),
        "tpe": optuna.samplers.TPESampler(seed=0, n_startup_trials=5),
        "nsga2": optuna.samplers.NSGAIISampler(seed=0, population_size=5),
    }
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=samplers[sampler])
    space = families.get(family).space
    for _ in range(20):
        trial = study.ask()
        architecture = space.sample(trial, DIGITS, 10)
        cost = analyse(architecture)
        study.tell(trial, [cost.params, cost.macs])
        assert space.sample(optuna.trial.FixedTrial(trial.params), DIGITS, 10) == architecture


def test_the_default_family_suits_small_devices() -> None:
    costs = [analyse(architecture) for architecture in _samples("multi_scale", 500)]
    share_small = sum(cost.params < 50_000 and cost.macs < 10_000_000 for cost in costs) / len(costs)
    assert share_small > 0.5
    assert min(cost.params for cost in costs) <= 1_500
    assert max(cost.params for cost in costs) >= 500_000
    assert max(cost.macs for cost in costs) < 200_000_000


def test_the_first_stage_of_the_default_family_always_shrinks_the_map() -> None:
    for architecture in _samples("multi_scale", 200):
        assert architecture.stages[0].downsample != "none"
        assert architecture.stages[0].channels <= 48 + 12


def test_repeats_are_rare_in_the_default_family() -> None:
    samples = _samples("multi_scale", 200)
    assert len({architecture.hash for architecture in samples}) >= 195


def test_two_conv_holds_the_canonical_network() -> None:
    params: dict[str, Scalar] = {
        "depth": 2,
        "stage1.width": 32,
        "stage1.branch1.kernel": 3,
        "stage1.downsample": "max",
        "stage2.width": "x2",
        "stage2.branch1.kernel": 3,
        "stage2.downsample": "none",
        "head.dense_layers": 1,
        "head.dense1": 256,
    }
    trial = RandomTrial(fixed=params)
    architecture = resolve_space("two_conv").sample(trial, DIGITS, 10)
    assert trial.params == params
    # 38,218 with biases in the convolutions, which batch norm makes superfluous.
    assert analyse(architecture).params == 38_218 - 96


def test_pyramidal_holds_the_four_levels_of_the_paper() -> None:
    override = {"depth": 1, "stage1": {"layout": "levels4", "width": 64}, "head": {"dense_layers": 0}}
    space = resolve_space({"family": "pyramidal", "override": override})
    architecture = space.sample(RandomTrial(0), (64, 28, 28), 10)
    layers = [layer for layer in analyse(architecture).layers if layer.kind == "convolution"]
    assert sorted(layer.params for layer in layers) == [5_184, 6_272, 6_400, 9_216]
    assert sum(layer.params for layer in layers) == 27_072


def test_a_two_conv_block_projects_full_width_branches_back() -> None:
    override = {
        "depth": 1,
        "stage1": {"width": 64},
        "stage": {"fusion": "concat_project", "branch_width": "full", "connection": "none"},
        "layouts": {"block": [{"kernel": 3}, {"kernel": 5}]},
    }
    space = resolve_space({"family": "two_conv_block", "override": override})
    layers = analyse(space.sample(RandomTrial(0), (64, 32, 32), 10)).layers
    assert sum(layer.params for layer in layers if layer.kind == "convolution") == 147_456
