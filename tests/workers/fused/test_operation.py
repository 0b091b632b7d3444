"""Pooling, normalisation and activation in one operation, against torch's modules.

The processor's anywhere; the GPU's on a GPU, and elsewhere, where triton is installed, by its interpreter.
"""

import math
import os
from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from nas_service.studies import Recipe
from search_spaces import Architecture
from search_spaces.layers.pointwise import TORCH_NAMES
from search_spaces.modules import Network, build
from workers.data.arrays import Part, TrainingData, statistics
from workers.training.fused import apply, fused_layers
from workers.training.fused.chain import Chain, Operation
from workers.training.fused.cpu import kernels, vectors
from workers.training.fused.cpu.operation import OPERATION, run
from workers.training.trainer import train
from workers.training.transfer import freeze

DTYPES = (torch.bfloat16, torch.float32)
IS_ON_GPU = torch.cuda.is_available()
# (B, C, H, W): odd sides, channels and rows that fill no tile and no vector.
SHAPES = [(5, 7, 9, 6), (3, 40, 8, 8), (130, 16, 5, 5), (2, 33, 2, 3), (3, 1, 4, 4), (2, 97, 4, 6)]


@dataclass(frozen=True)
class Place:
    """Where chains are computed, and by what."""

    operation: Operation
    device: torch.device


# The interpreter computes beyond the last row too, where a sigmoid may be that of anything.
OVERFLOW = pytest.mark.filterwarnings("ignore:overflow encountered in exp")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, OVERFLOW])])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "cpu":
        return Place(OPERATION, torch.device("cpu"))
    if not IS_ON_GPU:
        # Read once, when kernels are defined.
        os.environ["TRITON_INTERPRET"] = "1"
    pytest.importorskip("triton", reason="needs triton, which comes with torch for GPUs")
    from workers.training.fused.cuda import operation as on_cuda

    return Place(on_cuda.OPERATION, torch.device("cuda" if IS_ON_GPU else "cpu"))


# Each activation that an operation knows.
OF_PROCESSORS = [pytest.param("cpu", function) for function in kernels.FUNCTIONS]
OF_GPUS = [
    pytest.param("cuda", function, marks=[pytest.mark.gpu, OVERFLOW]) for function in ("none", *TORCH_NAMES)
]
of_every_function = pytest.mark.parametrize(
    ("place", "function"), OF_PROCESSORS + OF_GPUS, indirect=["place"]
)


def norms_of(channels: int, place: Place) -> tuple[nn.BatchNorm2d, nn.BatchNorm2d]:
    """Return two equal ones that neither start at one and zero nor at the usual statistics."""
    one, other = (nn.BatchNorm2d(channels, device=place.device) for _ in range(2))
    with torch.no_grad():
        one.weight.uniform_(-1, 2)
        one.bias.uniform_(-1, 1)
        one.running_mean.uniform_(-1, 1)
    other.load_state_dict(one.state_dict())
    return one.double(), other


def map_of(shape: tuple[int, ...], place: Place, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return a map whose channels have means of their own."""
    x = torch.randn(shape) * 2 + torch.arange(shape[1])[:, None, None]
    return x.to(place.device, dtype).contiguous(memory_format=torch.channels_last)


def assert_equal_passes(
    place: Place,
    x: torch.Tensor,
    *,
    is_pooled: bool,
    is_normalised: bool,
    function: str,
    tolerance: float = 2e-4,
) -> None:
    """Compare with the modules in float64."""
    torch.manual_seed(0)
    theirs, ours = norms_of(x.shape[1], place)
    modules = [nn.MaxPool2d(2)] * is_pooled + [theirs] * is_normalised
    modules += [getattr(nn, TORCH_NAMES[function])()] if function != "none" else []
    inputs = [x.clone().to(dtype).requires_grad_() for dtype in (torch.float64, x.dtype)]
    expected = nn.Sequential(*modules)(inputs[0])
    found = place.operation.run(Chain(is_pooled, ours if is_normalised else None, function), inputs[1])
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
def test_it_is_what_the_modules_are(place: Place, shape: tuple[int, ...], is_pooled: bool) -> None:
    assert_equal_passes(place, map_of(shape, place), is_pooled=is_pooled, is_normalised=True, function="relu")


def test_sums_over_many_rows_are_whole(place: Place) -> None:
    # More rows than a GPU's programs take at once.
    x = map_of((47, 3, 40, 40), place)
    assert_equal_passes(place, x, is_pooled=True, is_normalised=True, function="relu")


@of_every_function
def test_every_activation_has_its_derivative(place: Place, function: str) -> None:
    x = map_of(SHAPES[0], place)
    assert_equal_passes(place, x, is_pooled=True, is_normalised=True, function=function)
    assert_equal_passes(place, x, is_pooled=False, is_normalised=True, function=function)


@pytest.mark.parametrize("shape", SHAPES)
def test_pooling_alone(place: Place, shape: tuple[int, ...]) -> None:
    x = map_of(shape, place)
    assert_equal_passes(place, x, is_pooled=True, is_normalised=False, function="none")


def test_of_equals_the_first_has_the_gradient(place: Place) -> None:
    x = map_of(SHAPES[1], place).round() // 3
    assert_equal_passes(place, x, is_pooled=True, is_normalised=True, function="none")


def test_a_mean_far_from_zero_costs_no_precision(place: Place) -> None:
    x = (map_of((64, 4, 8, 8), place) + 1000).contiguous(memory_format=torch.channels_last)
    assert_equal_passes(place, x, is_pooled=False, is_normalised=True, function="none", tolerance=2e-3)


@pytest.mark.parametrize(("is_pooled", "is_normalised"), [(True, True), (True, False), (False, True)])
def test_bfloat16_maps_stay_so_there_and_back(place: Place, is_pooled: bool, is_normalised: bool) -> None:
    x = map_of((6, 8, 6, 6), place, torch.bfloat16)
    function = "hard_swish" if is_normalised else "none"
    assert_equal_passes(
        place, x, is_pooled=is_pooled, is_normalised=is_normalised, function=function, tolerance=0.03
    )


@of_every_function
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("corner", range(4))
def test_what_is_no_number_stays_none(place: Place, function: str, corner: int, dtype: torch.dtype) -> None:
    # A window, an activation or a variance that swallowed it would hide that training has diverged.
    x = torch.ones(2, 4, 4, 4, device=place.device, dtype=dtype).contiguous(memory_format=torch.channels_last)
    x[0, 1, corner // 2, corner % 2] = math.nan
    pooled = place.operation.run(Chain(is_pooled=True, norm=None), x)
    assert pooled.isnan().sum() == 1
    norm = norms_of(4, place)[1]
    y = place.operation.run(Chain(is_pooled=True, norm=norm, activation=function), x)
    assert y[:, 1].isnan().all()
    assert not y[:, 0].isnan().any()
    assert norm.running_var is not None
    assert norm.running_var.isnan().tolist() == [False, True, False, False]


def test_trying_it_out_runs_it(place: Place) -> None:
    place.operation.try_out(place.device)


def test_a_single_row_has_no_deviation(place: Place) -> None:
    chain = Chain(is_pooled=True, norm=norms_of(4, place)[1])
    with pytest.raises(ValueError, match=r"more than one value per channel in training, got \(1, 4, 2, 2\)"):
        place.operation.run(chain, map_of((1, 4, 2, 2), place))


@pytest.mark.parametrize("has_instruction", [None, False])
def test_bfloat16_is_rounded_as_torch_rounds(
    has_instruction: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if has_instruction is not None:
        monkeypatch.setattr(vectors, "HAS_BF16", has_instruction)
        monkeypatch.setattr(kernels, "normalise", kernels.normalise.__wrapped__)
    x = map_of((64, 8, 4, 4), Place(OPERATION, torch.device("cpu")), torch.bfloat16)
    norms = [nn.BatchNorm2d(8) for _ in range(2)]
    for norm in norms:
        # Numbers of all sizes, infinite ones, and what is no number.
        norm.weight.data = torch.tensor([1e-30, 1e-9, 1e-3, 1, 1e3, 1e30, math.inf, math.nan])
    found, exact = (run(Chain(False, norm), x.to(dtype)) for norm, dtype in zip(norms, DTYPES, strict=True))
    assert found.isnan()[:, 7].all()
    assert torch.equal(found.nan_to_num(7.0), exact.bfloat16().nan_to_num(7.0))


def network_of(device: torch.device) -> Network:
    branches = [[{"op": "conv", "channels": 8, "kernel": 3}]]
    stages = [
        {"branches": branches, "channels": 8, "downsample": "max"},
        {"branches": branches, "channels": 8, "connection": "residual", "attention": 4, "downsample": "max"},
    ]
    fields = {"input_shape": [1, 10, 10], "classes": 10, "stages": stages}
    return build(Architecture.from_dict(fields), seed=0).to(device)


@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_a_network_trains_as_it_would_layer_by_layer(
    place: Place, frozen: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(place, monkeypatch)
    x = torch.randn(6, 1, 10, 10, generator=torch.Generator().manual_seed(0)).to(place.device)
    outcomes = []
    for is_fused in (False, True):
        network = network_of(place.device)
        freeze(network, frozen)
        if is_fused:
            with fused_layers(network, place.device):
                # Pool, norm and activation; pool and norm; the shortcut's pool.
                assert replaced(network) == 6
                logits = network.train()(x)
                inference = network.eval()(x)
            assert replaced(network) == 0
        else:
            logits, inference = network.train()(x), network.eval()(x)
        F.cross_entropy(logits, torch.arange(6, device=place.device)).backward()
        gradients = [one.grad for one in network.parameters() if one.grad is not None]
        outcomes.append([logits, inference, *gradients, *network.buffers()])
    for plain, fused in zip(*outcomes, strict=True):
        torch.testing.assert_close(fused, plain, rtol=1e-3, atol=1e-3)


def use(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let networks on the place's device be trained by its operation."""
    monkeypatch.setattr(apply, "_OPERATIONS", {place.device: place.operation})


def test_a_pass_without_gradients_or_in_another_type_is_not_fused(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(place, monkeypatch)
    x = torch.randn(6, 1, 10, 10, device=place.device)
    network, plain = network_of(place.device), network_of(place.device)
    with torch.no_grad(), fused_layers(network, place.device):
        fused = network(x)
    with torch.no_grad():
        assert torch.equal(plain(x), fused)
    with fused_layers(network.double(), place.device):
        assert torch.equal(plain.double()(x.double()), network(x.double()))


def test_what_the_processor_s_kernels_do_not_know_stays_torch_s() -> None:
    branches = [[{"op": "conv", "channels": 8, "kernel": 3}]]
    stages = [{"branches": branches, "channels": 8, "downsample": "max", "activation": "gelu"}]
    network = build(Architecture.from_dict({"input_shape": [1, 8, 8], "classes": 10, "stages": stages}))
    names = [node.name for node in network.graph.nodes]
    found = [
        [names[index] for index in chain] for chain in apply.chains(network.graph, tuple(kernels.FUNCTIONS))
    ]
    assert found == [["stage1.pool", "stage1.norm"]]


def small_data() -> TrainingData:
    """Return a few images of noise."""
    draws = torch.Generator().manual_seed(0)
    examples = torch.randint(0, 256, (64, 1, 10, 10), dtype=torch.uint8, generator=draws)
    part = Part(examples, torch.arange(64) % 10)
    mean, deviation = statistics(examples)
    return TrainingData(part, part, mean, deviation, 10, "", torch.zeros(64, dtype=torch.int64))


@pytest.mark.parametrize(
    ("precision", "threads", "changes", "is_fused"),
    [
        ("bf16", 1, {}, True),
        ("fp32", 1, {}, False),
        ("bf16", 2, {}, False),
        ("bf16", 1, {"checkpointing": True}, False),
        ("bf16", 1, {"deterministic": True}, False),
    ],
)
def test_networks_are_trained_by_it_in_bf16_on_one_thread(
    precision: str,
    threads: int,
    changes: dict[str, bool],
    is_fused: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    calls: list[str] = []

    def run_and_tell(chain: Chain, x: torch.Tensor) -> torch.Tensor:
        calls.append(chain.activation)
        return run(chain, x)

    device = torch.device("cpu")
    operation = replace(OPERATION, run=run_and_tell)
    monkeypatch.setattr(apply, "_OPERATIONS", {device: operation})
    recipe = Recipe.model_validate({"precision": precision, **changes})
    train(network_of(device), small_data(), recipe, epochs=1, seed=0, on_epoch=lambda report: "continue")
    assert bool(calls) == is_fused


def replaced(network: Network) -> int:
    return sum("forward" in vars(module) for module in network.modules())
