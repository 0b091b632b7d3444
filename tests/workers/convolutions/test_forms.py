"""Every form of every pass computes what autograd computes."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from workers.training.convolutions import forms
from workers.training.convolutions.case import PASSES, Case, Form, Pass
from workers.training.convolutions.case import forms as forms_of

CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


def case(**changes: object) -> Case:
    values: dict[str, object] = {
        "in_channels": 32,
        "out_channels": 16,
        "kernel": (3, 5),
        "stride": 1,
        "dilation": (1, 1),
        "groups": 8,
        "size": (7, 6),
        "batch": 3,
    }
    return Case(**{**values, **changes})  # type: ignore[arg-type]


CASES = {
    "grouped": case(),
    "one output a group": case(in_channels=64, out_channels=16, groups=16),
    "more outputs than inputs": case(in_channels=8, out_channels=32, groups=4),
    "depthwise": case(in_channels=16, out_channels=16, groups=16),
    "depthwise with multiplier": case(in_channels=16, out_channels=32, groups=16),
    "strided": case(stride=2),
    "dilated": case(dilation=(2, 2), size=(9, 11)),
    "signal": case(kernel=(9,), dilation=(1,), size=(20,)),
    "volume": case(kernel=(3, 3, 3), dilation=(1, 1, 1), size=(5, 4, 6)),
}


def example(of: Case) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return input, weight, output, its gradient, and the gradients that autograd finds."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(of.batch, of.in_channels, *of.size, generator=generator, requires_grad=True)
    weight = torch.randn(of.weight_shape, generator=generator, requires_grad=True)
    y = CONVOLVE[of.axes](
        x,
        weight,
        None,
        of.stride,
        of.padding,
        list(of.dilation),
        of.groups,  # type: ignore[arg-type]
    )
    gradient = torch.randn(y.shape, generator=generator)
    of_x, of_weight = torch.autograd.grad(y, (x, weight), gradient)
    ready = forms.ordered(x.detach(), of.axes), weight.detach(), y.detach()
    return *ready, forms.ordered(gradient, of.axes), of_x, of_weight


def computed(form: Form, which: Pass, of: Case) -> tuple[Tensor, Tensor]:
    """Return what a form finds, and what it should."""
    x, weight, y, gradient, of_x, of_weight = example(of)
    if which == "forward":
        return forms.forward(form, of, x, weight), y
    if which == "input_gradient":
        return forms.input_gradient(form, of, gradient, x, weight), of_x
    return forms.weight_gradient(form, of, gradient, x), of_weight


@pytest.mark.parametrize("which", PASSES)
@pytest.mark.parametrize("name", CASES)
def test_every_form_agrees_with_autograd(name: str, which: Pass) -> None:
    for form in forms_of(CASES[name], which, ("fp32",)):
        found, wanted = computed(form, which, CASES[name])
        assert found.shape == wanted.shape, form
        assert torch.allclose(found, wanted, rtol=1e-4, atol=1e-3), form


@pytest.mark.parametrize("which", PASSES)
def test_bf16_forms_agree_but_for_rounding(which: Pass) -> None:
    for form in forms_of(CASES["one output a group"], which, ("bf16",)):
        found, wanted = computed(form, which, CASES["one output a group"])
        assert found.dtype == torch.bfloat16
        assert float((found - wanted).norm() / wanted.norm()) < 0.02, form


def test_the_plain_form_comes_first_and_each_kind_where_it_is_exact() -> None:
    thin = CASES["one output a group"]
    assert forms_of(thin, "forward", ("fp32",)) == [
        Form("grouped", 16, "fp32"),
        Form("grouped", 4, "fp32"),
        Form("grouped", 1, "fp32"),
        Form("depthwise", 16, "fp32"),
    ]
    kinds = {form.kind for which in PASSES for form in forms_of(CASES["strided"], which, ("fp32",))}
    # A stride leaves no mirror image, and two outputs a group still make a depthwise form.
    assert kinds == {"grouped", "depthwise"}
    assert {form.groups for which in PASSES for form in forms_of(CASES["depthwise"], which, ("fp32",))} == {
        16
    }
