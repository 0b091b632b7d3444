"""Training that is interrupted and goes on ends as if it had never been."""

from collections.abc import Callable, Iterable

import pytest
import torch
from torch import nn

from nas_service.studies import Augmentation, Recipe
from nas_service.trials import EpochReport, Instruction
from search_spaces import Architecture
from search_spaces.modules import build
from workers.data.arrays import TrainingData
from workers.state_file import Identity, read_state, write_state
from workers.training import state as training_state
from workers.training.state import TrainingState, Uninterrupted
from workers.training.trainer import TrainingResult, train

EPOCHS = 4
IDENTITY = Identity("a" * 64, "b" * 64)


class Handed(Uninterrupted):
    """Takes states over from an earlier attempt, and keeps those that it is offered."""

    def __init__(self, *earlier: TrainingState, overdue_after: int | None = None) -> None:
        self.states = earlier
        self.offered: list[tuple[int, bool]] = []
        self.last: TrainingState | None = None
        self._steps_left = overdue_after

    def earlier(self) -> Iterable[TrainingState]:
        return self.states

    def offer(self, state: TrainingState, *, is_last: bool = False) -> None:
        self.offered.append((state.epoch, is_last))
        # Through the file, as it will be.
        self.last = read_state(write_state(state, IDENTITY, 1), IDENTITY)

    def is_overdue(self) -> bool:
        if self._steps_left is None:
            return False
        self._steps_left -= 1
        return self._steps_left < 0


def trained(
    architecture: Architecture,
    data: TrainingData,
    recipe: Recipe,
    continuity: Uninterrupted,
    *,
    stop_after: int = EPOCHS,
    on_epoch: Callable[[EpochReport], None] = lambda report: None,
) -> tuple[nn.Module, TrainingResult]:
    def answer(report: EpochReport) -> Instruction:
        on_epoch(report)
        return "stop" if report.epoch == stop_after else "continue"

    network = build(architecture, seed=3)
    result = train(network, data, recipe, epochs=EPOCHS, seed=3, on_epoch=answer, continuity=continuity)
    return network, result


def have_equal_bits(one: nn.Module, other: nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


RECIPES = {
    "sgd": Recipe(),
    "sgd without momentum": Recipe(momentum=0.0),
    "decoupled": Recipe(decoupled_weight_decay=True, schedule="cosine"),
    "adam": Recipe(optimizer="adam", learning_rate=0.01, schedule="step"),
    "adamw": Recipe(optimizer="adamw", learning_rate=0.01),
    "rmsprop": Recipe(optimizer="rmsprop", learning_rate=0.001),
    "adagrad": Recipe(optimizer="adagrad", learning_rate=0.01, schedule="constant"),
    "all that is drawn": Recipe(
        dropout=0.2,
        augmentation=Augmentation(crop_padding=1, horizontal_flip=True, cutout=2, noise=0.1, brightness=0.1),
    ),
    "checkpointing": Recipe(checkpointing=True, dropout=0.2),
}


EACH_EPOCH = ("sgd", "all that is drawn")


@pytest.mark.parametrize(
    ("name", "behind"),
    [(name, behind) for name in RECIPES for behind in ((1, 2, 3) if name in EACH_EPOCH else (2,))],
)
def test_interrupted_after_any_epoch_training_ends_with_the_same_bits(
    name: str, behind: int, multi_scale: Architecture, digits_data: TrainingData
) -> None:
    recipe = RECIPES[name].model_copy(update={"deterministic": True})
    whole, figures = trained(multi_scale, digits_data, recipe, Uninterrupted())
    first = Handed()
    _, cut = trained(multi_scale, digits_data, recipe, first, stop_after=behind)
    assert (cut.ending, cut.epochs, first.offered[-1]) == ("stopped", behind, (behind, True))
    assert first.last is not None
    told: list[EpochReport] = []
    resumed, result = trained(multi_scale, digits_data, recipe, Handed(first.last), on_epoch=told.append)
    assert have_equal_bits(resumed, whole)
    assert (result.ending, result.accuracy, result.epochs) == ("complete", figures.accuracy, EPOCHS)
    assert result.trained_examples == figures.trained_examples
    assert result.seconds > cut.seconds
    assert [(report.epoch, report.resumed_from) for report in told][:2] == [
        (behind + 1, behind),
        (behind + 2, None),
    ][: EPOCHS - behind]


def test_an_overdue_epoch_is_abandoned_and_the_last_full_one_kept(
    multi_scale: Architecture, digits_data: TrainingData
) -> None:
    recipe = Recipe(deterministic=True)
    whole, _ = trained(multi_scale, digits_data, recipe, Uninterrupted())
    steps = max(1, len(digits_data.train) // max(2, min(128, len(digits_data.train) // 8)))
    first = Handed(overdue_after=2 * steps + 1)
    _, cut = trained(multi_scale, digits_data, recipe, first)
    assert (cut.ending, cut.epochs, first.offered[-1]) == ("stopped", 2, (2, True))
    assert first.last is not None
    resumed, _ = trained(multi_scale, digits_data, recipe, Handed(first.last))
    assert have_equal_bits(resumed, whole)


def test_told_to_stop_behind_the_last_epoch_training_is_complete(
    multi_scale: Architecture, digits_data: TrainingData
) -> None:
    handed = Handed()
    network = build(multi_scale, seed=3)
    result = train(
        network, digits_data, Recipe(), epochs=1, seed=3, on_epoch=lambda _: "stop", continuity=handed
    )
    assert (result.ending, handed.offered) == ("complete", [])


def test_a_pruned_candidate_leaves_no_state(multi_scale: Architecture, digits_data: TrainingData) -> None:
    handed = Handed()
    network = build(multi_scale, seed=3)
    train(network, digits_data, Recipe(), epochs=3, seed=3, on_epoch=lambda _: "prune", continuity=handed)
    assert handed.offered == []


def test_a_state_that_does_not_fit_changes_nothing_and_the_next_is_taken(
    multi_scale: Architecture, digits_data: TrainingData
) -> None:
    recipe = Recipe(deterministic=True)
    whole, _ = trained(multi_scale, digits_data, recipe, Uninterrupted())
    first = Handed()
    trained(multi_scale, digits_data, recipe, first, stop_after=2)
    good = first.last
    assert good is not None
    for prefix in (training_state.NETWORK, training_state.OPTIMIZER):
        name = next(name for name in good.tensors if name.startswith(prefix))
        bent = {**good.tensors, name: torch.zeros(7, 7)}
        resumed, _ = trained(
            multi_scale, digits_data, recipe, Handed(TrainingState(epoch=3, tensors=bent), good)
        )
        assert have_equal_bits(resumed, whole)
        few = {other: tensor for other, tensor in good.tensors.items() if other != name}
        resumed, _ = trained(
            multi_scale, digits_data, recipe, Handed(TrainingState(epoch=3, tensors=few), good)
        )
        assert have_equal_bits(resumed, whole)


def test_draws_of_another_kind_of_device_are_made_anew_and_training_goes_on(
    multi_scale: Architecture, digits_data: TrainingData
) -> None:
    first = Handed()
    trained(multi_scale, digits_data, Recipe(), first, stop_after=2)
    assert first.last is not None
    elsewhere = {
        name.replace(".cpu", ".cuda") if name.startswith(training_state.GENERATOR) else name: tensor
        for name, tensor in first.last.tensors.items()
    }
    state = TrainingState(epoch=2, tensors=elsewhere)
    _, result = trained(multi_scale, digits_data, Recipe(), Handed(state))
    assert (result.ending, result.epochs) == ("complete", EPOCHS)
    assert result.accuracy > 0.8
