"""Losses against values worked out by hand and against torch."""

import math

import pytest
import torch
import torch.nn.functional as F

from nas_service.studies import Recipe
from workers.training.losses import (
    binary_cross_entropy,
    cross_entropy,
    focal,
    training_loss,
    validation_loss,
)

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0], [1.0, 1.0, 1.0], [-4.0, 0.0, 4.0]])
LABELS = torch.tensor([0, 2, 1, 2])


def test_focal_loss_of_an_even_guess_between_two_classes() -> None:
    # p = 1/2: (1 - 1/2)^2 ln 2
    loss = focal(torch.zeros(1, 2), torch.tensor([1]), gamma=2.0)
    assert float(loss) == pytest.approx(0.25 * math.log(2))


def test_focal_loss_weighs_down_what_is_easy() -> None:
    # p = 9/10: (1 - 9/10)^2 ln(10/9), a hundredth of the cross-entropy.
    logits, labels = torch.tensor([[math.log(9.0), 0.0]]), torch.tensor([0])
    assert float(focal(logits, labels, 2.0)) == pytest.approx(0.01 * math.log(10 / 9), rel=1e-5)
    assert float(focal(logits, labels, 0.5)) == pytest.approx(0.1**0.5 * math.log(10 / 9), rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_focal_loss_with_gamma_zero_is_cross_entropy(smoothing: float) -> None:
    expected = F.cross_entropy(LOGITS, LABELS, label_smoothing=smoothing)
    assert torch.allclose(focal(LOGITS, LABELS, 0.0, smoothing), expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_in_few_kernels_is_that_of_torch(smoothing: float) -> None:
    logits = 5 * torch.randn(8, 10, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(8)
    gradients = []
    for loss_of in (cross_entropy, F.cross_entropy):
        own = logits.clone().requires_grad_()
        smoothed = {"smoothing" if loss_of is cross_entropy else "label_smoothing": smoothing}
        loss = loss_of(own, labels, **smoothed)  # type: ignore[operator]
        (3 * loss).backward()
        gradients.append((loss.detach(), own.grad))
    torch.testing.assert_close(gradients[0], gradients[1])


def test_binary_cross_entropy_is_one_class_against_the_rest() -> None:
    # -ln s(2) - ln s(1) - ln s(-0.5), as class 0 is right and the others are not.
    expected = sum(math.log1p(math.exp(-x)) for x in (2.0, 1.0, -0.5))
    assert float(binary_cross_entropy(LOGITS[:1], LABELS[:1])) == pytest.approx(expected, rel=1e-6)


def test_smoothed_targets_of_binary_cross_entropy_are_those_of_cross_entropy() -> None:
    # At logits of zero the loss does not depend on targets; its gradient is 1/2 - target.
    logits = torch.zeros(1, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(binary_cross_entropy(logits, torch.tensor([1]), 0.2), logits)
    assert torch.allclose(0.5 - gradient, torch.tensor([[0.05, 0.85, 0.05, 0.05]]))


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy", "focal"])
def test_losses_are_finite_with_their_gradients_far_from_zero(loss: str) -> None:
    recipe = Recipe.model_validate({"loss": loss})
    logits = (1e4 * LOGITS).requires_grad_()
    value = training_loss(logits, LABELS, recipe)
    value.backward()
    assert torch.isfinite(value)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_gradients_are_finite_where_an_example_is_certain(gamma: float) -> None:
    logits = torch.tensor([[100.0, 0.0]], requires_grad=True)
    focal(logits, torch.tensor([0]), gamma).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_validation_takes_the_labels_as_they_are() -> None:
    recipe = Recipe(label_smoothing=0.3)
    assert torch.equal(validation_loss(LOGITS, LABELS, recipe), F.cross_entropy(LOGITS, LABELS))
    smoothed = F.cross_entropy(LOGITS, LABELS, label_smoothing=0.3)
    assert torch.equal(training_loss(LOGITS, LABELS, recipe), smoothed)
