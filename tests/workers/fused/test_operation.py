"""Pooling, normalisation and activation in one operation, against torch's modules.

On a GPU as it is; elsewhere, where triton is installed, by its interpreter.
"""

import os
from collections.abc import Iterator

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from search_spaces import Architecture
from search_spaces.layers.pointwise import TORCH_NAMES
from search_spaces.modules import build
from workers.training.fused import apply, fused_layers

pytestmark = pytest.mark.gpu
IS_ON_GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if IS_ON_GPU else "cpu")
if not IS_ON_GPU:
    # Read once, when kernels are defined.
    os.environ["TRITON_INTERPRET"] = "1"
pytest.importorskip("triton", reason="needs triton, which comes with torch for GPUs")

from workers.training.fused.operation import Chain, run  # noqa: E402

# (B, C, H, W): odd sides, channels and rows that fill no tile, and more rows than are shared out at once.
SHAPES = [(5, 7, 9, 6), (3, 40, 8, 8), (130, 16, 5, 5), (2, 33, 2, 3)]
FUNCTIONS = ["none", *TORCH_NAMES]


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    apply.operation_of.cache_clear()
    yield
    apply.operation_of.cache_clear()


def norms_of(channels: int) -> tuple[nn.BatchNorm2d, nn.BatchNorm2d]:
    """Return two equal ones that neither start at one and zero nor at the usual statistics."""
    one, other = (nn.BatchNorm2d(channels, device=DEVICE) for _ in range(2))
    with torch.no_grad():
        one.weight.uniform_(-1, 2)
        one.bias.uniform_(-1, 1)
        one.running_mean.uniform_(-1, 1)
    other.load_state_dict(one.state_dict())
    return one, other


def map_of(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return a map whose channels have means of their own."""
    x = torch.randn(shape, device=DEVICE) * 2 + torch.arange(shape[1], device=DEVICE)[:, None, None]
    return x.to(dtype).contiguous(memory_format=torch.channels_last)


def assert_equal_passes(
    shape: tuple[int, ...], *, is_pooled: bool, is_normalised: bool, function: str
) -> None:
    torch.manual_seed(0)
    x, (theirs, ours) = map_of(shape), norms_of(shape[1])
    modules = [nn.MaxPool2d(2)] * is_pooled + [theirs] * is_normalised
    modules += [getattr(nn, TORCH_NAMES[function])()] if function != "none" else []
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    expected = nn.Sequential(*modules)(inputs[0])
    found = run(Chain(is_pooled, ours if is_normalised else None, function), inputs[1])
    gradient = torch.randn_like(expected)
    expected.backward(gradient)
    found.backward(gradient)
    assert found.is_contiguous(memory_format=torch.channels_last)
    pairs = [(found, expected), (inputs[1].grad, inputs[0].grad)]
    if is_normalised:
        pairs += [(ours.weight.grad, theirs.weight.grad), (ours.bias.grad, theirs.bias.grad)]
        pairs += list(zip(ours.buffers(), theirs.buffers(), strict=True))
    for one, other in pairs:
        assert one is not None
        assert other is not None
        torch.testing.assert_close(one, other, rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("is_pooled", [True, False])
def test_it_is_what_the_modules_are(shape: tuple[int, ...], is_pooled: bool) -> None:
    assert_equal_passes(shape, is_pooled=is_pooled, is_normalised=True, function="relu")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_activation_has_its_slope(function: str) -> None:
    assert_equal_passes(SHAPES[0], is_pooled=True, is_normalised=True, function=function)


@pytest.mark.parametrize("shape", SHAPES)
def test_pooling_alone(shape: tuple[int, ...]) -> None:
    assert_equal_passes(shape, is_pooled=True, is_normalised=False, function="none")


def test_a_mean_far_from_zero_costs_no_precision() -> None:
    theirs, ours = norms_of(4)
    x = (map_of((64, 4, 8, 8)) + 1000).contiguous(memory_format=torch.channels_last)
    expected, found = theirs(x), run(Chain(is_pooled=False, norm=ours), x)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_bfloat16_maps_stay_so() -> None:
    theirs, ours = norms_of(8)
    x = map_of((4, 8, 6, 6), torch.bfloat16)
    expected = F.relu(theirs(F.max_pool2d(x, 2).float()))
    found = run(Chain(is_pooled=True, norm=ours, activation="relu"), x)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, rtol=0.01, atol=0.01)


def test_a_network_trains_as_it_would_layer_by_layer() -> None:
    branches = [[{"op": "conv", "channels": 8, "kernel": 3}]]
    stages = [
        {"branches": branches, "channels": 8, "downsample": "max"},
        {"branches": branches, "channels": 8, "connection": "residual", "attention": 4, "downsample": "max"},
    ]
    fields = {"input_shape": [1, 10, 10], "classes": 10, "stages": stages}
    x = torch.randn(6, 1, 10, 10, generator=torch.Generator().manual_seed(0)).to(DEVICE)
    outcomes = []
    for is_fused in (False, True):
        network = build(Architecture.from_dict(fields), seed=0).to(DEVICE)
        if is_fused:
            with fused_layers(network, DEVICE):
                logits = network.train()(x)
                inference = network.eval()(x)
            assert not any("forward" in vars(module) for module in network.modules())
        else:
            logits, inference = network.train()(x), network.eval()(x)
        F.cross_entropy(logits, torch.arange(6, device=DEVICE)).backward()
        gradients = [parameter.grad for parameter in network.parameters()]
        outcomes.append([logits, inference, *gradients, *network.buffers()])
    for plain, fused in zip(*outcomes, strict=True):
        torch.testing.assert_close(fused, plain, rtol=1e-3, atol=1e-3)
