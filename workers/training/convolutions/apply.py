"""Training a network with its grouped convolutions in their fastest forms."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from workers.training.convolutions import forms
from workers.training.convolutions.case import Case, Form, Plan
from workers.training.convolutions.cases import cases
from workers.training.convolutions.plans import PLANS, Plans
from workers.training.convolutions.replacing import forward_passes


@contextmanager
def fast_convolutions(
    network: nn.Module, batch: int, *, is_bf16: bool, plans: Plans = PLANS
) -> Iterator[None]:
    """Run the network's grouped convolutions in the forms that are fastest here, for as long as it trains.

    Weights, their names and, but for rounding, all results stay the same; afterwards the modules are as they
    were. A convolution that was never met before is measured first, for 0.05 s to 0.3 s.

    Args:
        network: One that was not built from an architecture is left alone.
        batch: Examples in a batch.
        is_bf16: Whether maps are bfloat16 in training: its forms are then measured too. Inference meanwhile,
            which validates, stays in fp32.
        plans: What is known of this machine.
    """
    precisions: tuple[Literal["fp32", "bf16"], ...] = ("bf16", "fp32") if is_bf16 else ("fp32",)
    replacements = {}
    for module, case in cases(network, batch):
        if case.groups > 1:
            plan, exact = plans.plan(case, precisions), plans.plan(case, ("fp32",)).forward
            replacements[module] = _Replacement(module, case, plan, exact, is_bf16=is_bf16)
    with forward_passes(replacements):
        yield


class _Replacement:
    """A module's forward pass by a plan."""

    def __init__(self, module: nn.Module, case: Case, plan: Plan, inference: Form, *, is_bf16: bool) -> None:
        self._module, self._case, self._plan, self._inference = module, case, plan, inference
        self._dtype = torch.bfloat16 if is_bf16 else torch.float32

    def __call__(self, x: Tensor) -> Tensor:
        case, weight, bias = self._case, self._module.weight, self._module.bias
        assert isinstance(weight, Tensor)
        with torch.autocast("cpu", enabled=False):
            if torch.is_grad_enabled():
                y: Tensor = _Planned.apply(x, weight, case, self._plan, self._dtype)  # type: ignore[no-untyped-call]
            else:
                y = forms.forward(self._inference, case, x, weight)
            if isinstance(bias, Tensor):
                y = y + bias.to(y.dtype).reshape(-1, *(1,) * case.axes)
        return y


class _Planned(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, case: Case, plan: Plan, dtype: torch.dtype) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.case, ctx.plan = case, plan
        return forms.forward(plan.forward, case, x, weight).to(dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        x, weight = ctx.saved_tensors
        case, plan = ctx.case, ctx.plan
        gradient = forms.ordered(gradients[0], case.axes)
        of_input = of_weight = None
        if ctx.needs_input_grad[0]:
            of_input = forms.input_gradient(plan.input_gradient, case, gradient, x, weight).to(x.dtype)
        if ctx.needs_input_grad[1]:
            of_weight = forms.weight_gradient(plan.weight_gradient, case, gradient, x).to(weight.dtype)
        return of_input, of_weight, None, None, None
