"""Pooling, normalisation and activation in one operation, against torch's modules.

On a GPU as it is; elsewhere, where triton is installed, by its interpreter.
"""

import math
import os

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from search_spaces import Architecture
from search_spaces.layers.pointwise import TORCH_NAMES
from search_spaces.modules import Network, build
from workers.training.fused import fused_layers

pytestmark = [
    pytest.mark.gpu,
    # The interpreter computes beyond the last row too, where a sigmoid may be that of anything.
    pytest.mark.filterwarnings("ignore:overflow encountered in exp"),
]
IS_ON_GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if IS_ON_GPU else "cpu")
if not IS_ON_GPU:
    # Read once, when kernels are defined.
    os.environ["TRITON_INTERPRET"] = "1"
pytest.importorskip("triton", reason="needs triton, which comes with torch for GPUs")

from workers.training.fused import kernels  # noqa: E402
from workers.training.fused.operation import Chain, run  # noqa: E402
from workers.training.transfer import freeze  # noqa: E402

# (B, C, H, W): odd sides, channels and rows that fill no tile.
SHAPES = [(5, 7, 9, 6), (3, 40, 8, 8), (130, 16, 5, 5), (2, 33, 2, 3)]
FUNCTIONS = ["none", *TORCH_NAMES]


def norms_of(channels: int) -> tuple[nn.BatchNorm2d, nn.BatchNorm2d]:
    """Return two equal ones that neither start at one and zero nor at the usual statistics."""
    one, other = (nn.BatchNorm2d(channels, device=DEVICE) for _ in range(2))
    with torch.no_grad():
        one.weight.uniform_(-1, 2)
        one.bias.uniform_(-1, 1)
        one.running_mean.uniform_(-1, 1)
    other.load_state_dict(one.state_dict())
    return one.double(), other


def map_of(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return a map whose channels have means of their own."""
    x = torch.randn(shape, device=DEVICE) * 2 + torch.arange(shape[1], device=DEVICE)[:, None, None]
    return x.to(dtype).contiguous(memory_format=torch.channels_last)


def assert_equal_passes(
    x: torch.Tensor, *, is_pooled: bool, is_normalised: bool, function: str, tolerance: float = 2e-4
) -> None:
    """Compare with the modules in float64."""
    torch.manual_seed(0)
    theirs, ours = norms_of(x.shape[1])
    modules = [nn.MaxPool2d(2)] * is_pooled + [theirs] * is_normalised
    modules += [getattr(nn, TORCH_NAMES[function])()] if function != "none" else []
    inputs = [x.clone().to(dtype).requires_grad_() for dtype in (torch.float64, x.dtype)]
    expected = nn.Sequential(*modules)(inputs[0])
    found = run(Chain(is_pooled, ours if is_normalised else None, function), inputs[1])
    gradient = torch.randn_like(found)
    expected.backward(gradient.double())
    found.backward(gradient)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert found.dtype == x.dtype
    pairs = [(found, expected), (inputs[1].grad, inputs[0].grad)]
    if is_normalised:
        pairs += [(ours.weight.grad, theirs.weight.grad), (ours.bias.grad, theirs.bias.grad)]
        pairs += list(zip(ours.buffers(), theirs.buffers(), strict=True))
    for one, other in pairs:
        assert one is not None
        assert other is not None
        torch.testing.assert_close(one.double(), other.double(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("is_pooled", [True, False])
def test_it_is_what_the_modules_are(shape: tuple[int, ...], is_pooled: bool) -> None:
    assert_equal_passes(map_of(shape), is_pooled=is_pooled, is_normalised=True, function="relu")


def test_programs_that_have_several_tiles_sum_them_all() -> None:
    shape = (47, 3, 40, 40)
    assert kernels.PARTS * kernels.ROWS < 47 * 20 * 20
    assert_equal_passes(map_of(shape), is_pooled=True, is_normalised=True, function="silu")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_activation_has_its_derivative(function: str) -> None:
    assert_equal_passes(map_of(SHAPES[0]), is_pooled=True, is_normalised=True, function=function)


@pytest.mark.parametrize("shape", SHAPES)
def test_pooling_alone(shape: tuple[int, ...]) -> None:
    assert_equal_passes(map_of(shape), is_pooled=True, is_normalised=False, function="none")


def test_of_equals_the_first_has_the_gradient() -> None:
    x = map_of(SHAPES[1]).round() // 3
    assert_equal_passes(x, is_pooled=True, is_normalised=True, function="none")


def test_a_mean_far_from_zero_costs_no_precision() -> None:
    x = (map_of((64, 4, 8, 8)) + 1000).contiguous(memory_format=torch.channels_last)
    assert_equal_passes(x, is_pooled=False, is_normalised=True, function="none", tolerance=2e-3)


@pytest.mark.parametrize("is_normalised", [True, False])
def test_bfloat16_maps_stay_so_there_and_back(is_normalised: bool) -> None:
    x = map_of((6, 8, 6, 6), torch.bfloat16)
    function = "silu" if is_normalised else "none"
    assert_equal_passes(x, is_pooled=True, is_normalised=is_normalised, function=function, tolerance=0.03)


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("function", FUNCTIONS)
def test_what_is_no_number_stays_none(function: str, place: int) -> None:
    # A window, an activation or a variance that swallowed it would hide that training has diverged.
    x = torch.ones(2, 4, 4, 4, device=DEVICE).contiguous(memory_format=torch.channels_last)
    x[0, 1, place // 2, place % 2] = math.nan
    pooled = run(Chain(is_pooled=True, norm=None), x)
    assert pooled.isnan().sum() == 1
    norm = norms_of(4)[1]
    y = run(Chain(is_pooled=True, norm=norm, activation=function), x)
    assert y[:, 1].isnan().all()
    assert not y[:, 0].isnan().any()
    assert norm.running_var is not None
    assert norm.running_var.isnan().tolist() == [False, True, False, False]


def test_a_single_row_has_no_deviation() -> None:
    with pytest.raises(ValueError, match=r"more than one value per channel in training, got \(1, 4, 2, 2\)"):
        run(Chain(is_pooled=True, norm=norms_of(4)[1]), map_of((1, 4, 2, 2)))


def network_of() -> Network:
    branches = [[{"op": "conv", "channels": 8, "kernel": 3}]]
    stages = [
        {"branches": branches, "channels": 8, "downsample": "max"},
        {"branches": branches, "channels": 8, "connection": "residual", "attention": 4, "downsample": "max"},
    ]
    fields = {"input_shape": [1, 10, 10], "classes": 10, "stages": stages}
    return build(Architecture.from_dict(fields), seed=0).to(DEVICE)


def replaced(network: Network) -> int:
    return sum("forward" in vars(module) for module in network.modules())


@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_a_network_trains_as_it_would_layer_by_layer(frozen: int) -> None:
    x = torch.randn(6, 1, 10, 10, generator=torch.Generator().manual_seed(0)).to(DEVICE)
    outcomes = []
    for is_fused in (False, True):
        network = network_of()
        freeze(network, frozen)
        if is_fused:
            with fused_layers(network, DEVICE):
                # Pool, norm and activation; pool and norm; the shortcut's pool.
                assert replaced(network) == 6
                logits = network.train()(x)
                inference = network.eval()(x)
            assert replaced(network) == 0
        else:
            logits, inference = network.train()(x), network.eval()(x)
        F.cross_entropy(logits, torch.arange(6, device=DEVICE)).backward()
        gradients = [one.grad for one in network.parameters() if one.grad is not None]
        outcomes.append([logits, inference, *gradients, *network.buffers()])
    for plain, fused in zip(*outcomes, strict=True):
        torch.testing.assert_close(fused, plain, rtol=1e-3, atol=1e-3)


def test_a_pass_without_gradients_is_not_fused() -> None:
    network = network_of()
    x = torch.randn(6, 1, 10, 10, device=DEVICE)
    with torch.no_grad(), fused_layers(network, DEVICE):
        fused = network(x)
    plain = network_of()
    with torch.no_grad():
        assert torch.equal(plain(x), fused)
