"""Transfer: what fits is taken over, what is frozen does not move."""

from typing import Any

import pytest
import torch

from nas_service.studies import Recipe
from search_spaces import Architecture
from search_spaces.modules import build
from workers.checkpoint import weights_file
from workers.data.arrays import TrainingData
from workers.training.trainer import train
from workers.training.transfer import freeze, transfer

STAGE = {"branches": [[{"op": "conv", "channels": 8, "kernel": 3}]], "channels": 8, "downsample": "max"}


def network_of(**changes: Any) -> Architecture:
    description = {"input_shape": [1, 8, 8], "classes": 10, "stages": [STAGE, STAGE]}
    return Architecture.from_dict(description | changes)


@pytest.mark.parametrize("as_file", [True, False])
def test_an_equal_network_is_taken_over_whole(as_file: bool) -> None:
    architecture = network_of()
    source, target = build(architecture, seed=1), build(architecture, seed=2)
    report = transfer(target, weights_file(source, architecture) if as_file else source.state_dict())
    assert set(report.loaded) == set(target.state_dict())
    assert (report.mismatched, report.missing, report.unused) == ((), (), ())
    state = source.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in target.state_dict().items())


def test_entries_that_do_not_fit_are_left_and_named() -> None:
    source = build(network_of(stages=[STAGE, STAGE, STAGE]), seed=1)
    target = build(network_of(classes=4, head={"dense": [16]}), seed=2)
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    report = transfer(target, source.state_dict())
    assert report.mismatched == ("head.logits.weight", "head.logits.bias")
    assert report.missing == ("head.dense1.weight", "head.dense1.bias")
    assert report.unused
    assert all(name.startswith("stage3.") for name in report.unused)
    assert {name.partition(".")[0] for name in report.loaded} == {"stage1", "stage2"}
    for name in (*report.mismatched, *report.missing):
        assert torch.equal(target.state_dict()[name], before[name])


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(decoupled_weight_decay=True, checkpointing=True)])
def test_frozen_stages_stay_to_the_bit_while_the_rest_is_trained(
    recipe: Recipe, digits_data: TrainingData
) -> None:
    network = build(network_of(), seed=1)
    names = freeze(network, 1)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    train(network, digits_data, recipe, epochs=1, seed=0, on_epoch=lambda report: "continue")
    assert names
    assert all(name.startswith("stage1.") for name in names)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]) == name.startswith("stage1.")


def test_more_stages_than_there_are_cannot_be_frozen() -> None:
    with pytest.raises(ValueError, match=r"\(3\) must be 0 to 2"):
        freeze(build(network_of()), 3)


def test_a_wholly_frozen_network_still_trains_its_head(digits_data: TrainingData) -> None:
    network = build(network_of(), seed=1)
    freeze(network, 2)
    train(network, digits_data, Recipe(), epochs=1, seed=0, on_epoch=lambda report: "continue")
    moving = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert moving == {"head.logits.weight", "head.logits.bias"}
