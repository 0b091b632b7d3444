"""A chosen network is trained on all but the test part, and measured there once."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load

from nas_service.datasets import Dataset
from nas_service.studies import Recipe
from search_spaces import Architecture
from workers.checkpoint import read_network
from workers.data.final import WATCHED, final_data
from workers.final_training import Course, answers, train_finally
from workers.training.transfer import freeze

DETERMINISTIC = Recipe(deterministic=True)


@pytest.mark.parametrize("has_own_test_part", [True, False])
def test_all_but_the_test_part_is_trained_on_if_asked(
    has_own_test_part: bool, digits_dataset: Dataset
) -> None:
    dataset = digits_dataset if has_own_test_part else replace(digits_dataset, x_test=None, y_test=None)
    search, test = final_data(dataset, 1 / 6, 0, with_validation=False)
    whole, same_test = final_data(dataset, 1 / 6, 0, with_validation=True)
    assert len(whole.train) == len(search.train) + len(search.validation)
    assert torch.equal(test.examples, same_test.examples)
    assert len(whole.validation) == WATCHED
    aside = 0 if has_own_test_part else len(test)
    assert len(whole.train) + aside == len(dataset.y_train)


def test_equal_seeds_give_equal_networks_and_the_stored_one_has_the_figures(
    digits_dataset: Dataset, multi_scale: Architecture
) -> None:
    data, test = final_data(digits_dataset, 1 / 6, 0, with_validation=True)
    runs = [
        train_finally(
            multi_scale, data, test, Course(DETERMINISTIC, 1, seed), on_epoch=lambda report: "continue"
        )
        for seed in (5, 5, 6)
    ]
    assert runs[0].weights == runs[1].weights
    assert runs[0].weights != runs[2].weights
    network = read_network(runs[0].architecture, runs[0].weights)
    logits, labels = answers(network, data, test, DETERMINISTIC)
    share = float((logits.argmax(1) == labels).float().mean())
    assert runs[0].metrics["accuracy"] == pytest.approx(share)
    assert len(runs[0].per_class["recall"]) == 10


def test_what_is_prepared_before_holds_through_training(
    digits_dataset: Dataset, multi_scale: Architecture
) -> None:
    data, test = final_data(digits_dataset, 1 / 6, 0, with_validation=False)
    kept: dict[str, torch.Tensor] = {}

    def prepare(network: torch.nn.Module) -> None:
        freeze(network, 1)
        kept.update({name: value.clone() for name, value in network.state_dict().items()})

    course = Course(DETERMINISTIC, 1, 0, prepare)
    final = train_finally(multi_scale, data, test, course, on_epoch=lambda report: "continue")
    trained = load(final.weights)
    moved = {name.partition(".")[0] for name, value in trained.items() if not torch.equal(value, kept[name])}
    assert "stage1" not in moved
    assert "stage2" in moved
